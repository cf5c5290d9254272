/** Damaged quantization_configs over tensors of every format: a plan, or one line about what cannot be planned. */
import { assert } from "../../assert.ts";
import type { Random } from "../random.ts";
import { INPUTS, survive } from "../survive.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, FP8, mxSpec, ptpc, quark } from "./quark_specs.ts";
import { BF16, FP8_ROW, FP8_TENSOR, model, MXFP4, mxfp6, plan, type Stored } from "../../plan/stored_models.ts";

type Json = Record<string, unknown>;

const FLOOR = mxSpec("fp6_e2m3", true, { scale_calculation_mode: "floor" });
const SPECS = [FP4_WEIGHT, FP4_INPUT, mxSpec("fp6_e2m3", false), FLOOR, FP8, ptpc(false), ptpc(true)];

/** How experts are stored, and what a config says of them that makes a model. */
const SOUND: [Stored, weight: unknown, inputs: readonly unknown[]][] = [
  [MXFP4, FP4_WEIGHT, [null, FP4_INPUT, FLOOR, FP8]],
  [mxfp6("e2m3"), mxSpec("fp6_e2m3", false), [null, FLOOR, FP8]],
  [FP8_TENSOR, FP8, [null, FP8, ptpc(true)]],
  [FP8_ROW, ptpc(false), [ptpc(true)]],
  [BF16, null, [null]],
];
const MODELS = SOUND.flatMap(([experts, weight, inputs]) =>
  [BF16, FP8_TENSOR].map((attention) => ({
    linears: [[], ["self_attn"], ["self_attn", "experts"]].map((scaled) =>
      model({ layers: 1, experts, attention, scale: (name) => scaled.some((part) => name.includes(part)) ? 0.5 : null })
    ),
    ...{ weight, inputs },
  }))
);

const TEXTS = [
  ...[
    "",
    "*",
    "?",
    "[",
    "[!]",
    "**k_proj",
    "re:",
    "re:.*",
    "re:(",
    "re:(a*)*b",
    "re:[\u2028-\u0000]",
    "re:(?\n",
    "re:a{9999}",
    "re:\\",
  ],
  ...["lm_head", "model.layers.0.mlp.experts", "*router*", "__proto__", "constructor", "\u0000", "\ud800", "\u2028"],
  ...[
    "quark",
    "mxfp4",
    "fp4",
    "mx",
    "fp8_e4m3",
    "bfloat16",
    "per_group",
    "per_tensor",
    "e8m0",
    "even",
    "ceil",
    "nn.Linear",
  ],
];
const VALUES: readonly unknown[] = [
  ...[undefined, null, true, false, 0, -1, 0.5, 32, 2 ** 53, 1e308],
  ...[[], {}, [null], [[]], { a: 1 }, SPECS, [SPECS[0], SPECS[3]], entry(null, null), entry(FP4_WEIGHT, [FP8, FP8])],
];

/** A config that may be sound. */
function config(random: Random, overall: Json): Json {
  const spec = () => random.pick([null, ...SPECS]);
  const rarely = <T>(value: T, other: T): T => random.below(6) === 0 ? value : other;
  const entries = Array.from({ length: rarely(3, 0) }, () => [random.pick(TEXTS), entry(spec(), spec(), spec())]);
  return quark(overall, {
    layer_quant_config: Object.fromEntries([
      ...entries,
      ...["*k_proj", "*v_proj"].map((text) => [text, entry(null, null, FP8)] as const),
    ]),
    layer_type_quant_config: rarely({ "nn.Linear": entry(spec(), spec()) }, {}),
    exclude: ["lm_head", "*self_attn*", "*router*", ...rarely([random.pick(TEXTS)], [])],
    kv_cache_quant_config: rarely({ "*k_proj": spec(), "*v_proj": entry(null, null, spec()) }, {}),
  });
}

/** Puts another value, another text or another key somewhere into an object. */
function change(random: Random, object: Json): void {
  const keys = Object.keys(object);
  const key = keys.length === 0 || random.below(10) === 0 ? random.pick(TEXTS) : random.pick(keys), value = object[key];
  if (random.below(3) > 0 && typeof value === "object" && value !== null) return change(random, value as Json);
  const other = random.below(2) === 0 ? random.pick(TEXTS) : structuredClone(random.pick([...VALUES, ...SPECS]));
  // As JSON.parse() does it: `__proto__` is a key like others.
  Object.defineProperty(object, key, { value: other, enumerable: true, writable: true, configurable: true });
}

Deno.test("makePlan() survives damaged configs", () => {
  const accepted = survive(INPUTS, 5, (random) => {
    const { linears: stored, weight, inputs } = random.pick(MODELS), linears = random.pick(stored);
    const quantization = structuredClone(config(random, entry(weight, random.pick(inputs))));
    for (let changes = random.below(4); changes > 0; changes--) change(random, quantization);
    const scheme = random.below(8) === 0 ? random.pick(["w_mxfp4", "w_mxfp4_a_fp8", "fp8", ...TEXTS]) : undefined;
    return {
      input: new TextEncoder().encode(JSON.stringify(quantization)),
      act: () => {
        const made = plan(linears, quantization, scheme === undefined ? {} : { scheme });
        assert(made.linears.length === linears.length && made.warnings.every((line) => !/[\n\r]/.test(line)));
      },
    };
  });
  assert(accepted > INPUTS / 10 && accepted < INPUTS / 2, `${accepted} accepted`);
});
