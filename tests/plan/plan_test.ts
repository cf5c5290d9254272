import { spelled } from "../../src/words.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { assert, assertEquals } from "../assert.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, FP8, mxSpec, ptpc, quark } from "../checkpoint/quark/quark_specs.ts";
import { BF16, FP8_ROW, FP8_TENSOR, inputs, model, MXFP4, mxfp6, plan, refused, type Stored } from "./stored_models.ts";

const EXPERT = "model.layers.0.mlp.experts.1.gate_up_proj";
const mx = (element: string, rule = "even") => ({ kind: "mx", element, rule });
const NONE = { kind: "none" };

Deno.test("makePlan() without quantization_config leaves all inputs as they are", () => {
  for (const experts of [MXFP4, BF16, FP8_TENSOR]) {
    const made = plan(model({ experts }), null);
    assert(made.linears.every(({ input }) => input.kind === "none"));
    assertEquals(made.linears.map(({ module }) => module), model().map(({ module }) => module), "in order");
    assertEquals(made.warnings, []);
    assertEquals(made.linears[0]!.decidedBy, "no quantization_config");
  }
  assertEquals(plan(model(), null).scheme, "w_mxfp4");
  assertEquals(plan(model({ experts: BF16 }), null).scheme, "bf16");
});

Deno.test("makePlan() of Hugging Face's mxfp4 leaves inputs as they are", () => {
  const config = { quant_method: "mxfp4", modules_to_not_convert: ["model.layers.*.self_attn"] };
  const made = plan(model(), config);
  assertEquals(made.scheme, "w_mxfp4");
  assertEquals(made.warnings, []);
  assertEquals(made.linears[0]!.decidedBy, "quant_method mxfp4");
});

Deno.test("makePlan() refuses other quantization methods", () => {
  refused('quantization_config.quant_method: expected "mxfp4" or "quark", got "awq"', model(), { quant_method: "awq" });
  refused('expected "mxfp4" or "quark", got nothing', model(), { bits: 4 });
  refused('expected "mxfp4" or "quark", got 7', model(), { quant_method: 7 });
});

/** Scheme, how experts are stored, their entry in the config, what becomes of their inputs. */
const SCHEMES: [name: string, experts: Stored, weight: unknown, input: unknown, planned: unknown][] = [
  ["w_mxfp4", MXFP4, FP4_WEIGHT, null, NONE],
  ["w_mxfp4_a_mxfp4", MXFP4, FP4_WEIGHT, FP4_INPUT, mx("e2m1")],
  ["w_mxfp4_a_mxfp6_e3m2", MXFP4, FP4_WEIGHT, mxSpec("fp6_e3m2", true), mx("e3m2")],
  ["w_mxfp4_a_mxfp6_e2m3", MXFP4, FP4_WEIGHT, mxSpec("fp6_e2m3", true), mx("e2m3")],
  ["w_mxfp4_a_fp8", MXFP4, FP4_WEIGHT, FP8, { kind: "fp8_static", scale: 0.25 }],
  ["w_mxfp6_e3m2", mxfp6("e3m2"), mxSpec("fp6_e3m2", false), null, NONE],
  ["w_mxfp6_e3m2_a_mxfp6_e3m2", mxfp6("e3m2"), mxSpec("fp6_e3m2", false), mxSpec("fp6_e3m2", true), mx("e3m2")],
  ["w_mxfp6_e3m2_a_fp8", mxfp6("e3m2"), mxSpec("fp6_e3m2", false), FP8, { kind: "fp8_static", scale: 0.25 }],
  ["w_mxfp6_e2m3", mxfp6("e2m3"), mxSpec("fp6_e2m3", false), null, NONE],
  ["w_mxfp6_e2m3_a_mxfp6_e2m3", mxfp6("e2m3"), mxSpec("fp6_e2m3", false), mxSpec("fp6_e2m3", true), mx("e2m3")],
  ["w_mxfp6_e2m3_a_fp8", mxfp6("e2m3"), mxSpec("fp6_e2m3", false), FP8, { kind: "fp8_static", scale: 0.25 }],
  ["fp8", FP8_TENSOR, FP8, FP8, { kind: "fp8_static", scale: 0.25 }],
  ["ptpc_fp8", FP8_ROW, ptpc(false), ptpc(true), { kind: "fp8_token" }],
  ["bf16", BF16, null, null, NONE],
];

