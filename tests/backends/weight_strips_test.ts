/** Matrices that the reference backend reads in several strips, as are those of real models. */
import { WeightFiles } from "../../src/backends/reference/weight_files.ts";
import { ELEMENTS } from "../../src/formats/elements.ts";
import { assertEquals } from "../assert.ts";
import { SourceFileBuilder, STORAGES } from "./random_model.ts";

Deno.test("WeightFiles reads the rows and scales of a matrix of several strips, and rows longer than one", () => {
  using file = new SourceFileBuilder();
  const storage = (format: string) => STORAGES.find((s) => s.format === format && !s.transposed)!;
  // Rows of 1 KiB, of which each has a code and a scale of its own.
  const cols = 2048, count = 2300, { values } = ELEMENTS.e2m1;
  const rows = Array.from({ length: count }, (_, r) => {
    const bytes = new Uint8Array(cols / 2), scales = new Uint8Array(cols / 32).fill(127);
    bytes[0] = r % 16;
    scales[0] = 100 + r % 51;
    return { bytes, scales };
  });
  const many = file.rawMatrix("many", storage("mxfp4"), cols, rows);
  // Rows of more than 1 MiB.
  const width = 550_000, long = file.matrix("long", 2, width, storage("bf16"), (r, c) => r * 64 + c % 61);
  const { files: sources } = file.finish({ layers: [] } as never, []);
  using files = new WeightFiles(sources);
  const expected = (r: number) => values[r % 16]! * 2 ** (100 + r % 51 - 127);
  const seen: number[] = [];
  files.forEachRow(many, (r, row) => {
    seen.push(r);
    assertEquals(row[0], expected(r), `row ${r}`);
  });
  assertEquals(seen, rows.map((_, r) => r));
  for (const r of [0, 1023, 1024, count - 1]) assertEquals(files.row(many, r)[0], expected(r), `row ${r} alone`);
  files.forEachRow(
    long,
    (r, row) => assertEquals([row[0], row[60], row[width - 1]], [r * 64, r * 64 + 60, r * 64 + (width - 1) % 61]),
  );
});
