/** The codec beside src/formats where no model of a test comes: matrices of several tiles, scales of odd magnitudes. */
import type { MatrixSource, ScaleSource } from "../../src/checkpoint/source.ts";
import { Codec, TILE } from "../../src/conversion/codec.ts";
import { fp8Scale } from "../../src/conversion/encode_matrix.ts";
import { RangeReader } from "../../src/conversion/range_reader.ts";
import { decodeRow } from "../../src/formats/decode.ts";
import { blocksOf, bytesOf, type WeightFormat } from "../../src/formats/format.ts";
import { assert, assertEquals } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { integers } from "../formats/seeded.ts";

const COLS = 1024, HEIGHT = TILE / COLS, AFTER = 3, ROWS = HEIGHT + AFTER;

/** A matrix of one tile and three rows, in a file that is empty but for the last rows; and those rows' numbers. */
function makeMatrix(path: string, format: WeightFormat, transposed: boolean): [MatrixSource, Float32Array[]] {
  const draw = integers(7), bytes = bytesOf(format, COLS), start = 64;
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  const write = (at: number, data: Uint8Array) => {
    file.seekSync(at, Deno.SeekMode.Start);
    file.writeSync(data);
  };
  // Every byte but those that are NaN in FP8 or make bfloat16 large.
  const rows = Array.from({ length: AFTER }, () => Uint8Array.from({ length: bytes }, () => draw() % 63));
  const scaleBytes = rows.map(() => Uint8Array.from({ length: blocksOf(COLS) }, () => 100 + draw() % 50));
  const rowScales = Float32Array.from({ length: ROWS }, (_, r) => 1 + r / 7);
  const stride = transposed ? bytesOf(format, ROWS) : bytes, size = bytesOf(format, 1);
  rows.forEach((row, r) => {
    if (!transposed) return write(start + (HEIGHT + r) * bytes, row);
    for (let c = 0; c < COLS; c++) {
      write(start + c * stride + (HEIGHT + r) * size, row.subarray(c * size, (c + 1) * size));
    }
  });
  const scalesAt = start + (transposed ? COLS : ROWS) * stride;
  scaleBytes.forEach((row, r) => write(scalesAt + (HEIGHT + r) * row.length, row));
  file.truncateSync(scalesAt + ROWS * blocksOf(COLS));
  const scale: ScaleSource = format === "mxfp4"
    ? { kind: "e8m0", file: 0, offset: scalesAt, rowStride: blocksOf(COLS) }
    : format === "fp8_e4m3"
    ? { kind: "row", values: rowScales }
    : { kind: "none" };
  const matrix = { name: "w", format, rows: ROWS, cols: COLS, file: 0, offset: start, rowBytes: stride } as const;
  const numbers = rows.map((row, r) => {
    const own = scale.kind === "e8m0" ? scaleBytes[r]! : scale.kind === "row" ? rowScales[HEIGHT + r]! : null;
    return decodeRow(format, row, COLS, own);
  });
  return [{ ...matrix, rowStride: stride, transposed, scale }, numbers];
}

for (const [format, transposed] of [["mxfp4", false], ["fp8_e4m3", false], ["bf16", false], ["bf16", true]] as const) {
  const name = `${format}${transposed ? ", transposed" : ""}`;
  Deno.test(`Codec.tiles() gives the rows after the first tile: ${name}`, async () => {
    using dir = new TemporaryDirectory();
    const path = `${dir.path}/w`, [matrix, expected] = makeMatrix(path, format, transposed);
    using reader = new RangeReader([{ path, bytes: Deno.statSync(path).size }], dir.path);
    const codec = await Codec.open([matrix]);
    const tiles = Array.from(codec.tiles(matrix, reader), ({ first, rows, values }) => {
      if (first === 0) return [first, rows];
      return [
        first,
        rows,
        ...expected.map((row, r) => {
          assert(row.some((number) => number !== 0));
          const at = values.subarray(r * COLS, (r + 1) * COLS);
          return row.findIndex((number, c) => !Object.is(number, at[c]));
        }),
      ];
    });
    assertEquals(tiles, [[0, HEIGHT], [HEIGHT, AFTER, -1, -1, -1]]);
  });
}

Deno.test("fp8Scale() maps the largest magnitude to 448, is a normal number, and of zeros 2^-23", () => {
  assertEquals([448, 1, 3].map(fp8Scale), [1, Math.fround(1 / 448), Math.fround(3 / 448)]);
  assertEquals([448 * 2 ** -126, 447 * 2 ** -126, 2 ** -149].map(fp8Scale), [2 ** -126, 2 ** -126, 2 ** -126]);
  assertEquals(fp8Scale(0), 2 ** -23);
});
