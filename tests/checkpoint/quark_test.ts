import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { InputError } from "../../src/errors.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type QuarkOptions, type Shape, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { refusal, rewrite, type StoredNumbers, TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

const SHAPE: Shape = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
const EXPERT = "model.layers.1.mlp.experts.2.gate_up_proj";
const ATTENTION = "model.layers.1.self_attn";

type Tensors = Map<string, StoredNumbers>;
const float32 = (shape: number[], ...values: number[]): StoredNumbers => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});
const u8 = (...shape: number[]): StoredNumbers => ({
  dtype: "U8",
  shape,
  bytes: new Uint8Array(shape.reduce((product, size) => product * size, 1)),
});

/** A checkpoint of layout quark with other tensors than it was made with. */
function changed(quark: QuarkOptions, change: (tensors: Tensors) => void): TemporaryDirectory {
  const dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark });
  rewrite(`${dir.path}/model.safetensors`, change);
  return dir;
}

const MX4: QuarkOptions = { inputScales: true, kvScales: "output_scale" };
const FP8: QuarkOptions = { weights: "fp8", attention: "fp8", inputScales: true };

const BESIDE = `expected none beside BF16 weights, or weight_format "fake_quantized"`;
const BROKEN: [what: string, quark: QuarkOptions, change: (t: Tensors) => void, line: string][] = [
  [
    "a missing scale",
    MX4,
    (t) => t.delete(`${EXPERT}.weight_scale`),
    `${EXPERT}.weight_scale: expected U8 or F8_E8M0 [64, 2], got nothing`,
  ],
  [
    "a missing FP8 scale",
    FP8,
    (t) => t.delete(`${EXPERT}.weight_scale`),
    `${EXPERT}.weight_scale: expected the scale of ${EXPERT}.weight, got nothing`,
  ],
  [
    "blocks of 64",
    MX4,
    (t) => t.set(`${EXPERT}.weight_scale`, u8(64, 1)),
    `${EXPERT}.weight_scale: expected U8 or F8_E8M0 [64, 2], got U8 [64, 1]`,
  ],
  [
    "a scale byte 255",
    MX4,
    (t) => t.get(`${EXPERT}.weight_scale`)!.bytes[5] = 255,
    `${EXPERT}.weight_scale: expected e8m0 scales from 0 to 254, got 255 (NaN) at [2, 1]`,
  ],
  [
    "rows of an unknown format",
    MX4,
    (t) => t.set(`${EXPERT}.weight`, u8(64, 40)),
    `${EXPERT}.weight: expected U8 with rows of 32 bytes (MXFP4) or 48 (MXFP6), got U8 [64, 40]`,
  ],
  [
    "too few rows",
    MX4,
    (t) => t.set(`${EXPERT}.weight`, u8(32, 32)),
    `${EXPERT}.weight: expected U8 [64, 32], got U8 [32, 32]`,
  ],
  [
    "6 bits that the config does not explain",
    MX4,
    (t) => t.set(`${EXPERT}.weight`, u8(64, 48)),
    `${EXPERT}.weight: has 6 bits an element: expected quantization_config to say fp6_e3m2 or fp6_e2m3 for ` +
    `${EXPERT}, got neither`,
  ],
  [
    "a missing expert",
    MX4,
    (t) => t.delete(`${EXPERT}.weight`),
    `${EXPERT}.weight: expected U8, F8_E4M3, BF16, F16 or F32, got nothing`,
  ],
  [
    "a missing bias",
    MX4,
    (t) => t.delete(`${EXPERT}.bias`),
    `${EXPERT}.bias: expected BF16, F16 or F32 [64], got nothing`,
  ],
  [
    "an expert too many",
    MX4,
    (t) => t.set("model.layers.1.mlp.experts.3.down_proj.bias", u8(1)),
    "model.layers.1.mlp.experts.3.down_proj.bias: expected 3 experts (num_local_experts), got another one",
  ],
  [
    "experts of different formats",
    MX4,
    (t) => {
      t.set(`${EXPERT}.weight`, { ...u8(64, 64), dtype: "F8_E4M3" });
      t.set(`${EXPERT}.weight_scale`, float32([], 1));
    },
    `${EXPERT}.weight: expected mxfp4 as in expert 0, got fp8_e4m3 in expert 2`,
  ],
  [
    "experts with one and with many scales",
    FP8,
    (t) => t.set(`${EXPERT}.weight_scale`, float32([64], ...Array(64).fill(1))),
    `${EXPERT}.weight: expected fp8_e4m3 as in expert 0, got fp8_e4m3 with a scale per row in expert 2`,
  ],
  [
    "an input scale that one expert lacks",
    MX4,
    (t) => t.delete(`${EXPERT}.input_scale`),
    `${EXPERT}.input_scale: expected one as for model.layers.1.mlp.experts.0.gate_up_proj, got nothing`,
  ],
  [
    "an input scale that only one expert has",
    { kvScales: "legacy" },
    (t) => t.set(`${EXPERT}.input_scale`, float32([1], 1)),
    `model.layers.1.mlp.experts.0.gate_up_proj.input_scale: expected one as for ${EXPERT}, got nothing`,
  ],
  ...[[0, "0"], [NaN, "NaN"], [-0.5, "-0.5"], [Infinity, "Infinity"]].map(([value, got]) =>
    [
      `an input scale of ${got}`,
      MX4,
      (t: Tensors) => t.set(`${EXPERT}.input_scale`, float32([], value as number)),
      `${EXPERT}.input_scale: expected finite scales above 0, got ${got}`,
    ] as [string, QuarkOptions, (t: Tensors) => void, string]
  ),
  [
    "a row's scale of NaN",
    FP8,
    (t) => t.set(`${ATTENTION}.v_proj.weight_scale`, float32([64], ...Array(63).fill(1), NaN)),
    `${ATTENTION}.v_proj.weight_scale: expected finite scales above 0, got NaN at element 63`,
  ],
  [
    "two input scales",
    MX4,
    (t) => t.set(`${EXPERT}.input_scale`, float32([2], 1, 1)),
    `${EXPERT}.input_scale: expected BF16, F16, F32 or F64 with 1 elements, got F32 [2]`,
  ],
  [
    "an integer as an input scale",
    MX4,
    (t) => t.set(`${EXPERT}.input_scale`, { dtype: "I32", shape: [], bytes: Uint8Array.of(1, 0, 0, 0) }),
    `${EXPERT}.input_scale: expected BF16, F16, F32 or F64 with 1 elements, got I32 []`,
  ],
  [
    "FP8 weights with u8 scales",
    FP8,
    (t) => t.set(`${EXPERT}.weight_scale`, u8(64, 2)),
    `${EXPERT}.weight_scale: expected BF16, F16, F32 or F64 with 1 or 64 elements, got U8 [64, 2]`,
  ],
  [
    "u8 weights with a float scale",
    MX4,
    (t) => t.set(`${EXPERT}.weight_scale`, float32([64, 2], ...Array(128).fill(1))),
    `${EXPERT}.weight_scale: expected U8 or F8_E8M0 [64, 2], got F32 [64, 2]`,
  ],
  [
    "FP8 weights of e5m2",
    FP8,
    (t) => t.set(`${EXPERT}.weight`, { ...u8(64, 64), dtype: "F8_E5M2" }),
    `${EXPERT}.weight: expected U8, F8_E4M3, BF16, F16 or F32, got F8_E5M2 [64, 64]`,
  ],
  [
    "v's scale without k's",
    { kvScales: "legacy" },
    (t) => t.delete(`${ATTENTION}.k_scale`),
    `${ATTENTION}.k_proj.output_scale: expected one as for v_proj, got nothing`,
  ],
  [
    "two scales of k that differ",
    { kvScales: "legacy" },
    (t) => {
      t.set(`${ATTENTION}.k_proj.output_scale`, float32([], 3));
      t.set(`${ATTENTION}.k_scale`, float32([1], 2));
    },
    `${ATTENTION}.k_scale: expected 3 as in ${ATTENTION}.k_proj.output_scale, got 2`,
  ],
  [
    "a scale of both that is not k's",
    { kvScales: "legacy" },
    (t) => {
      t.set(`${ATTENTION}.k_scale`, float32([], 3));
      t.set(`${ATTENTION}.kv_scale`, float32([1], 2));
    },
    `${ATTENTION}.kv_scale: expected 3 as in ${ATTENTION}.k_scale, got 2`,
  ],
  [
    "a scale of both that is larger than k's",
    { kvScales: "legacy" },
    (t) => {
      t.set(`${ATTENTION}.k_scale`, float32([], 3));
      t.set(`${ATTENTION}.kv_scale`, float32([1], 4));
    },
    `${ATTENTION}.kv_scale: expected 3 as in ${ATTENTION}.k_scale, got 4`,
  ],
  [
    "a second stage",
    MX4,
    (t) => t.set(`${EXPERT}.weight_scale_2`, float32([], 1)),
    `${EXPERT}.weight_scale_2: expected symmetric quantization in one stage, got a second stage`,
  ],
  [
    "a scale beside plain weights",
    MX4,
    (t) => t.set(`${ATTENTION}.o_proj.weight_scale`, float32([], 1)),
    `${ATTENTION}.o_proj.weight_scale: ${BESIDE}, got F32 []`,
  ],
  [
    "a zero point",
    MX4,
    (t) => t.set(`${EXPERT}.weight_zero_point`, u8(1)),
    `${EXPERT}.weight_zero_point: expected symmetric quantization in one stage, got a zero point`,
  ],
];

