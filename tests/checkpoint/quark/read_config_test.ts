/** What AMD Quark's config may ask for, and what is refused; through makePlan(), as a user meets it. */
import { quarkConfigOf } from "../../../src/checkpoint/layouts/quark_said.ts";
import { InputError } from "../../../src/errors.ts";
import type { PlanRequest } from "../../../src/plan/request.ts";
import { assert, assertEquals } from "../../assert.ts";
import { entry, FP4_WEIGHT, FP8, mxSpec, ptpc, quark } from "./quark_specs.ts";
import { model, plan, refused } from "../../plan/stored_models.ts";
import { spelled } from "../../../src/words.ts";

Deno.test("makePlan() reads a config that has nothing but the global entry", () => {
  const made = plan(model(), { quant_method: "quark", global_quant_config: { weight: FP4_WEIGHT } });
  assertEquals(made.scheme, "w_mxfp4");
  // That attention is plain, the tensors show; whether its inputs are, they do not.
  const inputs = { global_quant_config: entry(FP4_WEIGHT, mxSpec("fp4", true)) };
  assertEquals(plan(model(), { ...inputs, exclude: ["*self_attn*"] }).scheme, "w_mxfp4_a_mxfp4");
  refused("global_quant_config: expected a quantized weight of model.layers.0.self_attn.q_proj", model(), inputs);
});

/** What a config must not ask for, and the line that refuses it. */
const BAD: [what: string, config: Record<string, unknown>, line: string][] = [
  [
    "stages of weights",
    quark(entry([FP8, { ...FP8, dtype: "int4" }], null)),
    "global_quant_config.weight: expected one spec, got a list of 2: quantization in stages " +
    '("progressive") is not supported',
  ],
  [
    "stages of inputs",
    quark(entry(FP4_WEIGHT, [FP8, FP8])),
    "global_quant_config.input_tensors: expected one spec, got a list of 2",
  ],
  [
    "blocks of 16",
    quark(entry(mxSpec("fp4", false, { group_size: 16 }), null)),
    "global_quant_config.weight.group_size: expected 32, got 16",
  ],
  [
    "input blocks of 64",
    quark(entry(FP4_WEIGHT, mxSpec("fp4", true, { group_size: 64 }))),
    "input_tensors.group_size: expected 32, got 64",
  ],
  [
    "other scales",
    quark(entry(mxSpec("fp4", false, { scale_format: "e4m3" }), null)),
    'weight.scale_format: expected e8m0, got "e4m3"',
  ],
  [
    "FP4 per channel",
    quark(entry(mxSpec("fp4", false, { qscheme: "per_channel" }), null)),
    'weight.qscheme: expected per_group, got "per_channel"',
  ],
  [
    "int8",
    quark(entry({ ...FP8, dtype: "int8" }, null)),
    'weight.dtype: expected fp4 or fp6_e3m2 or fp6_e2m3 or fp8_e4m3, got "int8"',
  ],
  [
    "e5m2 inputs",
    quark(entry(FP4_WEIGHT, { ...FP8, dtype: "fp8_e5m2" })),
    'input_tensors.dtype: expected fp4 or fp6_e3m2 or fp6_e2m3 or fp8_e4m3, got "fp8_e5m2"',
  ],
  [
    "static MX inputs",
    quark(entry(FP4_WEIGHT, mxSpec("fp4", false))),
    "input_tensors.is_dynamic: expected true for MX inputs, got false",
  ],
  [
    "dynamic inputs per tensor",
    quark(entry(FP4_WEIGHT, { ...FP8, is_dynamic: true })),
    "input_tensors.is_dynamic: expected false for per_tensor, got true",
  ],
  [
    "static inputs per channel",
    quark(entry(FP4_WEIGHT, ptpc(false))),
    "input_tensors.is_dynamic: expected true for per_channel inputs, got false",
  ],
  [
    "FP8 groups",
    quark(entry({ ...FP8, qscheme: "per_group", group_size: 128 }, null)),
    'weight.qscheme: expected per_tensor or per_channel, got "per_group"',
  ],
  [
    "weights per input channel",
    quark(entry({ ...ptpc(false), ch_axis: 1 }, null)),
    "weight.ch_axis: expected 0, got 1",
  ],
  [
    "the rule ceil",
    quark(entry(FP4_WEIGHT, mxSpec("fp4", true, { scale_calculation_mode: "ceil" }))),
    'scale_calculation_mode: expected even or floor, got "ceil"',
  ],
  [
    "quantized biases",
    quark({ ...entry(FP4_WEIGHT, null), bias: FP8 }),
    "global_quant_config.bias: expected null: biases are not quantized, got a spec",
  ],
  [
    "quantized outputs",
    quark(entry(FP4_WEIGHT, null, FP8)),
    "global_quant_config.output_tensors: expected null for model.layers.0.mlp.experts.0.gate_up_proj",
  ],
  ["a spec that is a text", quark(entry("fp4", null)), 'global_quant_config.weight: expected an object, got "fp4"'],
  [
    "a dtype that is a number",
    quark(entry({ dtype: 4 }, null)),
    "global_quant_config.weight: dtype: expected a name, got 4",
  ],
  [
    "an entry that is a list",
    quark(entry(null, null), { layer_quant_config: { "*": [] } }),
    'layer_quant_config "*": expected an object, got an array of 0',
  ],
  [
    "exclude that is a text",
    quark(entry(null, null), { exclude: "lm_head" }),
    'quantization_config: exclude: expected a list of names, got "lm_head"',
  ],
  [
    "a broken expression",
    quark(entry(null, null), { exclude: ["re:("] }),
    'quantization_config.exclude: expected a regular expression, got "re:("',
  ],
  [
    "thousands of patterns",
    quark(entry(null, null), { exclude: Array.from({ length: 1001 }, (_, i) => `*${i}`) }),
    "expected up to 1000 patterns, got 1001",
  ],
  [
    "older element names",
    quark(entry({ dtype: "mx", mx_element_dtype: "int8", block_size: 32 }, null)),
    'weight.mx_element_dtype: expected fp4 or fp6_e3m2 or fp6_e2m3, got "int8"',
  ],
];

