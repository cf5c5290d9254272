/** Numbers along another axis than the one that is computed, in part of a model only, or said elsewhere. */
import {
  ATTENTION,
  type Bad,
  DYNAMIC,
  floats,
  FP8,
  FP8_SPEC,
  MX,
  MX4,
  ONES,
  overall,
  PER_TOKEN,
} from "./bad_checkpoint.ts";

/** What is wrong, how it is brought about, and the line that refuses it. */
export const BAD_AXES: readonly [wrong: string, bad: Bad, line: RegExp][] = [
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
  [
    "scales of experts' inputs by both of their names",
    {
      quark: { experts: "blocks" },
      tensors: (t) => {
        const name = "model.layers.0.mlp.experts.down_proj";
        for (const join of [".", "_"]) t.set(`${name}${join}input_scale`, floats([3], 1, 2, 3));
      },
    },
    /down_proj_input_scale: expected no other scales of the inputs that \S+down_proj\.input_scale is of, got F32 \[3\]/,
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
];
