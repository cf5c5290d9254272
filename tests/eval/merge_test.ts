/** What makes runs, and models of theirs, other ones. */
import type { FinishedRun } from "../../src/eval/finished_run.ts";
import { findDifference, readJournal } from "../../src/eval/journal.ts";
import { type Found, inOrder, named, sameCell } from "../../src/eval/merge.ts";
import { assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { gsm8k } from "./results.ts";

Deno.test("findDifference() finds a field that only one of two has, in either direction", () => {
  const less = { a: { b: 1 } }, more = { a: { b: 1, c: [2] } };
  assertEquals(findDifference(less, more), { field: "a.c", before: "nothing", after: "[2]" });
  assertEquals(findDifference(more, less), { field: "a.c", before: "[2]", after: "nothing" });
  assertEquals([findDifference(more, { a: { c: [2], b: 1 } }), findDifference(1, 1)], [null, null]);
  // Long values are cut so that they are no longer than 60 characters.
  const [kept, cut] = ["x".repeat(58), "x".repeat(59)].map((text) => findDifference(text, 1)!.before);
  assertEquals([kept, cut], [`"${"x".repeat(58)}"`, `"${"x".repeat(56)}...`]);
});

Deno.test("readJournal() of a file in which nothing is whole yet has no results", () => {
  using dir = new TemporaryDirectory();
  for (const text of ["", '{"kind":']) {
    const path = dir.write("answers.jsonl", text);
    assertEquals(readJournal(path, { kind: "test" }, () => ({ index: 0 })), new Map());
  }
});

Deno.test("settings of one name are of one model only where config, weights and layout are the same", () => {
  const results = gsm8k(1, 4), [cell] = results.cells;
  const other = (change: object) => ({ ...cell!, protocol: { ...cell!.protocol, ...change } });
  const run = (...cells: (typeof results.cells)[number][]) =>
    ({ dir: "a", path: "a/results.json", results: { ...results, cells } }) as unknown as FinishedRun<typeof results>;
  assertEquals(named([run(cell!), run(other({}))]).length, 1);
  assertEquals(sameCell(cell!, { cell: other({ model: "elsewhere" }) }), true);
  for (const change of [{ fingerprint: "other" }, { weights_sha256: "f".repeat(64) }, { layout: "other" }]) {
    assertEquals(named([run(cell!), run(other(change))]).length, 2, JSON.stringify(change));
    assertEquals(sameCell(cell!, { cell: other(change) }), false, JSON.stringify(change));
  }
});

Deno.test("settings of several runs stand in the order of one matrix, whatever axis the runs go along", () => {
  const found = (key: string) => {
    const [model, scheme, kvCacheDtype, tp, ep] = key.split(" ");
    return { asked: { model, scheme, kvCacheDtype, tp: Number(tp), ep: Number(ep) } } as unknown as Found<never>;
  };
  const sorted = (...keys: string[]) => inOrder(keys.map(found)).map(({ asked }) => Object.values(asked).join(" "));
  // Values of an axis in the order in which they come up: models first, then schemes, and so on.
  assertEquals(
    sorted(
      "x s auto 1 1",
      "y s auto 1 1",
      "x r auto 1 1",
      "x s fp8 1 1",
      "x s auto 2 1",
      "x s auto 1 4",
      "x r auto 2 1",
    ),
    ["x s auto 1 1", "x s auto 1 4", "x s auto 2 1", "x s fp8 1 1", "x r auto 1 1", "x r auto 2 1", "y s auto 1 1"],
  );
  assertEquals(sorted("x s auto 4 1", "x r auto 2 1", "x s auto 2 1"), [
    "x s auto 4 1",
    "x s auto 2 1",
    "x r auto 2 1",
  ]);
});
