import { roundToBf16 } from "../../src/formats/bf16.ts";
import { rotateRow } from "../../src/formats/rotation.ts";
import { assertEquals } from "../assert.ts";
import { integers } from "./seeded.ts";

const draw = integers(11), number = () => Math.fround((draw() / 2 ** 31 - 1) * 3);
const SIZE = 16, WIDTH = 3 * SIZE;
/** No Hadamard matrix: products that need rounding, and rows that are no columns. */
const matrix = Float64Array.from({ length: SIZE * SIZE }, number);
const prescale = Float32Array.from({ length: WIDTH }, () => Math.abs(number()) + 0.01);
const row = Float32Array.from({ length: WIDTH }, number);

/** The definition, with what the prescaled and the rotated row are rounded to. */
function defined(scales: Float32Array | null, round: (x: number) => number): number[] {
  const scaled = Array.from(row, (x, i) => scales === null ? x : round(Math.fround(x * scales[i]!)));
  return Array.from(row, (_, at) => {
    const block = Math.floor(at / SIZE) * SIZE, j = at - block;
    let sum = 0;
    for (let i = 0; i < SIZE; i++) sum += scaled[block + i]! * matrix[i * SIZE + j]!;
    return round(Math.fround(sum));
  });
}

for (const [name, scales] of [["a prescale", prescale], ["no prescale", null]] as const) {
  for (const [dtype, round] of [["bf16", roundToBf16], ["f32", Math.fround]] as const) {
    Deno.test(`rotateRow() with ${name} rounds to ${dtype} after each step, and leaves the row as it is`, () => {
      const before = row.slice(), rotation = { size: SIZE, matrix, prescale: scales };
      assertEquals([...rotateRow(row, rotation, dtype === "bf16")], defined(scales, round));
      const into = new Float32Array(WIDTH);
      assertEquals(rotateRow(row, rotation, dtype === "bf16", into), into);
      assertEquals([...into], defined(scales, round));
      assertEquals(row, before);
    });
  }
}
