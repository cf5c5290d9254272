import { type Cell, cellKey, cellLabel, cellName, cellsOf } from "../../src/eval/matrix.ts";
import { assertEquals } from "../assert.ts";

const axes = {
  schemes: [null, "w_mxfp4_a_fp8"],
  kvCacheDtypes: ["auto", "fp8"] as const,
  tps: [1, 4],
};

Deno.test("cellsOf() makes every combination once, the first of every axis first", () => {
  const cells = cellsOf(axes);
  assertEquals(cells.length, 8);
  assertEquals(cells[0], { scheme: null, kvCacheDtype: "auto", tp: 1 });
  assertEquals(new Set(cells.map(cellKey)).size, 8);
});

Deno.test("cellKey() is a file name", () => {
  assertEquals(cellKey({ scheme: "w_mxfp4_a_fp8", kvCacheDtype: "fp8", tp: 4 }), "w_mxfp4_a_fp8.kv-fp8.tp4");
  assertEquals(cellKey({ scheme: null, kvCacheDtype: "auto", tp: 1 }), "as-stored.kv-auto.tp1");
});

Deno.test("cellName() says what differs and no more", () => {
  const name = (cell: Cell) => cell.scheme ?? "w_mxfp4";
  const labels = (cells: readonly Cell[]) => cells.map((cell) => cellLabel(cellName(cell, cells, name)));
  assertEquals(labels(cellsOf(axes)).slice(0, 3), [
    "w_mxfp4, kv auto, tp 1",
    "w_mxfp4, kv auto, tp 4",
    "w_mxfp4, kv fp8, tp 1",
  ]);
  assertEquals(labels(cellsOf({ ...axes, schemes: [null], kvCacheDtypes: ["auto"] })), ["tp 1", "tp 4"]);
  assertEquals(labels(cellsOf({ schemes: [null], kvCacheDtypes: ["auto"], tps: [1] })), ["w_mxfp4"]);
});
