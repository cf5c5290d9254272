/** `linear` for one input row by bfloat16, by the loop of eight output rows (`eight_rows.rs`). */
import { encodePlain } from "../../src/formats/encode.ts";
import { exactProducts } from "./exact.ts";
import { linear, matrixRows } from "./linear.ts";
import { assertSameBits, Machine } from "./module.ts";
import { FORMATS, type Matrix, storeMatrix } from "./weights.ts";

Deno.test("linear() multiplies every bfloat16 by one, exactly", () => {
  const cols = 32, codes = Array.from({ length: 2 ** 16 }, (_, code) => code).filter((code) => (code >> 7 & 255) < 255);
  const machine = new Machine(), rows = codes.length / cols;
  const values = Float32Array.from(new Float32Array(Uint32Array.from(codes, (code) => code << 16).buffer));
  const address = machine.bytes(new Uint8Array(Uint16Array.from(codes).buffer), 1).address;
  const matrix: Matrix = {
    values: Array.from({ length: rows }, (_, row) => values.subarray(row * cols, (row + 1) * cols)),
    factors: Array.from({ length: rows }, () => 1),
    words: [FORMATS.indexOf("bf16"), 0, rows, cols, address, 2 * cols, 0, 0, 0],
  };
  for (let col = 0; col < cols; col++) {
    const x = Float32Array.from({ length: cols }, (_, i) => +(i === col));
    const [[out]] = linear(machine, [{ matrix, x: [x] }]) as [[Float32Array]];
    // A sum of zeros of either sign is 0.
    assertSameBits(out, matrix.values.map((row) => row[col]! || 0), `column ${col}`);
  }
});

Deno.test("linear() sums one row by bfloat16 in the order of all sums, whatever rows eight leave", () => {
  for (const rows of [1, 7, 8, 9, 15, 16, 23, 40]) {
    for (const cols of [31, 32, 33, 64, 96, 205]) {
      const machine = new Machine(), numbers = matrixRows(rows, cols, rows + cols);
      const matrix = storeMatrix(machine, numbers, { format: "bf16" });
      const codes = numbers.map((row) => encodePlain(row, "bf16")),
        stored = { format: "bf16", cols, codes, scales: null };
      // Numbers of very different sizes, so that any other order rounds differently; then some that are not finite.
      const [x] = matrixRows(1, cols, 5).map((row) => row.map((v, i) => Math.fround(v * 2 ** -(i * 5 % 23))));
      const special = x!.map((v, i) => i === 3 ? -Infinity : i === cols - 1 ? 3e38 : v);
      for (const row of [x!, special, x!.map(() => -0)]) {
        const [[out]] = linear(machine, [{ matrix, x: [row] }]) as [[Float32Array]];
        assertSameBits(out, exactProducts({ ...stored, format: "bf16" }, [row])[0]!, `${rows} x ${cols}`);
      }
    }
  }
});
