/** Which part of a setting's error one operation has, and how sure that is. */
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { sourceText } from "../../src/eval/report/ranked.ts";
import { assertEquals } from "../assert.ts";
import { divergence } from "./results.ts";

type Error = readonly [value: number | null, interval: readonly [low: number, high: number] | null];

/** A comparison whose operations have these own errors, layer by layer. */
function withErrors(errors: Readonly<Record<string, readonly Error[]>>): DivergenceResult {
  const d = divergence(0), form = d.operations[0]!;
  const operations = Object.entries(errors).flatMap(([operation, layers]) =>
    layers.map(([value, ends], layer) => {
      const own = { ...form.own!, relative_error: value, interval: ends && { low: ends[0], high: ends[1] } };
      return { ...form, layer, operation, own };
    })
  );
  return { ...d, operations, projections: [] };
}

Deno.test("sourceText() gives the share of squared errors with what the errors' intervals allow", () => {
  const down: Error = [0.2, [0.1, 0.3]], none: Error = [0, null];
  // 0.08 of 0.09; 0.02 of 0.06 at least, 0.18 of 0.1825 at most.
  const both = withErrors({ down: [down, down], "attention": [[0.1, [0.05, 0.2]], none] });
  assertEquals(sourceText(both), "down or 1 more (89% [33, 99])");
  // One that by its interval has less than the first has at least is no other one.
  const less = withErrors({ down: [down, down], attention: [[0.1, [0.05, 0.14]], none], o: [[0.1, [0.05, 0.15]]] });
  assertEquals(sourceText(less).slice(0, 14), "down or 1 more");
  // All of it, however large it is.
  assertEquals(sourceText(withErrors({ down: [down, down], attention: [none] })), "down (100%)");
  // Where so few tokens leave an error open, a share of it is open, too.
  assertEquals(
    sourceText(withErrors({ down: [[0.2, null]], attention: [[0.1, [0.1, 0.1]]], o: [none] })),
    "down or 1 more (80% [0, 100])",
  );
  assertEquals(sourceText(withErrors({ down: [down], attention: [[0.1, null]] })), "down or 1 more (80% [0, 100])");
  // What is not finite has no share, and what differs nowhere no cause.
  assertEquals(sourceText(withErrors({ down: [[null, null]], attention: [[0.1, [0.1, 0.1]]] })), "down");
  assertEquals(sourceText(withErrors({ down: [none], attention: [none] })), "nothing differs");
});
