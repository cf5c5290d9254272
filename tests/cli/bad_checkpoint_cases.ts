/** Checkpoints in Quark's layout with one thing wrong. */
import { type QuarkOptions, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import type { StoredNumbers } from "../checkpoint/container.ts";

/** The model that is damaged. */
export const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
const EXPERT = "model.layers.1.mlp.experts.2.down_proj";
const ATTENTION = "model.layers.1.self_attn";

type Tensors = Map<string, StoredNumbers>;
/** Any JSON object. */
export type Json = Record<string, unknown>;
/** What is wrong with a checkpoint: its tensors, or its quantization_config. */
export interface Bad {
  readonly quark?: QuarkOptions;
  readonly shape?: typeof SHAPE;
  readonly tensors?: (tensors: Tensors) => void;
  readonly config?: (quantization: Json, config: Json) => void;
}

const floats = (shape: number[], ...values: number[]): StoredNumbers => ({
  ...{ dtype: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) },
});
const bytes = (dtype: string, ...shape: number[]): StoredNumbers => ({
  ...{ dtype, shape, bytes: new Uint8Array(shape.reduce((product, size) => product * size, 1)) },
});
const MX: Json = { dtype: "fp4", qscheme: "per_group", group_size: 32, is_dynamic: false, scale_format: "e8m0" };
const DYNAMIC: Json = { ...MX, is_dynamic: true };
const FP8_SPEC: Json = { dtype: "fp8_e4m3", qscheme: "per_tensor", is_dynamic: false };
const overall = (weight: unknown, input_tensors: unknown = null) => (quantization: Json) => {
  quantization["global_quant_config"] = { weight, input_tensors };
};

const PER_TOKEN: Json = { dtype: "fp8_e4m3", qscheme: "per_channel", is_dynamic: true };
const ONES = Array<number>(64).fill(1);

const MX4: QuarkOptions = { inputScales: true, kvScales: "output_scale" };
const FP8: QuarkOptions = { weights: "fp8", attention: "fp8", inputScales: true };

