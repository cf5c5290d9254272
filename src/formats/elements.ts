/**
 * The small floating-point formats, as tables generated from their parameters.
 *
 * A code is a sign bit, exponent bits and mantissa bits, from the highest; exponent field 0 holds zero and the
 * subnormals. Without the sign bit, codes ascend with their values.
 */

/**
 * Names of the element formats: exponent and mantissa bits; `fn` finite with NaN, `fnuz` finite with NaN and without
 * negative zero.
 */
export type ElementName = "e2m1" | "e3m2" | "e2m3" | "e4m3fn" | "e4m3fnuz" | "e5m2";

/** What the codes that are not ordinary numbers mean. */
type Special =
  /** There are none. */
  | "none"
  /** All exponent and mantissa bits set: NaN. */
  | "fn"
  /** The code of negative zero: NaN. */
  | "fnuz"
  /** The largest exponent field: infinity, and NaN where the mantissa is not 0. */
  | "ieee";

/** One format. */
export interface ElementFormat {
  readonly name: ElementName;
  /** Bits of a code, sign included. */
  readonly bits: number;
  readonly mantissaBits: number;
  /** Power of two of the smallest normal number; subnormals have it too. */
  readonly minExponent: number;
  /** Power of two of the largest number ("emax" of the MX scale rules). */
  readonly maxExponent: number;
  /** Largest number. */
  readonly max: number;
  /** Value of every code, [2^bits]. */
  readonly values: Float32Array;
}

/**
 * What {@linkcode encode} returns for NaN in every format. In e4m3fn and e5m2 it is a NaN; in FP4 and FP6 it is no
 * code, and in e4m3fnuz it is -240, so code that writes those must look for NaN first.
 */
export const NAN_CODE = 255;

function define(name: ElementName, exponentBits: number, mantissaBits: number, bias: number, special: Special) {
  const bits = 1 + exponentBits + mantissaBits;
  const signBit = 1 << (bits - 1);
  const values = Float32Array.from({ length: 1 << bits }, (_, code) => {
    const field = (code & (signBit - 1)) >> mantissaBits;
    const mantissa = (code & ((1 << mantissaBits) - 1)) / (1 << mantissaBits);
    const sign = code & signBit ? -1 : 1;
    if (special === "fn" && (code & (signBit - 1)) === signBit - 1) return NaN;
    if (special === "fnuz" && code === signBit) return NaN;
    if (special === "ieee" && field === (1 << exponentBits) - 1) return mantissa === 0 ? sign * Infinity : NaN;
    return sign * (field === 0 ? mantissa * 2 ** (1 - bias) : (1 + mantissa) * 2 ** (field - bias));
  });
  const max = values.reduce((most, value) => Number.isFinite(value) ? Math.max(most, value) : most, 0);
  const format: ElementFormat = {
    name,
    bits,
    mantissaBits,
    minExponent: 1 - bias,
    maxExponent: Math.floor(Math.log2(max)),
    max,
    values,
  };
  return format;
}

/** The formats by name. */
export const ELEMENTS: Readonly<Record<ElementName, ElementFormat>> = {
  e2m1: define("e2m1", 2, 1, 1, "none"),
  e3m2: define("e3m2", 3, 2, 3, "none"),
  e2m3: define("e2m3", 2, 3, 1, "none"),
  e4m3fn: define("e4m3fn", 4, 3, 7, "fn"),
  e4m3fnuz: define("e4m3fnuz", 4, 3, 8, "fnuz"),
  e5m2: define("e5m2", 5, 2, 15, "ieee"),
};

/** Number of an element format in wasm/ABI.md: its place in {@linkcode ELEMENTS}. */
export function elementNumber(name: ElementName): number {
  return Object.keys(ELEMENTS).indexOf(name);
}

/** The value of a code; exact. */
export function decode(format: ElementFormat, code: number): number {
  return format.values[code]!;
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** Adding and subtracting it leaves an integer, rounded as float64 addition rounds: to nearest, ties to even. */
const ROUNDER = 2 ** 52;

/**
 * The code of the number of the format that is nearest to `value`; between two equally near ones, that with the even
 * mantissa. Numbers beyond the largest, and infinities, give the largest. The sign is kept, also of what becomes zero
 * (except in e4m3fnuz, which has one zero).
 *
 * @param value Rounded to float32 first, if it is not one.
 * @returns {@linkcode NAN_CODE} for NaN.
 */
export function encode(format: ElementFormat, value: number): number {
  if (value !== value) return NAN_CODE;
  const { bits, mantissaBits, minExponent, max, name } = format;
  float[0] = value;
  const magnitude = Math.min(Math.abs(float[0]), max);
  const sign = word[0]! >>> 31;
  float[0] = magnitude;
  // A float32 subnormal is far below every format's smallest number, so the field -127 need not be exact.
  const exponent = Math.max((word[0]! >>> 23) - 127, minExponent);
  // The number in units of its last mantissa bit, in [2^m, 2^(m+1)] for normal numbers; the upper end carries into the
  // exponent field.
  const units = magnitude * 2 ** (mantissaBits - exponent) + ROUNDER - ROUNDER;
  const code = ((exponent - minExponent) << mantissaBits) + units;
  return name === "e4m3fnuz" && code === 0 ? 0 : (sign << (bits - 1)) + code;
}

/** `decode(encode(value))`, with NaN kept: the number rounded to the format. */
export function quantize(format: ElementFormat, value: number): number {
  return value !== value ? value : format.values[encode(format, value)]!;
}
