/**
 * Checkpoints in Quark's layout with one thing wrong, given to the program: one line that names it, exit code 2,
 * nothing computed.
 */
import { relative } from "node:path";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { rewrite, SHORT, TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";
import { BAD_AXES } from "./bad_axes.ts";
import {
  ATTENTION,
  type Bad,
  bytes,
  DYNAMIC,
  EXPERT,
  floats,
  FP8,
  FP8_SPEC,
  type Json,
  MX,
  MX4,
  overall,
  SHAPE,
} from "./bad_checkpoint.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

/** What is wrong, how it is brought about, and the line that refuses it. */
const CASES: readonly [wrong: string, bad: Bad, line: RegExp][] = [
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
    /2\.down_proj\.weight: expected mxfp4 as in expert 0, got fp8_e4m3 in expert 2/,
  ],
  [
    "one tensor of experts in both formats of 6 bits",
    {
      quark: { weights: "mxfp6_e3m2", experts: "fused" },
      config: (quantization) => {
        const entry = { weight: { ...MX, dtype: "fp6_e2m3" }, input_tensors: null };
        quantization["layer_quant_config"] = { "*.1.mlp.experts.2.down_proj": entry };
      },
    },
    /1\.mlp\.experts\.down_proj\.weight: expected mxfp6_e3m2 as in expert 0, got mxfp6_e2m3 in expert 2$/m,
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
  ...["model.embed_positions.weight", "model.layers.0.layer_scalar", "lm_head.bias"].map((
    name,
  ): [string, Bad, RegExp] => [
    `a tensor that is not known, ${name}`,
    { tensors: (t) => t.set(name, bytes("U8", 40)) },
    /tensor \S+(?:weight|scalar|bias): expected none of that name, got one: what it does to the model is not known$/,
  ]),
  [
    "a table of the rotary embedding that is not the config's",
    { tensors: (t) => t.set("model.rotary_emb.inv_freq", floats([16], ...Array(16).fill(1))) },
    /inv_freq: expected 0\.\d+ at element 1, which follows from the config, got 1$/,
  ],
  [
    "a scale beside weights that are not quantized",
    { tensors: (t) => t.set(`${ATTENTION}.q_proj.weight_scale`, floats([], 1)) },
    /q_proj\.weight_scale: expected none beside BF16 weights, or weight_format "fake_quantized", got F32 \[\]$/,
  ],
  [
    "a key of config.json that is not known",
    { config: (_, config) => config["attn_logit_softcapping"] = 30 },
    /config\.json: attn_logit_softcapping: expected no key of that name: .*, got 30$/,
  ],
  [
    "a key of quantization_config that is not known",
    { config: (q) => q["outliers"] = { bits: 8 } },
    /quantization_config: outliers: expected no key of that name: .*, got an object$/,
  ],
  [
    "a cache group that matches nothing",
    { config: (q) => (q["export"] as Json)["kv_cache_group"] = ["*key"] },
    /export\.kv_cache_group: expected names of entries of layer_quant_config .*, got none that does$/,
  ],
  [
    "attention that exclude does not name, its inputs made on the fly",
    {
      config: (q) => {
        q["exclude"] = ["lm_head"];
        overall(MX, DYNAMIC)(q);
      },
    },
    /expected a quantized weight of model\.layers\.0\.self_attn\.q_proj, or exclude to name it, got a plain one/,
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
    /kv_cache_quant_config "\*k_proj"\.dtype: expected fp8_e4m3, got "int8"/,
  ],
  [
    "an expression that is none",
    { config: (q) => q["exclude"] = ["re:[a-"] },
    /exclude: expected a regular expression, got "re:\[a-"/,
  ],
  [
    "input features that are no whole blocks",
    { config: (_, config) => config["intermediate_size"] = 24 },
    /expected .*(in blocks of 32|\[48, )/,
  ],
  ...BAD_AXES,
];

for (const [i, [wrong, { quark = {}, shape = SHAPE, tensors, config }, line]] of CASES.entries()) {
  Deno.test(`mxoss refuses a Quark checkpoint with ${wrong}`, async () => {
    using dir = new TemporaryDirectory(SHORT);
    makeCheckpoint(dir, new Random(1), { shape, layout: "quark", quark });
    if (tensors) rewrite(`${dir.path}/model.safetensors`, tensors);
    if (config) {
      const json = randomConfig(shape, "quark", quark);
      config(json["quantization_config"] as Json, json);
      dir.write("config.json", json);
    }
    const model = relative(Deno.cwd(), dir.path), out = `${dir.path}/logits.safetensors`;
    const args = ["logits", "--model", model, "--tokens", "1,2", "--out", out];
    const { code, stdout, stderr } = await (i === 0 ? mxoss(args, { writable: dir.path }) : inProcess(args));
    assertMatch(stderr, /^(?:warning: [^\n]+\n)*error: [^\n]+\n$/);
    const last = stderr.split("\n").at(-2)!;
    assertMatch(last, line);
    assertMatch(last, /^error: \S+\/(config\.json|model\.safetensors): .*(expected|need) .*got /);
    assert(last.startsWith(`error: ${model}/`), last);
    assertEquals([code, stdout], [2, ""]);
    assertEquals([...Deno.readDirSync(dir.path)].length, 2);
  });
}
