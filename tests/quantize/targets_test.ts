/** What each linear becomes. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { planModel } from "../../src/plan/planned.ts";
import { planTargets, type Recipe } from "../../src/quantize/targets.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { makeCheckpoint } from "../checkpoint/make.ts";
import { Random } from "../checkpoint/random.ts";

Deno.test("planTargets() takes calibrated scales before those of the checkpoint, and no layer beyond the last", () => {
  using dir = new TemporaryDirectory();
  const shape = { ...SHAPES.tiny, experts: 2, topK: 1 }, quark = { weights: "fp8", inputScales: true } as const;
  makeCheckpoint(dir, new Random(3), { shape, layout: "quark", quark });
  const checkpoint = openCheckpoint(dir.path), { source, config } = checkpoint;
  const { plan } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
  const planned = (scales: Map<string, number> | null, layers: Recipe["layers"] = []) =>
    planTargets({ scheme: "fp8", layers, attention: null }, source, config, plan, scales).layers[1]!.down;
  const stored = source.tree.layers[1]!.down.map(({ inputScale }) => inputScale!), [first, second] = planned(null);
  assertEquals([first!.inputScale, second!.inputScale], stored);
  const calibrated = planned(new Map([[first!.module, 2 * stored[0]!]]));
  assertEquals(calibrated.map(({ inputScale }) => inputScale), [2 * stored[0]!, stored[1]!]);
  const upTo = (last: number) => planned(null, [{ first: 0, last, scheme: "w_mxfp4" }]);
  assertEquals(upTo(config.layers - 1)[0]!.weight, "mxfp4");
  assertThrows(() => upTo(config.layers), InputError, `layers: expected layers below ${config.layers}, got`);
});

Deno.test("planTargets() refuses rows that are no whole blocks where a scheme has some, by its option", () => {
  using dir = new TemporaryDirectory();
  makeCheckpoint(dir, new Random(3), { shape: { ...SHAPES.tiny, intermediate: 80 }, layout: "hf_bf16" });
  const checkpoint = openCheckpoint(dir.path), { source, config } = checkpoint;
  const { plan } = planModel(checkpoint, { dtype: "bf16", kvCacheDtype: "auto" });
  const planned = (recipe: Partial<Recipe>) =>
    planTargets({ scheme: "ptpc_fp8", layers: [], attention: null, ...recipe }, source, config, plan, null);
  assertEquals(planned({ attention: "w_mxfp4" }).layers[0]!.down[0]!.weight, "fp8_e4m3");
  const line = "input features in blocks of 32, got 80 in model.layers.";
  assertThrows(() => planned({ scheme: "w_mxfp6_e2m3" }), InputError, `scheme w_mxfp6_e2m3: expected ${line}0.mlp`);
  const layers = [{ first: 1, last: 1, scheme: "w_mxfp4" }] as const;
  assertThrows(() => planned({ layers }), InputError, `layers 1=w_mxfp4: expected ${line}1.mlp`);
});
