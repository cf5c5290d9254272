import { type Cell, cellKey, cellLabel, cellName, cellsOf, modelNames } from "../../src/eval/matrix.ts";
import { assertEquals } from "../assert.ts";

const axes = {
  models: [null],
  eps: [1],
  schemes: [null, "w_mxfp4_a_fp8"],
  kvCacheDtypes: ["auto", "fp8"] as const,
  tps: [1, 4],
};

Deno.test("cellsOf() makes every combination once, the first of every axis first", () => {
  const cells = cellsOf(axes);
  assertEquals(cells.length, 8);
  assertEquals(cells[0], { model: null, scheme: null, kvCacheDtype: "auto", tp: 1, ep: 1 });
  assertEquals(new Set(cells.map(cellKey)).size, 8);
});

Deno.test("cellKey() is a file name", () => {
  const one = { model: null, scheme: "w_mxfp4_a_fp8", kvCacheDtype: "fp8", tp: 4, ep: 1 } as const;
  assertEquals(cellKey(one), "w_mxfp4_a_fp8.kv-fp8.tp4");
  assertEquals(cellKey({ ...one, scheme: null, ep: 2, model: "20b" }), "as-stored.kv-fp8.tp4.ep2.model-20b");
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
  assertEquals(labels(cellsOf({ ...axes, schemes: [null], kvCacheDtypes: ["auto"], tps: [1] })), ["w_mxfp4"]);
});

Deno.test("cellName() tells models and groups of experts apart, and models by what they are stored in", () => {
  const cells = cellsOf({
    ...axes,
    models: ["a", "b"],
    schemes: [null],
    kvCacheDtypes: ["auto"],
    tps: [1],
    eps: [1, 2],
  });
  const labels = (name: (cell: Cell) => string) => cells.map((cell) => cellLabel(cellName(cell, cells, name)));
  assertEquals(labels(() => "w_mxfp4"), ["a, ep 1", "a, ep 2", "b, ep 1", "b, ep 2"]);
  assertEquals(labels(({ model }) => model === "a" ? "fp8" : "bf16").slice(1, 3), ["a, fp8, ep 2", "b, bf16, ep 1"]);
});

Deno.test("modelNames() are parts of file names, and differ", () => {
  assertEquals(modelNames(["/models/gpt-oss-20b/"]), [null]);
  assertEquals(modelNames(["/a/20b", "/b/20b/", "c d", "/"]), ["20b", "20b-2", "c_d", "model"]);
});
