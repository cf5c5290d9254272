/** From numbers to the bytes of a stored row. */
import { float32ToBf16 } from "./bf16.ts";
import { type ElementFormat, ELEMENTS, encode } from "./elements.ts";
import { BLOCK, bytesOf, type PlainFormat, type ScaleRule } from "./format.ts";
import type { MxInputElement } from "./input.ts";
import { decodeE8m0, largestMagnitude, scaleByte } from "./scales.ts";

/**
 * Packs codes: of 4 bits two a byte, the even one in the low nibble; of 6 bits four in three bytes, the first in the
 * lowest bits, little-endian; of 8 bits as they are. What is left of the last byte is zero.
 */
export function packCodes(codes: ArrayLike<number>, bits: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Math.ceil(codes.length * bits / 8));
  for (let i = 0; i < codes.length; i++) {
    const at = (bits * i) >> 3, shift = (bits * i) & 7;
    const code = codes[i]! << shift;
    bytes[at]! |= code;
    if (shift + bits > 8) bytes[at + 1]! |= code >> 8;
  }
  return bytes;
}

/** A row of MX blocks as it lies in a file. */
export interface MxRow {
  /** Packed codes. */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** e8m0 bytes, one per 32 numbers. */
  readonly scales: Uint8Array<ArrayBuffer>;
}

/**
 * Quantizes a row to MX blocks and packs it.
 *
 * @param values float32 numbers; the last block may be shorter than 32.
 * @throws {RangeError} if a number is NaN or infinite: a stored weight must not be.
 */
export function encodeMxRow(values: Float32Array, name: MxInputElement, rule: ScaleRule): MxRow {
  const element = ELEMENTS[name];
  const codes = new Uint8Array(values.length);
  const scales = new Uint8Array(Math.ceil(values.length / BLOCK));
  for (let block = 0; block < scales.length; block++) {
    const start = BLOCK * block, end = Math.min(start + BLOCK, values.length);
    const amax = largestMagnitude(values, start, end);
    if (!Number.isFinite(amax)) throw new RangeError(`columns ${start} to ${end - 1}: NaN or infinite`);
    const byte = scaleByte(amax, element, rule);
    scales[block] = byte;
    for (let i = start; i < end; i++) codes[i] = encode(element, Math.fround(values[i]! / decodeE8m0(byte)));
  }
  return { codes: packCodes(codes, element.bits), scales };
}

/**
 * Quantizes numbers to FP8 with one scale: true division, saturating.
 *
 * @throws {RangeError} if a number is NaN, or the scale is not a positive number.
 */
export function encodeFp8(
  values: Float32Array,
  scale: number,
  format: ElementFormat = ELEMENTS.e4m3fn,
): Uint8Array<ArrayBuffer> {
  if (!(scale > 0 && scale < Infinity)) throw new RangeError(`scale ${scale}: expected a positive number`);
  const codes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    if (Number.isNaN(values[i])) throw new RangeError(`element ${i} is NaN`);
    codes[i] = encode(format, Math.fround(values[i]! / scale));
  }
  return codes;
}

/** Stores numbers without a scale, each rounded to the nearest, ties to even; little-endian. */
export function encodePlain(values: Float32Array, format: PlainFormat): Uint8Array<ArrayBuffer> {
  const size = bytesOf(format, 1);
  const bytes = new Uint8Array(values.length * size);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) {
    if (format === "bf16") view.setUint16(2 * i, float32ToBf16(values[i]!), true);
    else if (format === "f16") view.setFloat16(2 * i, values[i]!, true);
    else view.setFloat32(4 * i, values[i]!, true);
  }
  return bytes;
}
