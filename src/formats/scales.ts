/** Scales of blocks: OCP's e8m0 bytes and how they follow from a block's largest magnitude. */
import { type ElementFormat, ELEMENTS } from "./elements.ts";
import type { ScaleRule } from "./format.ts";

/** The e8m0 byte that stands for NaN. */
export const E8M0_NAN = 255;

/** 2^(byte - 127), also for byte 0, which is not zero; NaN for 255. */
export function decodeE8m0(byte: number): number {
  return byte === E8M0_NAN ? NaN : 2 ** (byte - 127);
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/**
 * The scale byte of an MX block.
 *
 * `even`: half of the element format's last mantissa bit is added to the largest magnitude before its power of two is
 * taken, so that a block whose largest number would round up to the next power of two gets the larger scale. `floor`:
 * the power of two itself. `rceil`: the next one where the significand is above that of the format's largest number.
 * From it the exponent of the format's largest number is subtracted.
 *
 * @param amax Largest magnitude of the block, a float32 number; 0 and subnormals give byte 0.
 * @returns 0 to 254, or {@linkcode E8M0_NAN} if `amax` is NaN. An infinite magnitude gives 254, and so does one that
 *   the addition of `even` makes infinite.
 */
export function scaleByte(amax: number, element: ElementFormat, rule: ScaleRule): number {
  if (amax !== amax) return E8M0_NAN;
  float[0] = amax;
  const field = (word[0]! + added(element, rule)) >>> 23;
  if (field === 255 && (rule !== "rceil" || amax === Infinity)) return 254;
  return Math.max(0, field - element.maxExponent);
}

/** What is added to the bits of a block's largest magnitude before its exponent is read. */
function added({ mantissaBits, max, maxExponent }: ElementFormat, rule: ScaleRule): number {
  if (rule === "floor") return 0;
  if (rule === "even") return 1 << (23 - mantissaBits - 1);
  // The fraction of the largest number, and anything below it, must not carry into the exponent.
  return 2 ** 23 - 1 - (max / 2 ** maxExponent - 1) * 2 ** 23;
}

/** Smallest scale of a token quantized to FP8 on the fly, so that a row of zeros has one; float32. */
const MIN_TOKEN_SCALE = Math.fround(1 / (448 * 512));

/**
 * The scale of a token's row quantized to FP8 on the fly: max|x| / 448 in float32.
 *
 * @param amax Largest magnitude of the row; NaN gives NaN, infinity infinity.
 */
export function fp8TokenScale(amax: number): number {
  return Math.max(Math.fround(amax / ELEMENTS.e4m3fn.max), MIN_TOKEN_SCALE);
}

/** Largest magnitude of `values[start..end)`; NaN if one of them is NaN; 0 if there are none. */
export function largestMagnitude(values: ArrayLike<number>, start: number, end: number): number {
  let amax = 0;
  // Math.max keeps a NaN that came before.
  for (let i = start; i < end; i++) amax = Math.max(amax, Math.abs(values[i]!));
  return amax;
}
