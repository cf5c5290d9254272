import { type ArrangedCell, arrangeLines, arrangeRows, colourScale } from "../../src/eval/report/arrangement.ts";
import { cellLabel, cellName, cellsOf } from "../../src/eval/matrix.ts";
import { assertEquals } from "../assert.ts";

const SCHEMES = ["w_mxfp4", "w_mxfp4_a_fp8", "w_mxfp4_a_mxfp4", "w_mxfp4_a_mxfp6_e3m2", "w_mxfp4_a_mxfp6_e2m3"];

function matrix(
  schemes: readonly string[],
  kvCacheDtypes: readonly ("bf16" | "fp8")[],
  tps: readonly number[],
): ArrangedCell[] {
  const cells = cellsOf({ models: [null], schemes, kvCacheDtypes, tps, eps: [1] });
  return cells.map((cell) => {
    const name = cellName(cell, cells, ({ scheme }) => scheme!);
    return { label: cellLabel(name), name };
  });
}

Deno.test("arrangeLines() gives up to seven settings a colour each, in one panel", () => {
  const cells = matrix(SCHEMES.slice(0, 3), ["bf16", "fp8"], [1]);
  const { colours, columns, rows } = arrangeLines(cells);
  assertEquals(colours, cells.map(({ label }) => label));
  assertEquals([columns, rows], [[""], [""]]);
});

Deno.test("arrangeLines() gives many settings colours by scheme and panels by KV format and ranks", () => {
  const cells = matrix(SCHEMES, ["bf16", "fp8"], [1, 2, 4, 8]);
  const lines = arrangeLines(cells);
  assertEquals(lines.colours, SCHEMES);
  assertEquals(lines.columns, ["tp 1", "tp 2", "tp 4", "tp 8"]);
  assertEquals(lines.rows, ["kv bf16", "kv fp8"]);
  assertEquals(lines.place("w_mxfp4_a_fp8, kv fp8, tp 4"), {
    colour: "w_mxfp4_a_fp8",
    column: "tp 4",
    row: "kv fp8",
  });
  // No two settings share a colour in a panel.
  const places = cells.map(({ label }) => JSON.stringify(lines.place(label)));
  assertEquals(new Set(places).size, cells.length);
});

Deno.test("arrangeLines() sets KV formats side by side where nothing else is open", () => {
  const lines = arrangeLines(matrix(SCHEMES, ["bf16", "fp8"], [1]));
  assertEquals([lines.colours, lines.columns, lines.rows], [SCHEMES, ["kv bf16", "kv fp8"], [""]]);
});

Deno.test("arrangeRows() sets ranks side by side where there would be too many rows", () => {
  const few = matrix(SCHEMES, ["bf16", "fp8"], [1]);
  assertEquals(arrangeRows(few).rows, few.map(({ label }) => label));
  const many = arrangeRows(matrix(SCHEMES, ["bf16", "fp8"], [1, 2, 4, 8]));
  assertEquals([many.rows.length, many.columns.length], [10, 4]);
  assertEquals(many.place("w_mxfp4, kv bf16, tp 8"), { colour: "w_mxfp4", column: "tp 8", row: "w_mxfp4, kv bf16" });
});

Deno.test("arrangeRows() leaves a list of many ranks as it is", () => {
  const cells = matrix(["w_mxfp4"], ["bf16"], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  assertEquals(arrangeRows(cells).rows, cells.map(({ label }) => label));
  assertEquals(arrangeLines(cells).colours.length, 12);
});

Deno.test("colourScale() keeps a setting's colour where others are not drawn", () => {
  const cells = matrix(SCHEMES, ["bf16"], [1]), lines = arrangeLines(cells);
  const all = colourScale(lines, cells), rest = colourScale(lines, cells.slice(1));
  assertEquals([rest.domain, rest.range], [all.domain.slice(1), all.range.slice(1)]);
  assertEquals(new Set(all.range).size, SCHEMES.length);
});