for (const [name, experts, weight, input, planned] of SCHEMES) {
  Deno.test(`makePlan() reads ${name} from Quark's config`, () => {
    const scale = () => input === FP8 ? 0.25 : null;
    const made = plan(model({ experts, scale }), quark(entry(weight, input)));
    assertEquals(made.scheme, name);
    assertEquals(made.warnings, []);
    for (const linear of made.linears) {
      const expert = linear.module.includes(".experts.");
      assertEquals(linear.input, expert ? planned : NONE, linear.module);
      assertEquals(spelled(linear.decidedBy).startsWith(expert ? "global_quant_config" : "exclude"), true);
    }
  });

  Deno.test(`makePlan() applies --scheme ${name} to the experts only`, () => {
    const made = plan(model({ experts, scale: () => 0.25 }), null, { scheme: name });
    assertEquals(made.scheme, name);
    for (const { module, input, decidedBy } of made.linears) {
      const expert = module.includes(".experts.");
      assertEquals(input, expert ? planned : NONE, module);
      assertEquals(spelled(decidedBy) === "scheme", expert);
    }
  });
}

Deno.test("makePlan() reads the scale rule of MXFP8 inputs from Quark's config, and takes rceil by --scheme", () => {
  const experts = (made: Plan) => inputs(made)["0.mlp.experts.0.down_proj"];
  for (const rule of ["even", "floor"] as const) {
    const input = mxSpec("fp8_e4m3", true, { scale_calculation_mode: rule });
    const made = plan(model(), quark(entry(FP4_WEIGHT, input)));
    assertEquals([made.scheme, made.scaleRule, experts(made)], ["w_mxfp4_a_mxfp8", rule, mx("e4m3fn", rule)]);
    const older = { ...input, dtype: "mx", mx_element_dtype: "fp8_e4m3" };
    assertEquals(experts(plan(model(), quark(entry(FP4_WEIGHT, older)))), mx("e4m3fn", rule));
  }
  const asked = plan(model(), quark(entry(FP4_WEIGHT, FP4_INPUT)), { scheme: "w_mxfp4_a_mxfp8" });
  assertEquals([asked.scheme, asked.scaleRule, experts(asked)], ["w_mxfp4_a_mxfp8", "rceil", mx("e4m3fn", "rceil")]);
});

Deno.test("makePlan() reads the rule of input scales, and says which one there is", () => {
  const floor = mxSpec("fp4", true, { scale_calculation_mode: "floor" });
  const made = plan(model(), quark(entry(FP4_WEIGHT, floor)));
  assertEquals(inputs(made)["0.mlp.experts.0.down_proj"], mx("e2m1", "floor"));
  const unsaid = plan(model(), quark(entry(FP4_WEIGHT, mxSpec("fp4", true, { scale_calculation_mode: null }))));
  assertEquals(inputs(unsaid)["0.mlp.experts.0.down_proj"], mx("e2m1"));
  const both = quark(entry(FP4_WEIGHT, floor), {
    layer_quant_config: { "*layers.1.*": entry(FP4_WEIGHT, FP4_INPUT) },
  });
  assertEquals(
    [
      made,
      unsaid,
      plan(model(), both),
      plan(model(), null),
      plan(model(), quark(entry(FP4_WEIGHT, floor)), {
        scheme: "w_mxfp4_a_mxfp4",
      }),
    ].map(({ scaleRule }) => scaleRule),
    ["floor", "even", "floor + even", null, "even"],
  );
});

