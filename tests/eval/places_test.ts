/** Where the most is, as tables say it. */
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { divergenceLines } from "../../src/eval/report/divergence_tables.ts";
import { sizeOf, sizeOfShare } from "../../src/eval/report/numbers.ts";
import { largestPlace, layersText, orMoreNote, placesText } from "../../src/eval/report/places.ts";
import { layerTable } from "../../src/eval/report/tensor_tables.ts";
import { inputNote, linearTable, sourceTable } from "../../src/eval/report/where_from.ts";
import { TERMINAL } from "../../src/eval/report/table.ts";
import { exceeds } from "../../src/cli/compare_gate.ts";
import { assert, assertEquals } from "../assert.ts";
import { divergence, predictions } from "./results.ts";

const at = (layer: number, operation: string) => ({ layer, operation });

Deno.test("placesText() names layers that cannot be told apart, and counts others", () => {
  const text = (others: readonly ReturnType<typeof at>[]) => placesText({ ...at(3, "o_proj"), others });
  assertEquals(text([]), "layer 3 o_proj");
  assertEquals(text([at(1, "o_proj")]), "layer 3 or 1 o_proj");
  assertEquals(text([at(1, "o_proj"), at(0, "o_proj")]), "layer 3, 1 or 0 o_proj");
  assertEquals(text([at(1, "o_proj"), at(0, "q_proj")]), "layer 3 o_proj, or 2 more");
  assertEquals(text([at(1, "o_proj"), at(0, "o_proj"), at(2, "o_proj")]), "layer 3 o_proj, or 3 more");
  assertEquals(placesText({ ...at(4, "lm_head"), others: [at(0, "q_proj")] }), "lm_head, or 1 more");
  assertEquals([[], [at(1, "o_proj")]].map((others) => layersText({ layer: 3, others })), ["3", "3 or 1"]);
});

Deno.test("tables say where the most is with the interval that allows for its choice", () => {
  const given = divergence(0.1), worst = given.operations.find(({ own }) => (own?.relative_error ?? 0) > 0)!;
  const place = (what: NonNullable<DivergenceResult["largest"]>[number]["what"], among: string | null) => ({
    ...{ what, among, layer: worst.layer, operation: worst.operation },
    ...{ low: 0.05, high: 0.2, others: [at(1, worst.operation)] },
  });
  const input = { format: "mxfp4", relative_error: 0.1234, flushed: 0.25, at_max: 0.125, clipped: 0 };
  const projections = given.projections.map((p) => ({
    ...p,
    input: { ...p.input, b: { ...input, relative_error_interval: { low: 0.12, high: 0.13 } } },
  }));
  const { operation } = projections[0]!;
  const found: DivergenceResult = {
    ...given,
    projections,
    largest: [
      place("own_error", null),
      place("own_error", operation),
      { ...place("input_error", null), ...at(2, operation) },
      { ...place("input_error", operation), low: 0.1, high: 0.14 },
      { ...place("input_to_zero", null), low: 0.2, high: 0.3, others: [] },
    ],
    pooled: [{ what: "to_zero", operation, value: 0.25, low: 0.249, high: 0.251 }],
  };
  assertEquals(largestPlace(found, "own_error", operation)!.among, operation);
  assertEquals([largestPlace(found, "total_error"), largestPlace(given, "own_error")], [undefined, undefined]);
  const named = { label: "B", predictions: predictions(0.1), divergence: found };
  assertEquals(divergenceLines([named]).rows[0]![1], "0.10 [0.05, 0.20]");
  const [source] = sourceTable([named], TERMINAL).rows;
  assertEquals(source!.slice(2), [
    `0.12 [0.05, 0.20] in layer 2 ${operation}, or 1 more`,
    `25% [20, 30] in ${placesText({ ...worst, others: [] })}`,
  ]);
  const table = linearTable(found, TERMINAL), row = table.rows.find(([name]) => name === operation)!;
  assert(row.includes("25.0%") && row.includes("0.12"), row.join());
  assertEquals([inputNote([found]), inputNote([{ projections: given.projections }]).length], [[], 1]);
});

Deno.test("the operation with a layer's largest error stands beside those that a test does not tell apart", () => {
  const given = divergence(0.1), own = given.operations.find((o) => o.layer === 0 && (o.own?.relative_error ?? 0) > 0)!;
  const cells = (largest?: DivergenceResult["largest"]) => {
    const { heads, rows } = layerTable({ ...given, largest });
    const row = rows.find(([name]) => name === "0")!, of = (head: string) => row[heads.indexOf(head)];
    return [of("largest total"), of("largest own"), of("of")];
  };
  const place = { among: "layer 0", layer: 0, operation: own.operation, low: 0.01, high: 0.5 };
  const two = [at(0, "o_proj"), at(0, "q_proj")];
  const wide = cells([{ ...place, what: "own_error", others: two }, { ...place, what: "total_error", others: [] }]);
  assertEquals(wide, ["0.1", "0.1", `${own.operation} or 2 more`]);
  assertEquals(cells([{ ...place, what: "own_error", others: [] }])[2], own.operation);
  // Files of earlier versions name one, by an interval of its own.
  assertEquals(cells(), ["0.10", "0.10", given.operations.find((o) => o.layer === 0 && o.own !== null)!.operation]);
});

Deno.test("what is said of operations beside the largest names how they were told apart", () => {
  const given = divergence(0.1), worst = given.operations.find(({ own }) => (own?.relative_error ?? 0) > 0)!;
  const place = { what: "own_error" as const, among: null, layer: worst.layer, operation: worst.operation };
  const tested = { ...given, largest: [{ ...place, low: 0.01, high: 0.5, others: [] }] };
  // An error that is not finite leaves nothing to test, as files of earlier versions do.
  const infinite = { ...given, largest: [] }, none = { operations: [], largest: [] };
  const by = (...all: Parameters<typeof orMoreNote>[0]) => orMoreNote(all).split(" by ")[1];
  assertEquals([by(tested), by(tested, none), by(none)], ["paired tests", "paired tests", "paired tests"]);
  assertEquals([by(given), by(infinite), by(infinite, none)], ["intervals", "intervals", "intervals"]);
  assertEquals(by(tested, infinite), "paired tests or intervals");
});

Deno.test("numbers that have no interval are written as their size", () => {
  assertEquals([9.04, 12.6, 0.137, 0, null].map(sizeOf), ["9", "10", "0.1", "0", "-"]);
  assertEquals([0.5, 0.137, 0.0042, 0.949, 0.96, 0.9999, 1, null].map(sizeOfShare), [
    ...["50%", "10%", "0.4%", "90%", ">90%", ">90%", "100%", "-"],
  ]);
});

Deno.test("a gate's largest error exceeds a limit that the interval of a choice does not hold", () => {
  assertEquals([0.04, 0.1, 0.3].map((limit) => exceeds({ value: 0.1, low: 0.05, high: 0.2 }, limit)), [
    true,
    null,
    false,
  ]);
});
