/**
 * Small random models in every format that AMD Quark exports, from quantize() through the files to logits: emulate
 * against reference, and several ranks against one.
 */
import { nmse } from "../nmse.ts";
import { type Checkpoint, openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { openSession, type SessionOptions } from "../session/open_session.ts";
import { planModel } from "../../src/plan/planned.ts";
import { observe } from "../../src/quantize/observe.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { writeRandomCheckpoint } from "../../tools/random_checkpoint.ts";
import { assert, assertEquals } from "../assert.ts";
import { rewrite, type StoredNumbers, TemporaryDirectory } from "../checkpoint/container.ts";
import { run, type RunOptions } from "../quantize/run.ts";
import type { TargetScheme } from "../../src/quantize/targets.ts";
import { dose, SOAK } from "../soak.ts";
import { logitsOf } from "./tiny.ts";

/** Intermediate 160 is five blocks: uneven over two ranks. */
const SHAPE = { ...SHAPES.tiny, layers: 3, hidden: 96, intermediate: 160 };
const TOKENS = Array.from({ length: 20 }, (_, i) => (37 * i + 11) % SHAPE.vocab);

const source = new TemporaryDirectory();
globalThis.addEventListener("unload", () => source[Symbol.dispose]());
writeRandomCheckpoint(source.path, { shape: SHAPE, layout: "hf_bf16", seed: 5 });

/** Those whose logits are compared. */
const COMPARED = TOKENS.slice(0, dose(12, Infinity));

async function logits(checkpoint: Checkpoint, options: Partial<SessionOptions>): Promise<Float32Array> {
  const session = await openSession(checkpoint, {
    ...{ backend: "emulate", dtype: "f32", kvCacheDtype: "auto", context: TOKENS.length, threads: 1 },
    ...options,
  });
  try {
    const all = await logitsOf(session, COMPARED);
    assert(all.every(Number.isFinite));
    return all;
  } finally {
    await session.close();
  }
}

const plain = openCheckpoint(source.path);
const original = await logits(plain, {});
const calibrated = await (async () => {
  const session = await openSession(plain, {
    ...{ backend: "emulate", dtype: "f32", kvCacheDtype: "auto", context: TOKENS.length, threads: 1 },
  });
  const observed = await observe(session, plain.config, [Int32Array.from(TOKENS)]);
  await session.close();
  return observed;
})();

/** Stores two linears of quantized attention as they were: mixed precision within a layer. */
function restore(dir: string): void {
  const kept = ["model.layers.0.self_attn.o_proj", "model.layers.1.self_attn.k_proj"];
  const before = new Map<string, StoredNumbers>();
  rewrite(`${source.path}/model.safetensors`, (tensors) => tensors.forEach((tensor, name) => before.set(name, tensor)));
  rewrite(`${dir}/model.safetensors`, (tensors) => {
    for (const module of kept) {
      tensors.delete(`${module}.weight_scale`);
      tensors.delete(`${module}.input_scale`);
      tensors.set(`${module}.weight`, before.get(`${module}.weight`)!);
    }
  });
  const config = JSON.parse(Deno.readTextFileSync(`${dir}/config.json`));
  config.quantization_config.exclude.push(...kept);
  Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(config));
}

interface Case {
  readonly name: string;
  readonly scheme: TargetScheme;
  readonly options?: RunOptions;
  readonly change?: (dir: string) => void;
  /** Scheme of each layer's experts, and of the linears of attention. */
  readonly expected: { readonly experts: readonly string[]; readonly attention: Readonly<Record<string, string>> };
}