/** What is wrong, how it is brought about, and the line that refuses it. */
export const CASES: readonly [wrong: string, bad: Bad, line: RegExp][] = [
  [
    "no scales beside an expert's blocks",
    { tensors: (t) => t.delete(`${EXPERT}.weight_scale`) },
    /2\.down_proj\.weight_scale: expected U8 .*got nothing/,
  ],
  [
    "no scales beside fused experts",
    { quark: { experts: "fused" }, tensors: (t) => t.delete("model.layers.0.mlp.experts.down_proj.weight_scale") },
    /0\.mlp\.experts\.down_proj\.weight_scale: expected U8 .*got nothing/,
  ],
  [
    "no scale beside FP8 weights",
    { quark: FP8, tensors: (t) => t.delete(`${ATTENTION}.q_proj.weight_scale`) },
    /q_proj\.weight_scale: expected the scale of/,
  ],
  [
    "scales for groups of 16",
    { tensors: (t) => t.set(`${EXPERT}.weight_scale`, bytes("U8", 64, 2)) },
    /weight_scale: expected U8 .*\[64, 1\], got U8 \[64, 2\]/,
  ],
  ["groups of 64 in the config", { config: overall({ ...MX, group_size: 64 }) }, /group_size: expected 32, got 64/],
  [
    "a scale that is NaN",
    { tensors: (t) => t.get(`${EXPERT}.weight_scale`)!.bytes[7] = 255 },
    /weight_scale: expected e8m0 scales from 0 to 254, got 255/,
  ],
  ...[0, NaN, -1, Infinity].map((scale): [string, Bad, RegExp] => [
    `an input scale of ${scale}`,
    { quark: MX4, tensors: (t) => t.set(`${EXPERT}.input_scale`, floats([], scale)) },
    new RegExp(`down_proj\\.input_scale: expected finite scales above 0, got ${scale}`),
  ]),
  [
    "an input scale of two numbers",
    { quark: MX4, tensors: (t) => t.set(`${EXPERT}.input_scale`, floats([2], 1, 1)) },
    /input_scale: expected .* with 1 elements, got F32 \[2\]/,
  ],
  [
    "an input scale that one expert lacks",
    { quark: MX4, tensors: (t) => t.delete(`${EXPERT}.input_scale`) },
    /2\.down_proj\.input_scale: expected one as for/,
  ],
  [
    "static inputs without any scale",
    { config: overall(MX, FP8_SPEC) },
    /static FP8 inputs need a calibrated scale, got none for model\.layers\.0/,
  ],
  [
    "a weight scale of zero",
    { quark: FP8, tensors: (t) => t.set(`${ATTENTION}.o_proj.weight_scale`, floats([], 0)) },
    /o_proj\.weight_scale: expected finite scales above 0, got 0/,
  ],
  [
    "two experts of different formats",
    {
      tensors: (t) => {
        t.set(`${EXPERT}.weight`, bytes("F8_E4M3", 64, 32));
        t.set(`${EXPERT}.weight_scale`, floats([], 1));
      },
    },
    /2\.down_proj\.weight: expected mxfp4 as in expert 0, got fp8_e4m3/,
  ],
  [
    "a linear of attention that is missing",
    { quark: FP8, tensors: (t) => t.delete(`${ATTENTION}.v_proj.weight`) },
    /v_proj\.weight: expected .*got nothing/,
  ],
  ["an expert that is missing", {
    tensors: (t) => [...t.keys()].filter((n) => n.startsWith(EXPERT)).forEach((n) => t.delete(n)),
  }, /experts\.2\.down_proj\.weight: expected .*got nothing/],
  [
    "an expert too many",
    { tensors: (t) => t.set(EXPERT.replace(".2.", ".3.") + ".weight", bytes("U8", 64, 16)) },
    /experts\.3\.down_proj\.weight: expected 3 experts/,
  ],
  [
    "a layer too many",
    { tensors: (t) => t.set("model.layers.2.self_attn.sinks", bytes("U8", 4)) },
    /layers\.2\.self_attn\.sinks: expected 2 layers/,
  ],
  [
    "an expert's missing bias",
    { tensors: (t) => t.delete(`${EXPERT}.bias`) },
    /2\.down_proj\.bias: expected BF16.*got nothing/,
  ],
  [
    "k's scale without v's",
    { quark: MX4, tensors: (t) => t.delete(`${ATTENTION}.v_proj.output_scale`) },
    /v_proj\.output_scale: expected one as for k_proj, got nothing/,
  ],
  [
    "v's scale without k's",
    { quark: { kvScales: "legacy" }, tensors: (t) => t.delete(`${ATTENTION}.k_scale`) },
    /k_proj\.output_scale: expected one as for v_proj, got nothing/,
  ],
  ["FP8 weights with scales in bytes", {
    quark: FP8,
    tensors: (t) => t.set(`${EXPERT}.weight_scale`, bytes("U8", 64, 1)),
  }, /2\.down_proj\.weight_scale: expected .* got U8 \[64, 1\]/],
  [
    "blocks with one float for a scale",
    { tensors: (t) => t.set(`${EXPERT}.weight_scale`, floats([], 1)) },
    /2\.down_proj\.weight_scale: expected U8 .*, got F32 \[\]/,
  ],
  [
    "FP8 of five exponent bits",
    { quark: FP8, tensors: (t) => t.set(`${EXPERT}.weight`, bytes("F8_E5M2", 64, 32)) },
    /2\.down_proj\.weight: expected U8, F8_E4M3, .*got F8_E5M2/,
  ],
  [
    "rows as wide as no format's",
    { tensors: (t) => t.set(`${EXPERT}.weight`, bytes("U8", 64, 20)) },
    /rows of 16 bytes \(MXFP4\) or 24 \(MXFP6\), got U8 \[64, 20\]/,
  ],
  ["6-bit weights that the config does not tell apart", {
    tensors: (t) => t.set(`${EXPERT}.weight`, bytes("U8", 64, 24)),
  }, /expected quantization_config to say fp6_e3m2 or fp6_e2m3/],
  ["a scale for half of the rows", {
    quark: FP8,
    tensors: (t) => t.set(`${ATTENTION}.q_proj.weight_scale`, floats([64], ...Array(64).fill(1))),
  }, /q_proj\.weight_scale: expected .* with 1 or 128 elements, got F32 \[64\]/],
  [
    "weights in two stages",
    { tensors: (t) => t.set(`${EXPERT}.weight_scale_2`, floats([], 1)) },
    /weight_scale_2: expected symmetric quantization in one stage/,
  ],
  [
    "a zero point",
    { tensors: (t) => t.set(`${EXPERT}.weight_zero_point`, bytes("U8", 1)) },
    /weight_zero_point: expected symmetric .*got a zero point/,
  ],
  [
    "a progressive list of specs",
    { config: overall([FP8_SPEC, { ...MX, dtype: "int4" }]) },
    /expected one spec, got a list of 2: quantization in stages \("progressive"\)/,
  ],
  [
    "a method that is unknown, of tensors that are called otherwise",
    { tensors: (t) => t.delete(`${EXPERT}.weight`), config: (q) => q["quant_method"] = "gptq" },
    /quant_method: expected "mxfp4" or "quark", got "gptq"/,
  ],
  [
    "a dtype that is unknown",
    { config: overall({ ...MX, dtype: "int4" }) },
    /weight\.dtype: expected fp4 .*got "int4"/,
  ],
  ["inputs that make no scheme with the weights", {
    quark: { weights: "mxfp6_e3m2" },
    config: overall({ ...MX, dtype: "fp6_e3m2" }, DYNAMIC),
  }, /expected bf16, mxfp6_e3m2, fp8, fp8_token inputs with mxfp6_e3m2 weights, got mxfp4/],
  [
    "MX inputs with fixed scales",
    { config: overall(MX, MX) },
    /input_tensors\.is_dynamic: expected true for MX inputs, got false/,
  ],
  [
    "a scale rule that is not computed",
    { config: overall(MX, { ...DYNAMIC, scale_calculation_mode: "ceil" }) },
    /scale_calculation_mode: expected even or floor, got "ceil"/,
  ],
  [
    "experts of a layer with different inputs",
    { config: (q) => q["layer_quant_config"] = { "*experts.1.down_proj": { weight: MX, input_tensors: DYNAMIC } } },
    /expected the same inputs for .*experts\.1\.down_proj as for .*experts\.0\.down_proj/,
  ],
  [
    "a cache in another format",
    { config: (q) => q["kv_cache_quant_config"] = { "*k_proj": { ...FP8_SPEC, dtype: "int8" } } },
    /output_tensors\.dtype: expected fp8_e4m3, got "int8"/,
  ],
  [
    "an expression that is none",
    { config: (q) => q["exclude"] = ["re:[a-"] },
    /exclude: expected a regular expression, got "re:\[a-"/,
  ],
  ...[0, 1, 2, -2].map((axis): [string, Bad, RegExp] => [
    `blocks of inputs along axis ${axis}`,
    { config: overall(MX, { ...DYNAMIC, ch_axis: axis }) },
    new RegExp(`input_tensors\\.ch_axis: expected -1, got ${axis}$`),
  ]),
  [
    "blocks of weights along their rows",
    { config: overall({ ...MX, axis: 0 }) },
    /global_quant_config\.weight\.ch_axis: expected -1 or 1, got 0/,
  ],
  ...[0, -1, 2].map((axis): [string, Bad, RegExp] => [
    `scales of inputs along axis ${axis}`,
    { quark: { ...FP8, inputScales: false }, config: overall(FP8_SPEC, { ...PER_TOKEN, ch_axis: axis }) },
    new RegExp(`input_tensors\\.ch_axis: expected 1 or -2, got ${axis}$`),
  ]),
  [
    "as many scales of columns as it has rows",
    { quark: FP8, tensors: (t) => t.set(`${ATTENTION}.k_proj.weight_scale`, floats([1, 64], ...ONES)) },
    /k_proj\.weight_scale: expected one number, or scales \[64\], got F32 \[1, 64\]/,
  ],
  [
    "as many scales of blocks as it has rows",
    { quark: FP8, tensors: (t) => t.set(`${ATTENTION}.k_proj.weight_scale`, floats([8, 8], ...ONES)) },
    /k_proj\.weight_scale: expected one number, or scales \[64\], got F32 \[8, 8\]/,
  ],
  [
    "experts' scales in the order of rows",
    {
      quark: { weights: "fp8_channel", experts: "fused" },
      tensors: (t) => {
        const name = "model.layers.0.mlp.experts.down_proj.weight_scale";
        t.set(name, { ...t.get(name)!, shape: [64, 3] });
      },
    },
    /experts\.down_proj\.weight_scale: expected one number, or scales \[3\] or \[3, 64\], got F32 \[64, 3\]/,
  ],
  ...["export.kv_cache_group", "kv_cache_quant_config"].map((key): [string, Bad, RegExp] => [
    `an FP8 cache of keys alone, by ${key}`,
    {
      quark: MX4,
      config: (q) => {
        const entries = { "*k_proj": { output_tensors: FP8_SPEC }, "*v_proj": { output_tensors: null } };
        q[key === "kv_cache_quant_config" ? key : "layer_quant_config"] = entries;
      },
    },
    /expected FP8 for all keys and values .*got it for \S+0\.self_attn\.k_proj and not for \S+0\.self_attn\.v_proj/,
  ]),
  [
    "an FP8 cache in one layer",
    {
      config: (q) => {
        const entry = { output_tensors: FP8_SPEC };
        q["layer_quant_config"] = Object.fromEntries(["k", "v"].map((name) => [`${ATTENTION}.${name}_proj`, entry]));
      },
    },
    /got it for model\.layers\.1\.self_attn\.k_proj and not for model\.layers\.0\.self_attn\.k_proj/,
  ],
  [
    "a quantization of old compressed-tensors",
    { config: (_, config) => config["compression_config"] = { quant_method: "compressed-tensors" } },
    /config\.json: compression_config: expected none: quantization_config alone is read, got/,
  ],
  [
    "input features that are no whole blocks",
    { config: (_, config) => config["intermediate_size"] = 24 },
    /expected .*(in blocks of 32|\[48, )/,
  ],
];
