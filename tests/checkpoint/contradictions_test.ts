/**
 * Checkpoints whose config says another thing than their tensors: of weights the tensors count, and one warning names
 * both; of inputs and of the cache neither does, and they are refused.
 */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { planModel, type PlanOptions } from "../../src/plan/planned.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type Layout, type QuarkOptions, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertStringIncludes, assertThrows } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { spelled } from "../../src/words.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
type Json = Record<string, unknown>;

interface Contradiction {
  readonly layout?: Layout;
  readonly quark?: QuarkOptions;
  readonly tensors?: (tensors: Map<string, StoredNumbers>) => void;
  /** Changes quantization_config, or gives another one; null: none. */
  readonly config?: (quantization: Json) => Json | null | void;
  readonly options?: Partial<PlanOptions>;
}

const quarkConfig = (quark: QuarkOptions = {}) => randomConfig(SHAPE, "quark", quark)["quantization_config"] as Json;
const inputs = (spec: unknown) => (q: Json) => {
  (q["global_quant_config"] as Json)["input_tensors"] = spec;
};
const FP4_INPUT = {
  ...{ dtype: "fp4", qscheme: "per_group", group_size: 32, is_dynamic: true, scale_format: "e8m0" },
};
const withoutCache = (q: Json) => {
  const entries = Object.values(q["layer_quant_config"] as Json) as Json[];
  entries.forEach((entry) => entry["output_tensors"] = null);
};
const keepScales = (layers: string) => (tensors: Map<string, StoredNumbers>) => {
  const scales = [...tensors.keys()].filter((name) => name.endsWith("output_scale"));
  scales.filter((name) => !name.startsWith(layers)).forEach((name) => tensors.delete(name));
};

const EXPERTS = "model.layers.0.mlp.experts.0.gate_up_proj and 11 more";
const ATTENTION = "model.layers.0.self_attn.q_proj and 7 more";

/** What contradicts what; the scheme of experts and of q_proj, and the cache; the warning. */
const CASES: [string, Contradiction, planned: [string, string, string], warning: string | null][] = [
  [
    "formats of weights",
    { config: () => quarkConfig({ weights: "mxfp6_e3m2" }) },
    ["w_mxfp4", "bf16", "bf16"],
    `quantization_config says mxfp6_e3m2 for ${EXPERTS}, but the tensors are mxfp4; the tensors count`,
  ],
  [
    "quantized weights that the config excludes, with the scales of their inputs",
    {
      quark: { weights: "fp8", attention: "fp8", inputScales: true },
      config: (q) => void (q["exclude"] = ["*attn*", "*router*", "lm_head"]),
    },
    ["fp8", "fp8", "bf16"],
    `quantization_config says no quantization for ${ATTENTION}, but the tensors are fp8_e4m3 with input scales of ` +
    "static FP8; the tensors count",
  ],
  [
    "plain weights that the config quantizes",
    { layout: "hf_bf16", config: () => quarkConfig() },
    ["bf16", "bf16", "bf16"],
    `quantization_config says mxfp4 for ${EXPERTS}, but the tensors are not quantized; the tensors count`,
  ],
  [
    "quant_method mxfp4 and plain weights",
    { layout: "hf_bf16", config: () => ({ quant_method: "mxfp4" }) },
    ["bf16", "bf16", "bf16"],
    'quantization_config.quant_method is "mxfp4", but the tensors are without quantization; the tensors count',
  ],
  [
    "quant_method mxfp4 and Quark's tensors",
    { quark: { weights: "fp8", inputScales: true }, config: () => ({ quant_method: "mxfp4" }) },
    ["fp8", "bf16", "bf16"],
    'quantization_config.quant_method is "mxfp4", but the tensors are of quant_method "quark"; the tensors count',
  ],
  [
    "experts that quant_method mxfp4 leaves unquantized",
    { layout: "hf_mxfp4", config: (q) => void (q["modules_to_not_convert"] = ["lm_head", "model.layers.1.mlp*"]) },
    ["w_mxfp4", "bf16", "bf16"],
    'quantization_config.modules_to_not_convert has "model.layers.1.mlp*", but the tensors of ' +
    "model.layers.1.mlp.experts are mxfp4; the tensors count",
  ],
  ["modules that are left out by the published list", { layout: "hf_mxfp4" }, ["w_mxfp4", "bf16", "bf16"], null],
  [
    "no quantization_config and scales of inputs",
    { quark: { weights: "mxfp4", inputScales: true }, config: () => null },
    ["w_mxfp4_a_fp8", "bf16", "bf16"],
    `no quantization_config for ${EXPERTS}, but the tensors are mxfp4 with input scales of static FP8; the tensors ` +
    "count",
  ],
  // What a user asks for contradicts nobody.
  [
    "--scheme w_mxfp4",
    { quark: { inputScales: true }, options: { scheme: "w_mxfp4" } },
    ["w_mxfp4", "bf16", "bf16"],
    null,
  ],
  [
    "--kv-cache-dtype bf16",
    { quark: { kvScales: "output_scale" }, config: withoutCache, options: { kvCacheDtype: "bf16" } },
    ["w_mxfp4", "bf16", "bf16"],
    null,
  ],
  ["--kv-cache-dtype fp8", { options: { kvCacheDtype: "fp8" } }, ["w_mxfp4", "bf16", "fp8"], null],
  // OpenAI's own tensors beside a config of Hugging Face's or Quark's that says what they are.
  ["MXFP4 in another layout", { layout: "hf_mxfp4", config: () => quarkConfig() }, ["w_mxfp4", "bf16", "bf16"], null],
];

