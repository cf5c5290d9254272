/** Linears of which tensors and config say different things: refused where inputs depend on who is right. */
import { assertEquals } from "../assert.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, FP8, ptpc, quark } from "../checkpoint/quark/quark_specs.ts";
import { BF16, FP8_ROW, FP8_TENSOR, inputs, model, MXFP4, plan, refused } from "./stored_models.ts";

const Q = "model.layers.0.self_attn.q_proj", GATE = "model.layers.0.mlp.experts.0.gate_up_proj";
const DYNAMIC = [entry(FP4_WEIGHT, FP4_INPUT), entry(ptpc(false), ptpc(true))];
const plainOf = (module: string) =>
  `global_quant_config: expected a quantized weight of ${module}, or exclude to name it, got a plain one: are its ` +
  "inputs plain?";

Deno.test("makePlan() refuses plain weights whose inputs the config quantizes on the fly", () => {
  for (const overall of DYNAMIC) {
    refused(plainOf(GATE), model({ experts: BF16 }), quark(overall));
    const experts = overall === DYNAMIC[0] ? MXFP4 : FP8_ROW;
    refused(plainOf(Q), model({ experts }), quark(overall, { exclude: ["lm_head", "*router*"] }));
  }
});

Deno.test("makePlan() takes plain weights where their inputs are plain whoever is right", () => {
  // Weights alone; routers and the head, which nobody quantizes; static inputs without a scale.
  const cases = [
    plan(model({ experts: BF16 }), quark(entry(FP4_WEIGHT, null))),
    plan(model(), quark(DYNAMIC[0]!, { exclude: ["*self_attn*"] })),
    plan(model({ experts: BF16 }), quark(entry(FP8, FP8))),
  ];
  assertEquals(cases.map(({ scheme, warnings }) => [scheme, warnings.length]), [
    ["bf16", 1],
    ["w_mxfp4_a_mxfp4", 1],
    ["bf16", 1],
  ]);
  const linears = model({ experts: BF16 }).map((linear) =>
    linear.module === GATE ? { ...linear, inputScale: 1 } : linear
  );
  refused(plainOf(GATE), linears, quark(entry(FP8, FP8)));
});

Deno.test("makePlan() refuses quantized weights that are excluded where others' inputs are made on the fly", () => {
  const experts = quark(DYNAMIC[0]!, { exclude: ["*self_attn*", "re:.*gate_up"] });
  const line =
    `exclude "re:.*gate_up": expected a plain weight of ${GATE}, or exclude not to name it, got mxfp4: are ` +
    "its inputs plain?";
  refused(line, model(), experts);
  refused(`expected a plain weight of ${Q}`, model({ attention: MXFP4 }), quark(DYNAMIC[0]!));
  // What is asked for decides.
  assertEquals(plan(model(), experts, { scheme: "w_mxfp4" }).scheme, "w_mxfp4");
});

Deno.test("makePlan() takes quantized weights that are excluded where scales or the other entry say the same", () => {
  const weightOnly = plan(model(), quark(entry(FP4_WEIGHT, null), { exclude: ["*"] }));
  assertEquals([weightOnly.scheme, weightOnly.warnings.length], ["w_mxfp4", 1]);
  const calibrated = plan(model({ experts: FP8_TENSOR, scale: () => 2 }), quark(entry(FP8, FP8), { exclude: ["*"] }));
  assertEquals(inputs(calibrated)["0.mlp.experts.0.down_proj"], { kind: "fp8_static", scale: 2 });
});

Deno.test("makePlan() refuses quantized weights by Quark's names without a word on their inputs", () => {
  const line =
    `config.json: quantization_config: expected what the inputs of ${GATE} are, whose weight is mxfp4 in AMD ` +
    "Quark's names, got nothing";
  refused(line, model(), null, { hasQuarkNames: true });
  // OpenAI's blocks have inputs as they are, and so has what is called mxfp4; plain weights leave nothing open.
  assertEquals(plan(model(), null).scheme, "w_mxfp4");
  assertEquals(plan(model(), { quant_method: "mxfp4" }, { hasQuarkNames: true }).scheme, "w_mxfp4");
  assertEquals(plan(model({ experts: BF16 }), null, { hasQuarkNames: true }).scheme, "bf16");
  assertEquals(plan(model(), null, { hasQuarkNames: true, scheme: "w_mxfp4" }).scheme, "w_mxfp4");
  assertEquals(plan(model({ scale: () => 1 }), null, { hasQuarkNames: true }).scheme, "w_mxfp4_a_fp8");
});