for (const [what, quark, change, line] of BROKEN) {
  Deno.test(`readQuark() refuses ${what}`, () => {
    using dir = changed(quark, change);
    const got = refusal(() => openCheckpoint(dir.path), dir.path, InputError);
    assertEquals(got, `model.safetensors: tensor ${line}`);
  });
}

Deno.test("readQuark() reads scales of torch's e8m0 type and of float64", () => {
  using dir = changed(MX4, (t) => {
    t.set(`${EXPERT}.weight_scale`, { ...t.get(`${EXPERT}.weight_scale`)!, dtype: "F8_E8M0" });
    t.set(`${EXPERT}.input_scale`, { dtype: "F64", shape: [1], bytes: new Uint8Array(Float64Array.of(0.1).buffer) });
  });
  const expert = openCheckpoint(dir.path).source.tree.layers[1]!.gateUp[2]!;
  assertEquals([expert.weight.scale.kind, expert.inputScale], ["e8m0", Math.fround(0.1)]);
});

Deno.test("readQuark() reads FP8 of AMD's fnuz kind", () => {
  using dir = changed(FP8, (t) => {
    t.set(`${ATTENTION}.q_proj.weight`, { ...t.get(`${ATTENTION}.q_proj.weight`)!, dtype: "F8_E4M3FNUZ" });
  });
  assertEquals(openCheckpoint(dir.path).source.tree.layers[1]!.q.weight.format, "fp8_e4m3fnuz");
});

