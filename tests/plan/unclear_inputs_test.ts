/** Linears of which tensors and config say different things: refused where inputs depend on who is right. */
import { asset } from "../../src/assets.ts";
import { assertEquals } from "../assert.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, FP8, mxSpec, ptpc, quark } from "../checkpoint/quark/quark_specs.ts";
import { BF16, FP8_ROW, FP8_TENSOR, inputs, model, MXFP4, mxfp6, plan, refused } from "./stored_models.ts";

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

Deno.test("makePlan() refuses weights of another format than an entry that quantizes inputs on the fly", () => {
  // AMD Quark was asked to leave experts alone that were MXFP4 before, and lost that pattern.
  const written = JSON.parse(Deno.readTextFileSync(asset("tests/goldens/quark/file_to_file.json")));
  const line = (module: string, said: string, got: string) =>
    `global_quant_config: expected ${said} as the weight of ${module}, or exclude to name it, got ${got}`;
  const kept = model({ attention: FP8_ROW });
  refused(line(GATE, "fp8_e4m3 per channel", "mxfp4: are its inputs fp8_token?"), kept, written);
  refused(line(GATE, "mxfp6_e3m2", "mxfp4: are"), model(), quark(entry(mxSpec("fp6_e3m2", false), FP4_INPUT)));
  refused(line(GATE, "a plain one", "mxfp4: are its inputs mxfp4?"), model(), quark(entry(null, FP4_INPUT)));
  // What is asked for decides, and so it does where inputs are as they are or have stored scales.
  assertEquals(inputs(plan(kept, written, { scheme: "w_mxfp4" }))["0.self_attn.q_proj"], { kind: "fp8_token" });
  assertEquals(plan(model(), quark(entry(ptpc(false), null))).scheme, "w_mxfp4");
  assertEquals(plan(model({ scale: () => 1 }), quark(entry(FP8, FP8))).scheme, "w_mxfp4_a_fp8");
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

Deno.test("makePlan() refuses patterns of the experts' module for experts of their own modules", () => {
  // To AMD Quark such a pattern matches nothing, to vLLM all experts.
  const own = model().map((linear) => linear.module.includes(".experts.") ? { ...linear, isOwnModule: true } : linear);
  const config = (name: string, more = {}) =>
    quark(entry(FP4_WEIGHT, null), { layer_quant_config: { [name]: entry(FP4_WEIGHT, FP4_INPUT) }, ...more });
  for (const name of ["model.layers.0.mlp.experts", "*mlp.experts", "*experts.gate_up_proj"]) {
    const line =
      `layer_quant_config "${name}": expected a pattern that matches ${GATE} itself, got global_quant_config ` +
      "to AMD Quark, which knows no module of all experts";
    refused(line, own, config(name));
    assertEquals(inputs(plan(model(), config(name)))["0.mlp.experts.2.gate_up_proj"], {
      kind: "mx",
      element: "e2m1",
      rule: "even",
    });
  }
  const six = own.map((linear) => linear.weight === "mxfp4" ? { ...linear, ...mxfp6("e2m3") } : linear);
  const elements = (overall: string, experts: string) =>
    quark(entry(mxSpec(overall, false), null), {
      layer_quant_config: { "*mlp.experts": entry(mxSpec(experts, false), null) },
    });
  refused(`expected a pattern that matches ${GATE} itself`, six, elements("fp6_e3m2", "fp6_e2m3"));
  assertEquals(plan(six, elements("fp6_e2m3", "fp6_e2m3")).scheme, "w_mxfp6_e2m3");
  // Both know what matches each expert, and nothing depends on what says the same twice.
  assertEquals(plan(own, config("*mlp.experts*")).scheme, "w_mxfp4_a_mxfp4");
  const same = quark(entry(FP4_WEIGHT, null), { layer_quant_config: { "*mlp.experts": entry(FP4_WEIGHT, null) } });
  assertEquals(plan(own, same).scheme, "w_mxfp4");
});

Deno.test("makePlan() refuses expressions anywhere but in exclude", () => {
  const line = 'layer_quant_config: expected names and patterns of file names, got an expression, "re:.*gate_up_proj"';
  const entries = { "re:.*gate_up_proj": entry(FP4_WEIGHT, FP4_INPUT) };
  refused(line, model(), quark(entry(FP4_WEIGHT, null), { layer_quant_config: entries }));
  refused(
    'kv_cache_quant_config: expected names and patterns of file names, got an expression, "re:.*[kv]_proj"',
    model(),
    quark(entry(FP4_WEIGHT, null), { kv_cache_quant_config: { "re:.*[kv]_proj": entry(null, null, FP8) } }),
  );
});

Deno.test("makePlan() refuses a scale beside plain weights that are excluded and whose inputs are not", () => {
  const scaled = model({ attention: BF16, scale: () => 1 }).map((linear) =>
    linear.module === Q ? { ...linear, hasPlainScale: true, inputScale: 1 } : linear
  );
  const config = quark(entry(FP8, FP8), { exclude: ["*self_attn*", "*router*", "lm_head"] });
  const experts = scaled.map((linear) => linear.weight === "mxfp4" ? { ...linear, ...FP8_TENSOR } : linear);
  const line =
    `exclude "*self_attn*": expected a plain weight of ${Q}, or exclude not to name it, got one with a scale ` +
    "beside it: are its inputs plain?";
  refused(line, experts, config);
});
