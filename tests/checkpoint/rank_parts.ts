/** Asserts that the parts of ranks, put together, are the whole. */
import { assert, assertEquals } from "../assert.ts";
import type { Numbers } from "./make.ts";
import type { DenseLinear, DenseMatrix } from "./rank_numbers.ts";

/** Asserts that a part is the rows from `row` and the columns from `col` on of the whole, bit for bit. */
export function assertPart(
  part: DenseMatrix,
  whole: Numbers | DenseMatrix,
  row: number,
  col: number,
  what: string,
): void {
  const expected = "values" in whole ? whole.values : whole.weight;
  const a = new Uint32Array(part.values.buffer, part.values.byteOffset, part.values.length);
  const b = new Uint32Array(expected.buffer, expected.byteOffset, expected.length);
  assert(row + part.rows <= whole.rows && col + part.cols <= whole.cols, `${what}: larger than the whole`);
  for (let r = 0; r < part.rows; r++) {
    const from = r * part.cols, to = (row + r) * whole.cols + col;
    for (let c = 0; c < part.cols; c++) {
      if (a[from + c] !== b[to + c]) {
        assertEquals(part.values[from + c], expected[to + c], `${what}: row ${row + r}, column ${col + c}`);
        throw new Error(`${what}: row ${row + r}, column ${col + c}: the sign of 0`);
      }
    }
  }
}

const vector = (values: Float32Array): DenseMatrix => ({ rows: 1, cols: values.length, values });

/** Asserts that vectors, one after the other, are the whole. */
export function assertVectors(parts: readonly Float32Array[], whole: Float32Array, what: string): void {
  let at = 0;
  for (const part of parts) {
    assertPart(vector(part), vector(whole), 0, at, what);
    at += part.length;
  }
  assertEquals(at, whole.length, `${what}: length`);
}

/**
 * Asserts that output features with their biases, one rank's after the other's, are the whole; gives where each begins.
 */
export function assertRows(parts: readonly DenseLinear[], whole: Numbers, what: string): number[] {
  let at = 0;
  const starts = parts.map((part, i) => {
    // A rank without rows may have lost the columns too.
    if (part.rows > 0) assertEquals(part.cols, whole.cols, `${what}: columns of part ${i}`);
    assertPart(part, whole, at, 0, `${what}, part ${i}`);
    return (at += part.rows) - part.rows;
  });
  assertEquals(at, whole.rows, `${what}: rows`);
  if (whole.bias) assertVectors(parts.map(({ bias }) => bias ?? new Float32Array(0)), whole.bias, `${what}: bias`);
  else assert(parts.every(({ bias }) => bias === null), `${what}: a bias`);
  return starts;
}

/**
 * Asserts that input features, side by side, are the whole, and that the first rank alone has the bias; gives where
 * each begins.
 */
export function assertColumns(parts: readonly DenseLinear[], whole: Numbers, what: string): number[] {
  let at = 0;
  const starts = parts.map((part, i) => {
    assertEquals(part.rows, whole.rows, `${what}: rows of part ${i}`);
    assertPart(part, whole, 0, at, `${what}, part ${i}`);
    return (at += part.cols) - part.cols;
  });
  assertEquals(at, whole.cols, `${what}: columns`);
  assertEquals(parts.map(({ bias }) => bias !== null), parts.map((_, i) => i === 0), `${what}: bias on the first rank`);
  assertVectors([parts[0]!.bias!], whole.bias!, `${what}: bias`);
  return starts;
}