Deno.test("makePlan() reads names of older exports", () => {
  const older = (dtype: string, dynamic: boolean) => ({
    dtype: "mx",
    mx_element_dtype: dtype,
    qscheme: "per_group",
    dynamic,
    axis: -1,
    block_size: 32,
  });
  const made = plan(
    model({ attention: MXFP4 }),
    quark([entry(older("fp4", false), older("fp4", true))][0], { layer_quant_config: null, exclude: null }),
  );
  assertEquals(inputs(made)["1.mlp.experts.2.gate_up_proj"], mx("e2m1"));
  // A list of one spec is that spec.
  const listed = plan(model(), quark(entry([FP4_WEIGHT], [FP4_INPUT])));
  assertEquals(listed.scheme, "w_mxfp4_a_mxfp4");
});

Deno.test("makePlan() lets layer_quant_config count before global: names and patterns in order, then class", () => {
  const config = quark(entry(FP4_WEIGHT, null), {
    exclude: ["lm_head", "*router*"],
    layer_quant_config: {
      "model.layers.1.self_attn.k_proj": entry(FP8, FP8),
      "*self_attn*": entry(ptpc(false), ptpc(true)),
      "*.0.self_attn.o_proj": entry(null, null),
      "model.layers.1.self_attn.o_proj": entry(FP8, FP8),
      "*layers.1.mlp.experts*": entry(FP4_WEIGHT, FP4_INPUT),
      "model.layers.0.mlp.experts.[0-9].down*": entry(FP4_WEIGHT, mxSpec("fp6_e2m3", true)),
    },
    layer_type_quant_config: {
      "<class 'torch.nn.modules.linear.Linear'>": entry(FP4_WEIGHT, mxSpec("fp6_e3m2", true)),
    },
  });
  const K = "model.layers.1.self_attn.k_proj";
  const linears = model({ attention: FP8_ROW, scale: (module) => module === K ? 2 : null });
  const made = inputs(plan(linears, config));
  assertEquals(made["0.self_attn.q_proj"], { kind: "fp8_token" });
  assertEquals(made["0.self_attn.o_proj"], { kind: "fp8_token" }, "the first pattern wins");
  assertEquals(made["1.self_attn.k_proj"], { kind: "fp8_static", scale: 2 }, "an exact name, which comes first");
  assertEquals(made["1.self_attn.o_proj"], { kind: "fp8_token" }, "an exact name after a pattern is one that is later");
  assertEquals(made["1.mlp.experts.0.gate_up_proj"], mx("e2m1"));
  assertEquals(made["0.mlp.experts.2.down_proj"], mx("e2m3"));
  assertEquals(made["0.mlp.experts.2.gate_up_proj"], mx("e3m2"), "the class counts before the global entry");
});

/** The linears of a model some of whose experts are plain. */
const withPlain = (isPlain: (module: string) => boolean, layers = 2) =>
  model({ layers }).map((linear) => isPlain(linear.module) ? { ...linear, ...BF16 } : linear);

Deno.test("makePlan() lets exclude count first: exact, pattern and re:", () => {
  for (
    const exclude of [["lm_head", EXPERT.replace(".1.", ".0."), EXPERT, EXPERT.replace(".1.", ".2.")], [
      "*layers.0.mlp.experts.*.gate_up_proj",
    ], ["re:.*layers\\.0.*gate"]]
  ) {
    const config = quark(entry(FP4_WEIGHT, FP4_INPUT), {
      exclude: [...exclude, "*self_attn*"],
      layer_quant_config: { [EXPERT]: entry(FP4_WEIGHT, FP4_INPUT) },
    });
    const made = plan(withPlain((module) => module.includes("gate_up"), 1), config);
    assertEquals(inputs(made)["0.mlp.experts.1.gate_up_proj"], NONE, `${exclude}`);
    assertEquals(inputs(made)["0.mlp.experts.1.down_proj"], mx("e2m1"));
    assertEquals(made.scheme, "bf16 + w_mxfp4_a_mxfp4");
  }
});

