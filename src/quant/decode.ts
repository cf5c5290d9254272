/** From the bytes of a stored row to numbers. */
import { bf16ToFloat32 } from "./bf16.ts";
import { ELEMENTS } from "./elements.ts";
import type { WeightFormat } from "./format.ts";
import { BLOCK, decodeE8m0 } from "./scales.ts";

/** Bits of one stored number, scales apart. */
export const FORMAT_BITS: Readonly<Record<WeightFormat, number>> = {
  bf16: 16,
  f16: 16,
  f32: 32,
  mxfp4: 4,
  mxfp6_e3m2: 6,
  mxfp6_e2m3: 6,
  fp8_e4m3: 8,
  fp8_e4m3fnuz: 8,
};

/** Bytes of `count` stored numbers that lie together. */
export function bytesOf(format: WeightFormat, count: number): number {
  return Math.ceil(FORMAT_BITS[format] * count / 8);
}

/**
 * The numbers of a stored row; of the MX and FP8 formats without their scales.
 *
 * @param bytes The row's bytes, `bytesOf(format, count)` or more.
 */
export function decodeElements(format: WeightFormat, bytes: Uint8Array, count: number): Float32Array {
  const out = new Float32Array(count);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (format) {
    case "bf16":
      for (let i = 0; i < count; i++) out[i] = bf16ToFloat32(view.getUint16(2 * i, true));
      break;
    case "f16":
      for (let i = 0; i < count; i++) out[i] = view.getFloat16(2 * i, true);
      break;
    case "f32":
      for (let i = 0; i < count; i++) out[i] = view.getFloat32(4 * i, true);
      break;
    case "mxfp4":
      for (let i = 0; i < count; i++) out[i] = ELEMENTS.e2m1.values[fp4Code(bytes, i)]!;
      break;
    case "mxfp6_e3m2":
      for (let i = 0; i < count; i++) out[i] = ELEMENTS.e3m2.values[fp6Code(bytes, i)]!;
      break;
    case "mxfp6_e2m3":
      for (let i = 0; i < count; i++) out[i] = ELEMENTS.e2m3.values[fp6Code(bytes, i)]!;
      break;
    case "fp8_e4m3":
      for (let i = 0; i < count; i++) out[i] = ELEMENTS.e4m3fn.values[bytes[i]!]!;
      break;
    case "fp8_e4m3fnuz":
      for (let i = 0; i < count; i++) out[i] = ELEMENTS.e4m3fnuz.values[bytes[i]!]!;
      break;
  }
  return out;
}

/** Code i of a packed FP4 row: the even one of a pair is in the low nibble. */
export function fp4Code(bytes: Uint8Array, i: number): number {
  return i % 2 === 0 ? bytes[i >> 1]! & 15 : bytes[i >> 1]! >> 4;
}

/** Code i of a packed FP6 row: four codes in three bytes, the first in the lowest bits. */
export function fp6Code(bytes: Uint8Array, i: number): number {
  const bit = 6 * i, at = bit >> 3;
  // The next byte is missing only where the code ends in this one.
  return ((bytes[at]! | (bytes[at + 1] ?? 0) << 8) >> (bit & 7)) & 63;
}

/**
 * Multiplies the elements of an MX row by their blocks' scales, in place. Exact, but for results below float32's subnormals; byte 255
 * makes its block NaN.
 *
 * @param scales e8m0 bytes, one per 32 elements.
 */
export function applyBlockScales(elements: Float32Array, scales: Uint8Array): void {
  for (let start = 0; start < elements.length; start += BLOCK) {
    const scale = decodeE8m0(scales[start / BLOCK]!), end = Math.min(start + BLOCK, elements.length);
    for (let i = start; i < end; i++) elements[i] = elements[i]! * scale;
  }
}

/** Scales of a stored row: e8m0 bytes for MX, one float32 for FP8, null for plain numbers. */
export type RowScale = Uint8Array | number | null;

/**
 * Dequantizes a stored row: elements times scales, float32.
 *
 * @throws {TypeError} if the scales are not of the kind that the format has.
 */
export function decodeRow(format: WeightFormat, bytes: Uint8Array, count: number, scale: RowScale): Float32Array {
  const values = decodeElements(format, bytes, count);
  if (format.startsWith("mx") !== (scale instanceof Uint8Array)) {
    throw new TypeError(`${format}: ${scale === null ? "no scales" : "scales of another format"}`);
  }
  if (scale instanceof Uint8Array) applyBlockScales(values, scale);
  else if (scale !== null) { for (let i = 0; i < count; i++) values[i] = values[i]! * scale; }
  return values;
}
