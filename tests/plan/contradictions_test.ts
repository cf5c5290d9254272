import { assert, assertEquals } from "../assert.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, FP8, mxSpec, ptpc, quark } from "../checkpoint/quark/quark_specs.ts";
import { BF16, EXPERTS, FP8_ROW, FP8_TENSOR, inputs, model, mxfp6, plan, refused } from "./stored_models.ts";

const EXPERT = "model.layers.0.mlp.experts.1.gate_up_proj";

Deno.test("makePlan() merges static scales by the largest over the experts, for both GEMMs apart", () => {
  const scale = (module: string) => {
    const expert = Number(/experts\.(\d)/.exec(module)?.[1] ?? 9);
    return module.endsWith("down_proj") ? [0.1, 0.3, 0.2][expert]! : [7, 5, 6][expert] ?? 100;
  };
  const made = plan(model({ scale }), quark(entry(FP4_WEIGHT, FP8)));
  for (let e = 0; e < EXPERTS; e++) {
    assertEquals(inputs(made)[`0.mlp.experts.${e}.gate_up_proj`], { kind: "fp8_static", scale: 7 });
    assertEquals(inputs(made)[`1.mlp.experts.${e}.down_proj`], { kind: "fp8_static", scale: Math.fround(0.3) });
  }
  assertEquals(made.linears.find(({ module }) => module === EXPERT)!.inputScaleFrom, "checkpoint");
});

Deno.test("makePlan() keeps the scales of q, k and v apart", () => {
  const scale = (module: string) => module.includes("self_attn") ? "qkvo".indexOf(module.at(-6)!) + 1 : null;
  const made = plan(
    model({ attention: FP8_TENSOR, scale }),
    quark(entry(FP4_WEIGHT, null), {
      exclude: ["lm_head", "*router*"],
      layer_quant_config: { "*self_attn*": entry(FP8, FP8) },
    }),
  );
  assertEquals(["q", "k", "v", "o"].map((p) => (inputs(made)[`1.self_attn.${p}_proj`] as { scale: number }).scale), [
    1,
    2,
    3,
    4,
  ]);
});

Deno.test("makePlan() says own scales of linears alone that share their inputs, the experts", () => {
  const config = quark(entry(FP4_WEIGHT, FP8), {
    exclude: ["lm_head", "*router*"],
    layer_quant_config: { "*self_attn*": entry(FP8, FP8) },
  });
  const schemes = (linears: ReturnType<typeof model>, fp8Scales: "own" | "merged", more = config) => {
    const made = plan(linears, more, { fp8Scales }).linears;
    return [0, 5].map((at) => made[at]!.scheme);
  };
  const stored = model({ attention: FP8_TENSOR, scale: () => 1 });
  assertEquals(schemes(stored, "own"), ["fp8", "w_mxfp4_a_fp8 with own scales"]);
  assertEquals(schemes(stored, "merged"), ["fp8", "w_mxfp4_a_fp8"]);
  // Inputs whose scales are not stored have none to share.
  assertEquals(schemes(model(), "own", quark(entry(FP4_WEIGHT, FP4_INPUT))), ["bf16", "w_mxfp4_a_mxfp4"]);
});

Deno.test("makePlan() refuses scales of attention's inputs that the config has otherwise, whatever the scheme", () => {
  const made = model({ attention: FP8_ROW, scale: (module) => module.endsWith("q_proj") ? 1 : null });
  const config = quark(entry(FP4_WEIGHT, FP4_INPUT), {
    exclude: ["lm_head", "*router*"],
    layer_quant_config: { "*self_attn*": entry(ptpc(false), ptpc(true)) },
  });
  const line = "(model.layers.0.self_attn.q_proj.input_scale), got fp8_token";
  for (const options of [{}, { scheme: "ptpc_fp8" }, { scheme: "w_mxfp4" }]) refused(line, made, config, options);
});

Deno.test("makePlan() refuses static inputs without a scale for every expert", () => {
  const config = quark(entry(FP4_WEIGHT, FP8));
  refused("got none for model.layers.0.mlp.experts.0.gate_up_proj", model(), config);
  const lacks = "model.layers.1.mlp.experts.2.down_proj";
  refused(
    `got none for ${lacks}: expected its input_scale in the checkpoint`,
    model({ scale: (m) => m === lacks ? null : 1 }),
    config,
  );
  for (const bad of [0, -1, NaN, Infinity, 1e-60]) {
    refused(
      `input scale of ${EXPERT}: expected a finite number above 0`,
      model({ scale: (m) => m === EXPERT ? bad : 1 }),
      config,
    );
  }
});

