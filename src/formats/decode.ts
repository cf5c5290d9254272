/** From the bytes of a stored row to numbers. */
import { bf16ToFloat32 } from "./bf16.ts";
import { ELEMENTS } from "./elements.ts";
import { BLOCK, isMxFormat, isPlain, STORED_FORMATS, type WeightFormat } from "./format.ts";
import { decodeE8m0 } from "./scales.ts";

/**
 * The numbers of a stored row; of the MX and FP8 formats without their scales.
 *
 * @param bytes The row's bytes, `bytesOf(format, count)` or more.
 */
export function decodeElements(format: WeightFormat, bytes: Uint8Array, count: number): Float32Array {
  const out = new Float32Array(count);
  if (!isPlain(format)) {
    const { bits, element } = STORED_FORMATS[format], { values } = ELEMENTS[element];
    const code = CODE_AT[bits];
    for (let i = 0; i < count; i++) out[i] = values[code(bytes, i)]!;
    return out;
  }
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
  }
  return out;
}

/** Code i of a packed row, by the bits of a code. */
const CODE_AT = { 4: fp4Code, 6: fp6Code, 8: (bytes: Uint8Array, i: number) => bytes[i]! } as const;

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
 * Multiplies the elements of an MX row by their blocks' scales, in place. Exact, except for results below float32's
 * subnormals; byte 255 makes its block NaN.
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
  const isKind = isPlain(format)
    ? scale === null
    : isMxFormat(format)
    ? scale instanceof Uint8Array
    : typeof scale === "number";
  if (!isKind) {
    throw new TypeError(`${format}: ${scale === null ? "no scales" : "scales of another format"}`);
  }
  if (scale instanceof Uint8Array) applyBlockScales(values, scale);
  else if (scale !== null) { for (let i = 0; i < count; i++) values[i] = values[i]! * scale; }
  return values;
}
