/** By which scales each of several matrices was quantized, and how far its numbers may be from theirs. */
import type { StoredTensor } from "../../src/checkpoint/files.ts";
import { refuseOtherScales } from "../../src/checkpoint/layouts/fake_weights.ts";
import type { ScaleReader } from "../../src/checkpoint/layouts/values.ts";
import type { WeightSpec } from "../../src/checkpoint/quark/entry_spec.ts";
import type { TensorSet } from "../../src/checkpoint/tensor_set.ts";
import { InputError } from "../../src/errors.ts";
import { assertEquals, assertThrows } from "../assert.ts";

const MATRICES = 3, ROWS = 2, COLS = 40, BYTES = 4 * COLS;
/** Codes that the formats have, up to the largest of MXFP4. */
const CODES = [0, 0.5, -1.5, 6, -6, 4];

interface Case {
  readonly spec: WeightSpec;
  readonly dtype: StoredTensor["dtype"];
  readonly shape: readonly number[];
  /** Stored scales. */
  readonly scales: Uint8Array | Float32Array | Float64Array;
  /** What the numbers of the first row of matrix `i` were multiplied by, up to 32 columns and after them. */
  readonly by: (matrix: number) => readonly [number, number];
}

const FP4: WeightSpec = { format: "mxfp4", scale: "e8m0" }, POWERS = [126, 127, 120, 120, 128, 125, 120, 120, 130, 124];
const MX = Uint8Array.of(...POWERS, 120, 120), power = (byte: number) => 2 ** (byte - 127);
const ROW: WeightSpec = { format: "fp8_e4m3", scale: "row" };
const CASES: Readonly<Record<string, Case>> = {
  "blocks": {
    ...{ spec: FP4, dtype: "U8", shape: [3, 2, 2], scales: MX },
    by: (i) => [power(POWERS[4 * i]!), power(POWERS[4 * i + 1]!)],
  },
  "rows": {
    ...{ spec: ROW, dtype: "F32", shape: [3, 2], scales: Float32Array.of(0.5, 9, 2.75, 9, 0.75, 9) },
    by: (i) => [[0.5, 0.5], [2.75, 2.75], [0.75, 0.75]][i] as [number, number],
  },
  "rows, in float64": {
    ...{ spec: ROW, dtype: "F64", shape: [3, 2, 1], scales: Float64Array.of(0.5, 9, 2.75, 9, 0.75, 9) },
    by: (i) => [[0.5, 0.5], [2.75, 2.75], [0.75, 0.75]][i] as [number, number],
  },
  "matrices": {
    ...{ spec: { format: "fp8_e4m3", scale: "tensor" }, dtype: "F32", shape: [3], scales: Float32Array.of(0.5, 3, 7) },
    by: (i) => [[0.5, 0.5], [3, 3], [7, 7]][i] as [number, number],
  },
  "all": {
    ...{ spec: { format: "fp8_e4m3", scale: "tensor" }, dtype: "F32", shape: [1, 1], scales: Float32Array.of(3) },
    by: () => [3, 3],
  },
};

/**
 * Looks at weights in float32 of a case.
 *
 * @param change Changes the numbers of the first row of a matrix; other rows are not looked at.
 */
function look({ spec, dtype, shape, scales, by }: Case, change: (row: Float32Array, matrix: number) => void): void {
  const weights = new Float32Array(MATRICES * ROWS * COLS).fill(NaN);
  for (let i = 0; i < MATRICES; i++) {
    const [first, then] = by(i), row = weights.subarray(i * ROWS * COLS, (i * ROWS + 1) * COLS);
    row.forEach((_, c) => row[c] = CODES[(c + i) % CODES.length]! * (c < 32 ? first : then));
    change(row, i);
  }
  const tensor = (name: string, dtype: StoredTensor["dtype"], shape: readonly number[], bytes: number) => ({
    ...{ name, dtype, shape, bytes, file: 0, offset: name === "w" ? 8 : 0 },
  });
  const held = (name: string) => new Uint8Array((name === "w" ? weights : scales).buffer);
  const reader = {
    bytes: ({ name }: StoredTensor, from: number, count: number) => held(name).slice(from, from + count),
  };
  const matrices = Array.from({ length: MATRICES }, (_, i) => ({
    ...{ format: "f32" as const, rows: ROWS, cols: COLS, offset: 8 + i * ROWS * BYTES, rowBytes: BYTES },
  }));
  refuseOtherScales(
    { pathOf: () => "f" } as unknown as TensorSet,
    reader as unknown as ScaleReader,
    tensor("w", "F32", [MATRICES, ROWS, COLS], weights.byteLength),
    tensor("s", dtype, shape, scales.byteLength),
    matrices,
    () => spec.scale === "none" ? null : spec,
  );
}

for (const [name, one] of Object.entries(CASES)) {
  Deno.test(`numbers that were quantized by scales of ${name} are taken, and others refused where they are`, () => {
    look(one, () => {});
    for (const matrix of [0, 1, 2]) {
      for (const column of [3, 35]) {
        const by = one.by(matrix)[column < 32 ? 0 : 1], line = `, got ${1.25 * by} at [${matrix}, 0, ${column}], which`;
        // MXFP4 has 1 and 1.5, FP8 448 at most: what is clipped is smaller than it was.
        const wrong = one.spec === FP4 ? 1.25 : 1000;
        const change = (row: Float32Array, i: number) => void (i === matrix && (row[column] = wrong * by));
        assertThrows(() => look(one, change), InputError, line.replace(`${1.25 * by}`, `${Math.fround(wrong * by)}`));
        // Rounded to bfloat16 once more, which moves a number by up to 2^-7 of itself, it is near enough, further off
        // it is not.
        const moved = (share: number) => (row: Float32Array, i: number) =>
          void (i === matrix && (row[column] = 1.5 * by * (1 + share)));
        for (const share of [2 ** -8, -(2 ** -8), 0.00785, -0.00775]) look(one, moved(share));
        for (const share of [2 ** -6, -(2 ** -6), 0.0079, -0.0078]) {
          assertThrows(() => look(one, moved(share)), InputError, `at [${matrix}, 0, ${column}]`);
        }
        for (const value of [NaN, Infinity, -Infinity]) {
          const set = (row: Float32Array, i: number) => void (i === matrix && (row[column] = value));
          assertThrows(() => look(one, set), InputError, `, got ${value} at [${matrix}, 0, ${column}]`);
        }
      }
    }
  });
}

Deno.test("without a format there is nothing to look at", () => {
  const none: Case = { ...CASES["all"]!, spec: { format: "bf16", scale: "none" } };
  assertEquals(look(none, (row) => row.fill(NaN)), undefined);
});