const all = (scheme: string) => ({ q: scheme, k: scheme, v: scheme, o: scheme });
const same = (scheme: string) => [scheme, scheme, scheme];
const CASES: Case[] = [
  ...(["fp8", "ptpc_fp8", "w_mxfp4_a_fp8", "w_mxfp6_e3m2_a_mxfp6_e3m2", "w_mxfp6_e2m3_a_fp8", "w_mxfp6_e2m3"] as const)
    .map((scheme): Case => ({
      name: scheme,
      scheme,
      expected: { experts: same(scheme), attention: all("bf16") },
    })),
  ...(["fp8", "ptpc_fp8", "w_mxfp4_a_mxfp4", "w_mxfp6_e2m3"] as const).map((attention): Case => ({
    name: `w_mxfp4_a_fp8 with attention in ${attention} and an FP8 cache`,
    scheme: "w_mxfp4_a_fp8",
    options: { attention, kvScales: calibrated.kv },
    expected: { experts: same("w_mxfp4_a_fp8"), attention: all(attention) },
  })),
  {
    name: "mixed precision: another scheme in every layer",
    scheme: "w_mxfp4_a_mxfp4",
    options: {
      attention: "fp8",
      layers: [{ first: 0, last: 0, scheme: "fp8" }, { first: 1, last: 1, scheme: "w_mxfp6_e2m3_a_fp8" }],
    },
    expected: { experts: ["fp8", "w_mxfp6_e2m3_a_fp8", "w_mxfp4_a_mxfp4"], attention: all("fp8") },
  },
  {
    name: "mixed precision: another scheme in every layer, and attention quantized in part",
    scheme: "w_mxfp4_a_mxfp6_e3m2",
    options: {
      attention: "ptpc_fp8",
      layers: [{ first: 0, last: 0, scheme: "fp8" }, { first: 2, last: 2, scheme: "w_mxfp6_e3m2" }],
    },
    change: restore,
    expected: {
      experts: ["fp8", "w_mxfp4_a_mxfp6_e3m2", "w_mxfp6_e3m2"],
      attention: { q: "ptpc_fp8", k: "bf16", v: "ptpc_fp8", o: "ptpc_fp8" },
    },
  },
];

for (const [i, { name, scheme, options, change, expected }] of CASES.entries()) {
  // Outside a soak a third: a scale a tensor, blocks with quantized inputs, an FP8 cache, mixed precision.
  if (!SOAK && ![0, 3, 6, CASES.length - 1].includes(i)) continue;
  Deno.test(`Quark's ${name} computes the same in emulate and reference, on one rank and several`, async () => {
    using dir = new TemporaryDirectory();
    await run(plain, dir.path, scheme, { scales: calibrated.inputs, ...options });
    change?.(dir.path);
    const checkpoint = openCheckpoint(dir.path);
    const { plan } = planModel(checkpoint, { dtype: "f32", kvCacheDtype: "auto" });
    assertEquals([checkpoint.warnings, plan.warnings], [[], []]);
    // Where rows are cut over ranks, each rank has a scale of its own for its part of a token, as GPUs' ranks do.
    const perTokenIn = (linear: string) =>
      plan.linears.some(({ module, input }) => module.endsWith(linear) && input.kind === "fp8_token");
    const perToken = { o: perTokenIn(".o_proj"), down: perTokenIn(".down_proj") };
    const schemeOf = (module: string) => plan.linears.find((linear) => linear.module === module)!.scheme;
    assertEquals(
      [0, 1, 2].map((layer) => schemeOf(`model.layers.${layer}.mlp.experts.7.down_proj`)),
      expected.experts,
    );
    for (const [linear, wanted] of Object.entries(expected.attention)) {
      assertEquals(schemeOf(`model.layers.1.self_attn.${linear}_proj`), wanted);
    }

    const one = await logits(checkpoint, {}), effect = nmse(one, original);
    // A rounding that flips by a last-bit difference is a step of its format in one number.
    const assertNear = (a: Float32Array, b: Float32Array, what: string) => {
      const distance = nmse(a, b);
      assert(distance <= 1e-2 * effect && distance <= 1e-4, `${what}: NMSE ${distance}, of the scheme ${effect}`);
    };
    const stored = Deno.readFileSync(`${dir.path}/model.safetensors`);
    assertNear(await logits(checkpoint, { backend: "reference" }), one, "reference");
    const two = await logits(checkpoint, { tp: 2 });
    // Outside a soak by turns.
    if (SOAK || i % 2 === 0) {
      // Attention is cut over the ranks of all groups of experts, experts are whole.
      const reference = { backend: "reference", ep: 2 } as const;
      const alike = !perToken.o ? one : perToken.down ? await logits(checkpoint, reference) : two;
      assertNear(await logits(checkpoint, { ep: 2 }), alike, "ep 2");
    }
    if (SOAK || i % 2 === 1) {
      assertNear(await logits(checkpoint, { backend: "reference", tp: 2 }), two, "reference, tp 2");
    }
    if (!perToken.o && !perToken.down) assertNear(two, one, "tp 2");
    // Ranks that do not add the biases of down_proj have none; nobody zeroes what the files, which are mapped, hold.
    assertEquals(Deno.readFileSync(`${dir.path}/model.safetensors`), stored);
  });
}