for (const [what, config, line] of BAD) {
  Deno.test(`makePlan() refuses ${what}`, () => {
    refused(line, model({ scale: () => 1 }), {
      ...config,
      exclude: config["exclude"] ?? ["lm_head", "*self_attn*", "*router*"],
    });
  });
}

Deno.test("makePlan() does not read entries that no module of the model needs", () => {
  const config = quark(entry(FP4_WEIGHT, null), { layer_quant_config: { "*vision*": entry([FP8, FP8], "what") } });
  assertEquals(plan(model(), config).scheme, "w_mxfp4");
});

const KV = { "*k_proj": entry(null, null, FP8), "*v_proj": entry(null, null, FP8) };

Deno.test("makePlan() takes the KV format from the config only where it is asked to", () => {
  const group = { kv_cache_group: ["*k_proj", "*v_proj"] };
  const config = quark(entry(FP4_WEIGHT, null), { layer_quant_config: KV, export: group });
  const kv = (
    asked: PlanRequest["kvCacheDtype"],
    quantization: PlanRequest["quantization"],
    dtype: "bf16" | "f32" = "bf16",
  ) => {
    const made = plan(model(), quantization, { dtype, ...(asked ? { kvCacheDtype: asked } : {}) });
    return `${made.kvFormat} by ${spelled(made.kvDecidedBy)}`;
  };
  assertEquals(kv("auto", config), "fp8 by quantization_config");
  assertEquals(kv(undefined, config, "f32"), "fp8 by quantization_config");
  assertEquals(kv("bf16", config), "bf16 by kvCacheDtype");
  assertEquals(kv("auto", null), "bf16 by dtype");
  assertEquals(kv("auto", null, "f32"), "f32 by dtype");
  assertEquals(kv("fp8", null), "fp8 by kvCacheDtype");
  assertEquals(kv("auto", quark(entry(FP4_WEIGHT, null))), "bf16 by dtype");
  // kv_cache_quant_config counts first.
  const newer = { "*k_proj": entry(null, null, FP8), "*v_proj": entry(null, null, FP8) };
  assertEquals(
    kv("auto", quark(entry(FP4_WEIGHT, null), { kv_cache_quant_config: newer })),
    "fp8 by quantization_config",
  );
});

Deno.test("makePlan() refuses KV formats other than FP8 with one scale", () => {
  const with_ = (output: unknown) =>
    quark(entry(FP4_WEIGHT, null), { layer_quant_config: { "*k_proj": entry(null, null, output) }, exclude: [] });
  refused(
    'layer_quant_config "*k_proj".output_tensors.dtype: expected fp8_e4m3, got "int8"',
    model(),
    with_({ ...FP8, dtype: "int8" }),
  );
  refused('output_tensors.qscheme: expected per_tensor, got "per_channel"', model(), with_(ptpc(false)));
  refused("output_tensors.is_dynamic: expected false, got true", model(), with_({ ...FP8, is_dynamic: true }));
});

