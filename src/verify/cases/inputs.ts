/** Inputs of linears after norm and QDQ, by the reference implementation. */
import type { ScaleRule } from "../../formats/format.ts";
import { type InputFormat, isFp8, type MxInputElement } from "../../formats/input.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { qdqRow, quantizeFp8 } from "../../formats/qdq.ts";

/** QDQ kinds of kernels/ABI.md by number. */
export const KINDS = [
  "none",
  "e2m1",
  "e3m2",
  "e2m3",
  "fp8 static",
  "fp8 token",
  "fp8 static codes",
  "fp8 token codes",
  "e4m3fn",
] as const;

/** Kinds of MX blocks. */
export const MX_KINDS: readonly number[] = [1, 2, 3, 8];

/** Scale rules of kernels/ABI.md by number. */
export const RULES: readonly ScaleRule[] = ["even", "floor", "rceil"];

/** The format that a kind stands for. */
export function inputFormat(kind: number, rule: number, scale: number): InputFormat {
  if (kind === 0) return { kind: "none" };
  if (MX_KINDS.includes(kind)) return { kind: "mx", element: KINDS[kind] as MxInputElement, rule: RULES[rule]! };
  return kind === 4 || kind === 6 ? { kind: "fp8_static", scale } : { kind: "fp8_token" };
}

/** A row after QDQ, and what multiplies sums with it. */
export function prepare(row: Float32Array, kind: number, rule: number, scale: number, round: number) {
  const format = inputFormat(kind, rule, scale);
  if ((kind === 6 || kind === 7) && isFp8(format)) return quantizeFp8(row, format);
  return { values: qdqRow(row, format, round === 1), scale: 1 };
}

/**
 * RMSNorm in float32 steps that kernels take too, so that a QDQ after it sees the same bits, except where the sum of
 * squares differs, which kernels add in another order.
 */
export function normRow(x: Float32Array, weight: Float32Array, eps: number, round: number): Float32Array {
  let squares = 0;
  for (const v of x) squares += v * v;
  const inverse = Math.fround(1 / Math.fround(Math.sqrt(Math.fround(Math.fround(squares / x.length) + eps))));
  return x.map((v, i) => {
    const y = Math.fround(Math.fround(v * inverse) * weight[i]!);
    return round ? roundToBf16(y) : y;
  });
}
