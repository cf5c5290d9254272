/**
 * Quantize-dequantize: what is left of a linear's input after it went through a small format.
 *
 * All arithmetic is float32 (single operations, correctly rounded), whatever the model's dtype; then the result is
 * rounded once to the dtype.
 */
import type { InputFormat, MxInputElement } from "./input.ts";
import { roundAllToBf16 } from "./bf16.ts";
import { type ElementFormat, ELEMENTS, quantize } from "./elements.ts";
import { BLOCK, type ScaleRule } from "./format.ts";
import { qdqQ8 } from "./q8_0.ts";
import { decodeE8m0, E8M0_NAN, fp8TokenScale, largestMagnitude, scaleByte } from "./scales.ts";

/** The element format of an MX element name. */
export const mxElement = (name: MxInputElement): ElementFormat => ELEMENTS[name];

/**
 * QDQ of MX blocks: 32 columns from column 0 share a scale; the last block may be shorter.
 *
 * Each number is divided by the scale, rounded to the element format (nearest-even, saturating) and multiplied by the
 * scale; signs survive, also of zeros. A NaN makes its whole block NaN: no scale can represent it.
 *
 * @param values One row, changed in place.
 */
export function qdqMx(values: Float32Array, name: MxInputElement, rule: ScaleRule): void {
  const element = mxElement(name);
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, values.length);
    const byte = scaleByte(largestMagnitude(values, start, end), element, rule);
    if (byte === E8M0_NAN) {
      values.fill(NaN, start, end);
      continue;
    }
    const scale = decodeE8m0(byte);
    for (let i = start; i < end; i++) values[i] = quantize(element, Math.fround(values[i]! / scale)) * scale;
  }
}

/** A row in FP8: the values of its codes, without the scale that they are to be multiplied with. */
export interface Fp8Row {
  readonly values: Float32Array;
  readonly scale: number;
}

/**
 * Quantizes a row to FP8 e4m3 with one scale: a static one, or the row's own.
 *
 * True division, saturation at +-448 (infinities too), NaN stays NaN. A row whose own scale is infinite or NaN, because
 * it holds an infinity or NaN, is NaN all over once it is multiplied.
 */
export function quantizeFp8(row: Float32Array, input: InputFormat & { kind: "fp8_static" | "fp8_token" }): Fp8Row {
  const scale = input.kind === "fp8_static" ? input.scale : fp8TokenScale(largestMagnitude(row, 0, row.length));
  return { values: row.map((x) => quantize(ELEMENTS.e4m3fn, Math.fround(x / scale))), scale };
}

/**
 * QDQ of one row as an input format says.
 *
 * @param row Left as it is.
 * @param toBf16 Round the result to bfloat16; that of Q8_0 stays as it is.
 * @returns A new row.
 */
export function qdqRow(row: Float32Array, input: InputFormat, toBf16: boolean): Float32Array {
  let result: Float32Array;
  switch (input.kind) {
    case "none":
      result = row.slice();
      break;
    case "mx":
      result = row.slice();
      qdqMx(result, input.element, input.rule);
      break;
    case "fp8_static":
    case "fp8_token": {
      const { values, scale } = quantizeFp8(row, input);
      result = values.map((value) => value * scale);
      break;
    }
    case "q8_0":
      result = row.slice();
      qdqQ8(result);
      break;
  }
  if (toBf16 && input.kind !== "q8_0") roundAllToBf16(result);
  return result;
}
