/** An error that is not finite is the largest, in every table that names the largest. */
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { layerTable } from "../../src/eval/report/tensor_tables.ts";
import { TERMINAL } from "../../src/eval/report/table.ts";
import { linearTable, sourceTable } from "../../src/eval/report/where_from.ts";
import { assertEquals, assertMatch } from "../assert.ts";
import { divergence, predictions } from "./results.ts";

/** A comparison whose errors are 0.02, but for those of `q_proj` in layer 1, which are not finite. */
function broken(): DivergenceResult {
  const found = divergence(0.02), none = divergence(null);
  const named = ({ operations }: DivergenceResult, layer: number) => ({
    ...operations.find((o) => o.layer === layer && o.operation === "attention")!,
    operation: "q_proj",
  });
  return {
    ...found,
    operations: [...found.operations, named(found, 0), named(none, 1)],
    projections: found.projections.map((p, i) => p.operation === "q_proj" && p.layer === 1 ? none.projections[i]! : p),
  };
}

/** The row of a table by its first cell, with heads. */
function row({ heads, rows }: ReturnType<typeof layerTable>, name: string): Record<string, string> {
  const found = rows.find(([first]) => first === name)!;
  return Object.fromEntries(heads.map((head, i) => [head, found[i]!]));
}

Deno.test("the largest own error of a layer is the one that is not finite", () => {
  const { "largest own": own, of } = row(layerTable(broken()), "1");
  assertEquals([own, of], ["-", "q_proj"]);
});

Deno.test("the largest errors of a linear are those that are not finite", () => {
  const { own, "in layer": layer, weights, inputs } = row(linearTable(broken(), TERMINAL), "q_proj");
  assertEquals({ own, layer, weights, inputs }, { own: "-", layer: "1", weights: "-", inputs: "-" });
});

Deno.test("most is lost where the error is not finite", () => {
  const named = { label: "B", predictions: predictions(0.02), divergence: broken() };
  const found = row(sourceTable([named], TERMINAL), "B");
  assertMatch(found["largest error of weights"]!, /^- in layer 1 q_proj/);
  assertMatch(found["of inputs"]!, /^- in layer 1 q_proj/);
});
