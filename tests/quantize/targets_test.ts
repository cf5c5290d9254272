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