/** The checkpoint of a case, in a directory of its own. */
function contradictory({ layout = "quark", quark = {}, tensors, config }: Contradiction): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout, quark });
  if (tensors) rewrite(`${dir.path}/model.safetensors`, tensors);
  const json = randomConfig(SHAPE, layout, quark), quantization = json["quantization_config"] as Json;
  if (config) {
    const changed = config(quantization);
    if (changed === null) delete json["quantization_config"];
    else if (changed) json["quantization_config"] = changed;
  }
  dir.write("config.json", json);
  return dir;
}

const OPTIONS = { dtype: "bf16", kvCacheDtype: "auto" } as const;

for (const [what, contradiction, planned, warning] of CASES) {
  const rest = warning === null ? "is no contradiction" : "contradict each other: one warning names both";
  Deno.test(`${what} ${rest}`, () => {
    using dir = contradictory(contradiction);
    const checkpoint = openCheckpoint(dir.path);
    const { plan } = planModel(checkpoint, { ...OPTIONS, ...contradiction.options });
    const schemeOf = (module: string) => plan.linears.find((linear) => linear.module === module)!.scheme;
    assertEquals(
      [plan.scheme, schemeOf("model.layers.0.self_attn.q_proj"), plan.kvFormat],
      planned,
    );
    const lines = [...checkpoint.warnings, ...plan.warnings];
    assertEquals(lines, warning === null ? [] : [`${dir.path}/config.json: ${warning}`]);
  });
}

const STATIC = "static FP8 inputs of model.layers.0.mlp.experts.0.gate_up_proj, whose scale is stored " +
  "(model.layers.0.mlp.experts.0.gate_up_proj.input_scale), or scheme";
const SCALES = "expected an FP8 cache, as the tensors have its scales for all of 2 layers, or kvCacheDtype, got";
const UNSCALED = "expected scales for the FP8 cache that it says, or kvCacheDtype (fp8: 1 where there are none), got";

/** What contradicts what and is refused, the rest of the line, and options with which it is computed. */
const REFUSED: [what: string, Contradiction, line: string, ways: Partial<PlanOptions>[]][] = [
  [
    "no format of inputs and their scales",
    { quark: { inputScales: true }, config: inputs(null) },
    `.global_quant_config: expected ${STATIC}, got inputs as they are`,
    [{ scheme: "w_mxfp4" }, { scheme: "w_mxfp4_a_fp8" }],
  ],
  [
    "MX inputs and scales of static ones",
    { quark: { inputScales: true }, config: inputs(FP4_INPUT) },
    `.global_quant_config: expected ${STATIC}, got mxfp4`,
    [{ scheme: "w_mxfp4_a_mxfp4" }, { scheme: "w_mxfp4_a_fp8" }],
  ],
  [
    "a cache like the activations and its scales",
    { quark: { kvScales: "output_scale" }, config: withoutCache },
    `: ${SCALES} none`,
    [{ kvCacheDtype: "fp8" }, { kvCacheDtype: "bf16" }],
  ],
  [
    "no quantization_config and scales of the cache",
    { quark: { weights: "bf16", kvScales: "legacy" }, config: () => null },
    `: ${SCALES} nothing`,
    [{ kvCacheDtype: "fp8" }, { kvCacheDtype: "bf16" }],
  ],
  [
    "an FP8 cache without scales",
    { quark: { kvScales: "output_scale" }, tensors: keepScales("none") },
    `: ${UNSCALED} none in the tensors`,
    [{ kvCacheDtype: "fp8" }, { kvCacheDtype: "bf16" }],
  ],
  [
    "an FP8 cache with scales in one layer",
    { quark: { kvScales: "output_scale" }, tensors: keepScales("model.layers.1.") },
    `: ${UNSCALED} those of 1 of 2 layers`,
    [{ kvCacheDtype: "fp8" }, { kvCacheDtype: "bf16" }],
  ],
];

