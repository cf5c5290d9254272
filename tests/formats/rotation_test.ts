import { roundToBf16 } from "../../src/formats/bf16.ts";
import { rotateRow, sameRotation } from "../../src/formats/rotation.ts";
import { assertEquals } from "../assert.ts";
import { integers } from "./seeded.ts";

const draw = integers(11), number = () => Math.fround((draw() / 2 ** 31 - 1) * 3);
const SIZE = 16, WIDTH = 3 * SIZE;
/** No Hadamard matrix: products that need rounding, and rows that are no columns. */
const matrix = Float64Array.from({ length: SIZE * SIZE }, number);
const prescale = Float32Array.from({ length: WIDTH }, () => Math.abs(number()) + 0.01);
const row = Float32Array.from({ length: WIDTH }, number);

/** The definition, with what the prescale, the prescaled and the rotated row are rounded to. */
function defined(scales: Float32Array | null, round: (x: number) => number): number[] {
  const scaled = Array.from(row, (x, i) => scales === null ? x : round(Math.fround(x * round(scales[i]!))));
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

Deno.test("sameRotation() tells rotations apart by size, every number of the matrix and of the prescale", () => {
  const changed = <T extends Float32Array | Float64Array>(values: T, at: number): T => {
    const copy = values.slice() as T;
    copy[at] = 99;
    return copy;
  };
  const rotations = [
    null,
    { size: SIZE, matrix, prescale },
    { size: SIZE, matrix, prescale: null },
    { size: SIZE / 2, matrix, prescale },
    { size: SIZE, matrix: changed(matrix, 0), prescale },
    { size: SIZE, matrix: changed(matrix, SIZE * SIZE - 1), prescale },
    { size: SIZE, matrix, prescale: changed(prescale, WIDTH - 1) },
    { size: SIZE, matrix, prescale: prescale.slice(0, SIZE) },
  ];
  const copy = (r: (typeof rotations)[number]) =>
    r && { ...r, matrix: r.matrix.slice(), prescale: r.prescale?.slice() ?? null };
  rotations.forEach((a, i) =>
    rotations.forEach((b, j) => assertEquals(sameRotation(a, copy(b)), i === j, `${i} ${j}`))
  );
});