Deno.test("openCheckpoint() asks the config which 6-bit format a module has", () => {
  const block = { qscheme: "per_group", group_size: 32, scale_format: "e8m0" };
  /** Formats of layer 1's q_proj and down_proj. */
  const formats = (layers: Record<string, unknown>, overall: unknown = { dtype: "fp4" }, exclude: string[] = []) => {
    using dir = new TemporaryDirectory();
    const quark: QuarkOptions = { weights: "mxfp6_e3m2", attention: "mxfp6_e3m2" };
    makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark });
    const layer_quant_config = Object.fromEntries(
      Object.entries(layers).map(([name, dtype]) => [name, { weight: { ...block, dtype } }]),
    );
    const global_quant_config = { weight: { ...block, ...overall as Record<string, unknown> } };
    const quantization_config = { quant_method: "quark", global_quant_config, layer_quant_config, exclude };
    dir.write("config.json", { ...randomConfig(SHAPE, "quark"), quantization_config });
    const { q, down } = openCheckpoint(dir.path).source.tree.layers[1]!;
    return [q.weight.format, down[2]!.weight.format];
  };
  const e3m2 = "mxfp6_e3m2", e2m3 = "mxfp6_e2m3", stars = "*".repeat(200);
  assertEquals(formats({}, { dtype: "fp6_e2m3" }), [e2m3, e2m3]);
  assertEquals(formats({}, { dtype: "mx", mx_element_dtype: "fp6_e3m2" }), [e3m2, e3m2]);
  assertEquals(formats({ "*q_proj": "fp6_e2m3" }, { dtype: "fp6_e3m2" }), [e2m3, e3m2]);
  // The first that matches counts, be it a pattern or a module's own name.
  assertEquals(formats({ "*.q_?roj": "fp6_e3m2", "model.layers.*_proj": "fp6_e2m3" }), [e3m2, e2m3]);
  assertEquals(formats({ "model.layers.*_proj": "fp6_e2m3", "*.q_?roj": "fp6_e3m2" }), [e2m3, e2m3]);
  assertEquals(formats({ "*_proj": "fp6_e2m3", [`${ATTENTION}.q_proj`]: "fp6_e3m2" }), [e2m3, e2m3]);
  // The rules of patterns are the plan's: sets, names of fused experts.
  assertEquals(formats({ "*[pq]_proj": "fp6_e2m3" }, { dtype: "fp6_e3m2" }), [e2m3, e3m2]);
  assertEquals(
    formats({ "model.layers.1.mlp.experts.down_proj": "fp6_e2m3" }, { dtype: "fp6_e3m2" }),
    [e3m2, e2m3],
  );
  // Each has its own, however much of two patterns is alike.
  assertEquals(formats({ [`${stars}q_proj`]: "fp6_e2m3", [`${stars}_proj`]: "fp6_e3m2" }), [e2m3, e3m2]);
  // A name that is no pattern matches nothing but itself, and the format of others is not that of a module.
  const told = (...[layers, overall, exclude]: Parameters<typeof formats>) =>
    assertThrows(() => formats(layers, overall, exclude), InputError).message.slice(-96);
  const line = "quantization_config to say fp6_e3m2 or fp6_e2m3 for model.layers.0.self_attn.q_proj, got neither";
  assertEquals([told({ "q_proj": "fp6_e2m3" }), told({}, { dtype: "fp6_e2m3" }, ["*q_proj"])], [line, line]);
});

Deno.test("openCheckpoint() matches patterns with many stars in no time", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark: { weights: "mxfp6_e3m2" } });
  const config = randomConfig(SHAPE, "quark", { weights: "mxfp6_e3m2" });
  const quantization = config["quantization_config"] as Record<string, unknown>;
  quantization["layer_quant_config"] = { ["*o".repeat(40) + "!"]: { weight: { dtype: "fp6_e2m3" } } };
  dir.write("config.json", config);
  assertEquals(openCheckpoint(dir.path).source.tree.layers[0]!.down[0]!.weight.format, "mxfp6_e3m2");
});
