/** Where the error of a setting comes from: what results say of each linear. */
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { projectionsOf } from "../../src/eval/projections.ts";
import type { WeightDivergence } from "../../src/eval/weight_errors.ts";
import { assertEquals } from "../assert.ts";

type Operation = DivergenceResult["operations"][number];
type Tensor = DivergenceResult["tensors"][number];

const WEIGHTS: WeightDivergence = {
  ...{ layer: 3, operation: "o_proj", formatA: "bf16", formatB: "mxfp4", elements: 200, relativeError: 0.5 },
  ...{ scalesChanged: 0.25, codesChanged: null, flushed: 50, atMax: 20 },
};

/** An operation's line, of which only what is looked at is there. */
function line(layer: number, operation: string, total: number, own: number | null, magnitudes: (number | null)[]) {
  const outliers = magnitudes.map((magnitude, channel) => ({ channel, magnitude, error_share: 0.1 }));
  const error = (relative_error: number | null) => ({ relative_error });
  return { layer, operation, total: error(total), own: own === null ? null : error(own), outliers } as Operation;
}

const of = (operations: Operation[], tensors: Tensor[] = [], weights = WEIGHTS) =>
  projectionsOf({ operations, tensors } as unknown as DivergenceResult, [weights])[0]!;

Deno.test("a projection has the errors of its own operation, and the loud channels of what that reads", () => {
  const operations = [
    line(2, "attention", 9, 9, [99]),
    line(3, "attention", 0.1, 0.2, [3.9, 4, 17, null, 5, 0.5]),
    line(3, "o_proj", 0.3, 0.4, [77]),
    line(3, "q_proj", 8, 8, [88]),
  ];
  const { layer, operation, input, output } = of(operations);
  assertEquals([layer, operation], [3, "o_proj"]);
  // From four times the tensor's RMS on: 4, 17 and 5.
  assertEquals([input.outlier_channels, input.loudest], [3, 17]);
  assertEquals(output, { own: 0.4, total: 0.3 });
  assertEquals([input.a, input.b, input.scales_changed, input.codes_changed], [null, null, null, null]);
});

Deno.test("a projection without loud channels has none and 0, also where some stand out for their errors", () => {
  for (const magnitudes of [[], [3.9, null, 1]]) {
    const { input } = of([line(3, "attention", 0.1, null, magnitudes), line(3, "o_proj", 0.3, null, [])]);
    assertEquals([input.outlier_channels, input.loudest], [0, 0]);
  }
  // What was not compared is not known.
  const { input, output } = of([]);
  assertEquals([input.outlier_channels, input.loudest, output], [0, 0, { own: null, total: null }]);
});

Deno.test("a projection's counts are shares of what they are counts of", () => {
  const counts = { scale: null, elements: 400, clipped: 4, at_max: 8, flushed: 100, error: 0.125 };
  const tensor = (name: string, layer: number): Tensor => ({
    ...{ name, layer, a: { format: "fp8", ...counts }, b: null, scales_changed: 0.75, codes_changed: 0.5 },
  });
  const { weights, input } = of([], [tensor("q_proj.input", 3), tensor("o_proj.input", 2), tensor("o_proj.input", 3)]);
  assertEquals(weights, {
    ...{ format_a: "bf16", format_b: "mxfp4", relative_error: 0.5, scales_changed: 0.25, codes_changed: null },
    ...{ flushed: 0.25, at_max: 0.1 },
  });
  assertEquals(input, {
    ...{ a: { format: "fp8", relative_error: 0.125, flushed: 0.25, at_max: 0.02, clipped: 0.01 }, b: null },
    ...{ scales_changed: 0.75, codes_changed: 0.5, outlier_channels: 0, loudest: 0 },
  });
  const plain = of([], [], { ...WEIGHTS, relativeError: Infinity, atMax: null }).weights;
  assertEquals([plain.relative_error, plain.at_max], [null, null]);
});