for (const [what, contradiction, line, ways] of REFUSED) {
  Deno.test(`${what} contradict each other and are refused, but with an option that says what to compute`, () => {
    using dir = contradictory(contradiction);
    const checkpoint = openCheckpoint(dir.path);
    assertEquals(
      refusal(() => planModel(checkpoint, OPTIONS), dir.path, InputError),
      `config.json: quantization_config${line}`,
    );
    for (const way of ways) {
      const { plan } = planModel(checkpoint, { ...OPTIONS, ...way });
      if (way.scheme) assertEquals([plan.scheme, plan.warnings], [way.scheme, []]);
      else assertEquals([plan.kvFormat, spelled(plan.kvDecidedBy)], [way.kvCacheDtype!, "kvCacheDtype"]);
    }
  });
}

Deno.test("what quant_method mxfp4 leaves out is a list of names, or the checkpoint is refused", () => {
  using dir = new TemporaryDirectory();
  const shape = { ...SHAPE, layers: 1 };
  makeCheckpoint(dir, new Random(1), { shape, layout: "hf_mxfp4" });
  for (const [said, got] of [[5, "5"], ["lm_head", '"lm_head"'], [["lm_head", 7], "7"]] as const) {
    const quantization_config = { quant_method: "mxfp4", modules_to_not_convert: said };
    dir.write("config.json", { ...randomConfig(shape, "hf_mxfp4"), quantization_config });
    const { message } = assertThrows(() => openCheckpoint(dir.path), InputError);
    assertStringIncludes(message, `modules_to_not_convert: expected a list of module names, got ${got}`);
  }
});

Deno.test("a key of quant_method mxfp4 that is not known is refused, and one without consequence is not", () => {
  using dir = new TemporaryDirectory();
  const shape = { ...SHAPE, layers: 1 };
  makeCheckpoint(dir, new Random(1), { shape, layout: "hf_mxfp4" });
  const write = (more: Json) => {
    const quantization_config = { quant_method: "mxfp4", ...more };
    dir.write("config.json", { ...randomConfig(shape, "hf_mxfp4"), quantization_config });
  };
  write({ dequantize: true, modules_to_not_convert: null });
  assertEquals(openCheckpoint(dir.path).warnings, []);
  write({ activation_scheme: "static" });
  const { message } = assertThrows(() => openCheckpoint(dir.path), InputError);
  assertStringIncludes(message, "config.json: quantization_config.activation_scheme: expected no key of that name");
});

Deno.test("an entry of modules_to_not_convert names a layer's experts by any run of the parts of their path", () => {
  const EXPERTS = "model.layers.0.mlp.experts", SECOND = "model.layers.1.mlp.experts";
  const named: readonly (readonly [entry: string, experts: string | null])[] = [
    ...["model", "layers", "0", "experts", "layers.0", "mlp.experts", EXPERTS].map((one) => [one, EXPERTS] as const),
    ...["1", "layers.1", SECOND].map((one) => [one, SECOND] as const),
    // Parts of names, parts that are no neighbours, layers that the model does not have, and what lies within.
    ...["expert", "model.mlp", "0.experts", "layers.2", `${EXPERTS}.0`, "experts.mlp"].map((one) =>
      [one, null] as const
    ),
  ];
  for (const layout of ["hf_mxfp4", "original"] as const) {
    using dir = new TemporaryDirectory();
    makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout });
    for (const [text, experts] of named) {
      const quantization_config = { quant_method: "mxfp4", modules_to_not_convert: ["lm_head", text] };
      dir.write("config.json", { ...randomConfig(SHAPE, layout), quantization_config });
      const line =
        `${dir.path}/config.json: quantization_config.modules_to_not_convert has "${text}", but the tensors ` +
        `of ${experts} are mxfp4; the tensors count`;
      assertEquals(openCheckpoint(dir.path).warnings, experts === null ? [] : [line], `${layout}, ${text}`);
    }
  }
});
