import type { Plan } from "../../src/plan/plan.ts";
import { assert, assertEquals } from "../assert.ts";
import { entry, FP4_INPUT, FP4_WEIGHT, ptpc, quark } from "../checkpoint/quark/quark_specs.ts";
import { BF16, EXPERTS, FP8_ROW, FP8_TENSOR, inputs, model, MXFP4, plan, refused } from "./stored_models.ts";

const EXPERT = "model.layers.0.mlp.experts.1.gate_up_proj";
const mx = (element: string, rule = "even") => ({ kind: "mx", element, rule });
const NONE = { kind: "none" };

Deno.test("makePlan() --scheme with static FP8 takes calibrated scales, by group or by module", () => {
  const scheme = "w_mxfp4_a_fp8";
  const groups = ["0", "1"].flatMap((l) =>
    ["gate_up_proj", "down_proj"].map((
      p,
    ): [string, number] => [`model.layers.${l}.mlp.experts.${p}`, p === "down_proj" ? 0.5 : 0.125])
  );
  const made = plan(model(), null, { scheme, inputScales: new Map(groups) });
  assertEquals(inputs(made)["1.mlp.experts.2.down_proj"], { kind: "fp8_static", scale: 0.5 });
  assertEquals(inputs(made)["0.mlp.experts.0.gate_up_proj"], { kind: "fp8_static", scale: 0.125 });
  assertEquals(made.linears.find(({ module }) => module === EXPERT)!.inputScaleFrom, "calibration");

  const modules = model().filter(({ module }) => module.includes(".experts."))
    .map(({ module }, i): [string, number] => [module, i + 1]);
  assertEquals(
    inputs(plan(model({ layers: 1 }), null, { scheme, inputScales: new Map(modules) }))["0.mlp.experts.0.gate_up_proj"],
    { kind: "fp8_static", scale: 3 },
  );
  // One that is measured is enough to say that they are not the checkpoint's own.
  const some = plan(model({ scale: () => 2 }), null, { scheme, inputScales: new Map([[EXPERT, 1.5]]) });
  const [expert, other] = [EXPERT, EXPERT.replace("0.mlp", "1.mlp")].map((name) =>
    some.linears.find(({ module }) => module === name)!
  );
  assertEquals([expert!.input, expert!.inputScaleFrom], [{ kind: "fp8_static", scale: 2 }, "calibration"]);
  assertEquals([other!.input, other!.inputScaleFrom], [{ kind: "fp8_static", scale: 2 }, "checkpoint"]);
  // Calibrated ones count before the checkpoint's.
  const both = plan(model({ scale: () => 9 }), null, { scheme, inputScales: new Map(groups) });
  assertEquals(inputs(both)["1.mlp.experts.2.down_proj"], { kind: "fp8_static", scale: 0.5 });

  refused("scheme w_mxfp4_a_fp8: static FP8 inputs need a calibrated scale", model(), null, { scheme });
  refused('"mxoss quantize --scheme w_mxfp4_a_fp8 --calibrate FILE" makes them', model(), null, {
    scheme,
    inputScales: new Map(groups.slice(1)),
  });
});

/** How the experts of layer 0 are computed, and how they are stored where that is otherwise. */
function firstExpert({ linears }: Plan) {
  const { weight, weightScale, storedAs, scheme } = linears.find(({ module }) => module.includes("experts.0.down"))!;
  return { weight, weightScale, storedAs, scheme };
}

Deno.test("makePlan() --scheme converts experts that are stored otherwise, and nothing else", () => {
  const six = plan(model(), null, { scheme: "w_mxfp6_e3m2" });
  assertEquals(firstExpert(six), {
    weight: "mxfp6_e3m2",
    weightScale: "e8m0",
    storedAs: { format: "mxfp4", scale: "e8m0" },
    scheme: "w_mxfp6_e3m2",
  });
  assertEquals(six.warnings, []);
  const converted = six.linears.filter(({ storedAs }) => storedAs !== null).map(({ module }) => module);
  assert(converted.length === 2 * 2 * EXPERTS && converted.every((module) => module.includes(".experts.")));
  assertEquals(firstExpert(plan(model(), null, { scheme: "bf16" })).weight, "bf16");
  assertEquals(firstExpert(plan(model({ experts: BF16 }), null, { scheme: "bf16" })).storedAs, null);
  const rows = plan(model({ experts: FP8_TENSOR }), null, { scheme: "ptpc_fp8" });
  assertEquals([firstExpert(rows).weight, firstExpert(rows).weightScale], ["fp8_e4m3", "row"]);
  assertEquals(rows.warnings, ["weights that are fp8_e4m3 already are quantized again"]);
  refused('"mxoss quantize --scheme fp8 --calibrate FILE" makes them', model({ experts: BF16 }), null, {
    scheme: "fp8",
  });
  const narrow = model({ experts: BF16 }).map((linear) => ({ ...linear, cols: 48 }));
  refused(
    "scheme w_mxfp4: expected input features in blocks of 32, got 48 in model.layers.0.mlp.experts.0",
    narrow,
    null,
    {
      scheme: "w_mxfp4",
    },
  );
  // FP8 has no blocks to fill.
  assertEquals(plan(narrow, null, { scheme: "ptpc_fp8" }).scheme, "ptpc_fp8");
  const rotated = model({ experts: BF16 }).map((linear) => ({ ...linear, rotation: { size: 32, prescale: false } }));
  refused("input_rotation: expected none for weights that are converted while they are loaded", rotated, null, {
    scheme: "w_mxfp4",
  });
  const kept = model().map((linear) => ({ ...linear, rotation: { size: 32, prescale: false } }));
  const turned = { algo_config: [{ name: "rotation", r1: true, online_r1_rotation: true }] };
  assertEquals(plan(kept, quark(entry(FP4_WEIGHT, null), turned), { scheme: "w_mxfp4" }).linears[6]!.storedAs, null);
  const mixed = plan(model({ experts: (layer) => layer === 1 ? FP8_TENSOR : MXFP4 }), null, { scheme: "w_mxfp4" });
  assertEquals([firstExpert(mixed).storedAs, mixed.scheme], [null, "w_mxfp4"]);
  assertEquals(mixed.linears.filter(({ storedAs }) => storedAs !== null).length, 2 * EXPERTS);
  refused("scheme: expected w_mxfp4,", model(), null, { scheme: "w4a4" });
});

Deno.test("makePlan() --scheme replaces what the config says, and leaves other linears to it", () => {
  const config = quark(entry(FP4_WEIGHT, FP4_INPUT), {
    exclude: ["lm_head", "*router*"],
    layer_quant_config: { "*self_attn*": entry(ptpc(false), ptpc(true)) },
  });
  const linears = model({ attention: FP8_ROW });
  const made = plan(linears, config, { scheme: "w_mxfp4" });
  assertEquals(made.scheme, "w_mxfp4");
  assertEquals(inputs(made)["0.self_attn.q_proj"], { kind: "fp8_token" });
  // So it is with attention that is stored as the scheme's weights are: a scheme is one of experts.
  const both = quark(entry(FP4_WEIGHT, FP4_INPUT), { exclude: ["lm_head", "*router*"] });
  for (const scheme of ["w_mxfp4", "w_mxfp4_a_mxfp6_e3m2", "w_mxfp6_e3m2", "bf16"]) {
    const all = plan(model({ attention: MXFP4 }), both, { scheme });
    assertEquals([all.scheme, inputs(all)["0.self_attn.q_proj"]], [scheme, mx("e2m1")]);
    assertEquals(inputs(all)["0.mlp.router"], NONE);
  }
});