Deno.test("makePlan() knows experts by the fused module's name too", () => {
  const fused = "model.layers.0.mlp.experts.gate_up_proj";
  const config = quark(entry(FP4_WEIGHT, null), { layer_quant_config: { [fused]: entry(FP4_WEIGHT, FP4_INPUT) } });
  assertEquals(inputs(plan(model(), config))["0.mlp.experts.1.gate_up_proj"], mx("e2m1"));
  const exclude = ["model.layers.0.mlp.experts", "*self_attn*"];
  const made = plan(
    withPlain((module) => module.includes("0.mlp.experts")),
    quark(entry(FP4_WEIGHT, FP4_INPUT), { exclude }),
  );
  assertEquals(inputs(made)["0.mlp.experts.1.down_proj"], NONE);
  assertEquals(inputs(made)["1.mlp.experts.1.down_proj"], mx("e2m1"));
});

Deno.test("makePlan() plans mixed precision per layer", () => {
  const scale = (module: string) => module.includes("layers.1.") ? 1 : null;
  const linears = model({ experts: (layer) => layer === 0 ? mxfp6("e2m3") : MXFP4, scale });
  const config = quark(entry(FP4_WEIGHT, FP8), {
    layer_quant_config: { "*layers.0.mlp*": entry(mxSpec("fp6_e2m3", false), null) },
  });
  const made = plan(linears, config);
  assertEquals(made.warnings, []);
  assertEquals(made.scheme, "w_mxfp6_e2m3 + w_mxfp4_a_fp8");
});

Deno.test("makePlan() plans a model of many layers with excludes by name", () => {
  const linears = model({ layers: 36 });
  const exclude = linears.filter(({ module }) => module.includes("self_attn")).map(({ module }) => module);
  const made = plan(linears, quark(entry(FP4_WEIGHT, FP4_INPUT), { exclude: [...exclude, "lm_head", "re:.*router"] }));
  assertEquals(made.linears.length, linears.length);
  assertEquals(made.scheme, "w_mxfp4_a_mxfp4");
});

Deno.test("makePlan() compares specs by what they say, whatever their order of keys and lists of one", () => {
  const reversed = (spec: Record<string, unknown>) => ({
    ...Object.fromEntries(Object.entries(spec).reverse()),
    enable_buffer_reuse: true,
  });
  const config = quark(entry(FP4_WEIGHT, FP4_INPUT), {
    layer_quant_config: { [EXPERT]: entry([reversed(FP4_WEIGHT)], [reversed(FP4_INPUT)]) },
  });
  const made = plan(model(), config);
  assertEquals([made.scheme, made.warnings], ["w_mxfp4_a_mxfp4", []]);
});

Deno.test("an FP8 cache that is asked for comes with a warning where some layers have scales", () => {
  const asked = (kvCacheDtype: "auto" | "bf16" | "fp8", stored: number) =>
    [model(), null, { kvCacheDtype, kvScales: { layers: 3, stored } }] as const;
  const made = (...all: Parameters<typeof asked>) => {
    const [linears, quantization, more] = asked(...all), { kvFormat, warnings } = plan(linears, quantization, more);
    return [kvFormat, ...warnings];
  };
  assertEquals(made("fp8", 2), [
    "fp8",
    "FP8 is asked for the KV cache, but the tensors have its scales for 2 of 3 layers; 1 is used in the others",
  ]);
  assertEquals([made("fp8", 0), made("fp8", 3), made("bf16", 2), made("auto", 0)], [["fp8"], ["fp8"], ["bf16"], [
    "bf16",
  ]]);
  const line = (some: string) => `expected an FP8 cache, as the tensors have its scales for ${some} of 3 layers, or`;
  refused(line("all"), ...asked("auto", 3));
  refused(line("1"), ...asked("auto", 1));
});