Deno.test("makePlan() lets tensors count where the config contradicts them, with one warning that names both", () => {
  const said = plan(model(), quark(entry(mxSpec("fp6_e3m2", false), null)));
  assertEquals(said.warnings, [
    "config.json: quantization_config says mxfp6_e3m2 for model.layers.0.mlp.experts.0.gate_up_proj and 11 more, but " +
    "the tensors are mxfp4; the tensors count",
  ]);
  assertEquals(said.scheme, "w_mxfp4");

  const plain = plan(model({ experts: BF16 }), quark(entry(FP4_WEIGHT, null)));
  assertEquals(plain.warnings, [
    "config.json: quantization_config says mxfp4 for model.layers.0.mlp.experts.0.gate_up_proj and 11 more, but the " +
    "tensors are not quantized; the tensors count",
  ]);
  assertEquals(plain.scheme, "bf16");
  assertEquals(plain.linears.find(({ module }) => module === EXPERT)!.decidedBy, "tensors");

  const excluded = plan(model(), quark(entry(FP4_WEIGHT, null), { exclude: ["*"] }));
  assertEquals(excluded.scheme, "w_mxfp4");
  assertEquals(excluded.warnings.length, 1);
  assert(
    excluded.warnings[0]!.includes("says no quantization for") &&
      excluded.warnings[0]!.includes("but the tensors are mxfp4"),
  );

  const channel = plan(model({ experts: FP8_ROW, scale: () => 1 }), quark(entry(FP8, FP8)));
  assert(
    channel.warnings[0]!.includes("says fp8_e4m3 for") && channel.warnings[0]!.includes("are fp8_e4m3 per channel"),
  );
  const fnuz = plan(
    model({ experts: { weight: "fp8_e4m3fnuz", scale: "tensor" }, scale: () => 1 }),
    quark(entry(FP8, FP8)),
  );
  assertEquals(fnuz.warnings, [], "MI300's bytes are FP8 to a config");
});

Deno.test("makePlan() says of experts whose inputs a scheme replaces nothing about scales that are not used", () => {
  const stored = model({ experts: FP8_TENSOR, scale: () => 1 });
  // The config has plain inputs where scales are stored: who is right decides about nothing under a scheme.
  const unclear = quark(entry(FP8, null));
  refused("expected static FP8 inputs of model.layers.0.mlp.experts.0.gate_up_proj, whose scale is", stored, unclear);
  const again = ["weights that are fp8_e4m3 already are quantized again"];
  for (const [scheme, warnings] of [["w_mxfp4", again], ["ptpc_fp8", again], ["fp8", []]] as const) {
    assertEquals(plan(stored, unclear, { scheme }).warnings, warnings, scheme);
  }
});

Deno.test("makePlan() refuses pairs that are no scheme", () => {
  const pair = quark(entry(mxSpec("fp6_e3m2", false), FP4_INPUT));
  refused(
    "config.json: quantization_config: model.layers.0.mlp.experts.0.gate_up_proj: expected bf16, mxfp6_e3m2, fp8, " +
      "fp8_token inputs with mxfp6_e3m2 weights, got mxfp4 (by global_quant_config)",
    model({ experts: mxfp6("e3m2") }),
    pair,
  );
  refused(
    "expected mxfp4 weights with mxfp4 inputs, got fp8_e4m3",
    model({ experts: FP8_TENSOR }),
    quark(entry(FP8, FP4_INPUT)),
  );
  refused(
    "expected mxfp4 weights with mxfp4 inputs, got bf16",
    model({ experts: BF16 }),
    quark(entry(null, FP4_INPUT)),
  );
});

Deno.test("makePlan() refuses experts of a layer with different inputs", () => {
  const config = quark(entry(FP4_WEIGHT, FP4_INPUT), { layer_quant_config: { [EXPERT]: entry(FP4_WEIGHT, null) } });
  refused(
    `expected the same inputs for ${EXPERT} as for model.layers.0.mlp.experts.0.gate_up_proj, which reads the same ` +
      "tokens",
    model(),
    config,
  );
});
