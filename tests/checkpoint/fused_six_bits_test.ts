/** Experts that one tensor holds in a format of 6 bits: which of the two, the config alone says, expert by expert. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { randomConfig } from "../../src/checkpoint/random/config.ts";
import { type QuarkOptions, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { TemporaryDirectory } from "./container.ts";
import { makeCheckpoint } from "./make.ts";
import { Random } from "./random.ts";

type Json = Record<string, unknown>;
const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };

Deno.test("openCheckpoint() takes one 6-bit format for all fused experts, which the config must say of each", () => {
  using dir = new TemporaryDirectory();
  const quark: QuarkOptions = { weights: "mxfp6_e3m2", experts: "fused" };
  makeCheckpoint(dir, new Random(1), { shape: SHAPE, layout: "quark", quark });
  const config = randomConfig(SHAPE, "quark", quark), quantization = config["quantization_config"] as Json;
  const { weight } = quantization["global_quant_config"] as { weight: Json };
  const opened = (...patterns: string[]) => {
    const entry = { weight: { ...weight, dtype: "fp6_e2m3" } };
    quantization["layer_quant_config"] = Object.fromEntries(patterns.map((pattern) => [pattern, entry]));
    dir.write("config.json", config);
    return openCheckpoint(dir.path).source.tree.layers[1]!;
  };
  const { gateUp, down } = opened(...[0, 1, 2].map((e) => `*.experts.${e}.down_proj`));
  const found = [gateUp, down].map((experts) => new Set(experts.map(({ weight: { format } }) => format)));
  assertEquals(found, [new Set(["mxfp6_e3m2"]), new Set(["mxfp6_e2m3"])]);
  for (const e of [1, 2]) {
    assertThrows(
      () => opened(`*.experts.${e}.*`),
      InputError,
      `experts.gate_up_proj.weight: expected mxfp6_e3m2 as in expert 0, got mxfp6_e2m3 in expert ${e}`,
    );
  }
});