Deno.test("makePlan() refuses FP8 queries and probabilities, or goes on without where the cache is asked for", () => {
  const attentionScales = { file: "model.safetensors", tensor: "model.layers.0.self_attn.q_proj.output_scale" };
  const queries = 'quantization_config.layer_quant_config "*q_proj".output_tensors';
  const config = (more: Record<string, unknown>, q: unknown = null) =>
    quark(entry(FP4_WEIGHT, null), {
      exclude: ["lm_head", "*router*"],
      layer_quant_config: { ...KV, "*q_proj": entry(null, null, q), "*o_proj": entry(null, null) },
      ...more,
    });
  const cases: [
    config: Record<string, unknown>,
    more: Partial<PlanRequest>,
    at: string,
    expected: string,
    got: string,
  ][] = [
    [
      config({ softmax_quant_spec: FP8 }),
      {},
      "config.json: quantization_config.softmax_quant_spec",
      "null",
      "a spec: attention probabilities are not quantized",
    ],
    [
      config({}, FP8),
      {},
      `config.json: ${queries}`,
      "null for model.layers.0.self_attn.q_proj",
      "a spec: queries are not quantized",
    ],
    [
      config({}),
      { attentionScales },
      `${attentionScales.file}: tensor ${attentionScales.tensor}`,
      "none",
      "one: queries and probabilities are not quantized",
    ],
  ];
  for (const [quantization, more, at, expected, got] of cases) {
    refused(`${at}: expected ${expected}, or kvCacheDtype to go on without, got ${got}`, model(), quantization, more);
    refused(`${at}: expected ${expected}`, model(), quantization, { ...more, kvCacheDtype: "auto" });
  }
  for (const kvCacheDtype of ["bf16", "fp8"] as const) {
    const all = plan(model(), config({ softmax_quant_spec: FP8 }, FP8), { attentionScales, kvCacheDtype });
    assertEquals([all.kvFormat, ...all.warnings], [
      kvCacheDtype,
      "config.json: quantization_config.softmax_quant_spec: attention probabilities are not quantized",
      `config.json: ${queries}: queries are not quantized`,
      `model.safetensors: tensor ${attentionScales.tensor}: not used: queries and probabilities are not quantized`,
    ]);
  }
});

Deno.test("makePlan() never fails otherwise than in one line, whatever the config is", () => {
  const junk = [null, 0, "", "x", [], {}, [null], { dtype: null }, { weight: [] }, true, -1, { "*": { weight: {} } }];
  const keys = [
    "global_quant_config",
    "layer_quant_config",
    "layer_type_quant_config",
    "exclude",
    "kv_cache_quant_config",
    "export",
    "softmax_quant_spec",
  ];
  for (const key of keys) {
    for (const value of junk) {
      for (
        const inner of [
          value,
          { a: value, "*": value },
          { weight: value, input_tensors: value, output_tensors: value, bias: value },
          { kv_cache_group: value },
          [value],
        ]
      ) {
        try {
          plan(model({ layers: 1 }), quark(entry(FP4_WEIGHT, null), { [key]: inner }));
        } catch (thrown) {
          assert(thrown instanceof InputError, `${key}: ${JSON.stringify(inner)}: ${thrown}`);
          assert(thrown.message.startsWith("config.json: ") && !thrown.message.includes("\n"), thrown.message);
        }
      }
    }
  }
});

Deno.test("a config is read once, whoever asks, and plans of one checkpoint do not use its fuel up", () => {
  const spec = entry(FP4_WEIGHT, null), config = quark(spec, { layer_quant_config: KV });
  const read = quarkConfigOf(config, "config.json");
  assert(read !== null && quarkConfigOf(config, "config.json") === read);
  assert(quarkConfigOf(structuredClone(config), "config.json") !== read, "another file");
  const other = quarkConfigOf(config, "other.json");
  assert(other !== read, "messages name another file");
  assertEquals([quarkConfigOf(null, "config.json"), quarkConfigOf({ quant_method: "mxfp4" }, "config.json")], [
    null,
    null,
  ]);
  // As much as some hundred plans would need, were patterns tried anew each time.
  const patterns = Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`*${"a*".repeat(20)}${i}`, spec]));
  const costly = quark(spec, {
    layer_quant_config: { ...patterns, ...KV },
    kv_cache_quant_config: { ...patterns, ...KV },
  });
  const plans = Array.from({ length: 300 }, () => plan(model(), costly));
  assert(plans.every(({ kvFormat }) => kvFormat === "fp8"));
});
