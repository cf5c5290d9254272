/** Rounding many numbers to an element format, ten times as fast as one by one with {@linkcode quantize}. */
import { type ElementFormat, type ElementName, ELEMENTS } from "./elements.ts";

/** Formats that keep the sign of zero. */
export type SignedElement = Exclude<ElementName, "e4m3fnuz">;

/** Writes `values[start..end) / scale`, each rounded to a number of the format, not multiplied by the scale again. */
export type QuantizeRow = (
  values: Float32Array,
  start: number,
  end: number,
  scale: number,
  into: Float32Array,
) => void;

const quantizers = new Map<SignedElement, QuantizeRow>();

/** The function that does so for a format: bit by bit what {@linkcode quantize} makes of each number. */
export function quantizeRow(name: SignedElement): QuantizeRow {
  let found = quantizers.get(name);
  if (found === undefined) quantizers.set(name, found = quantizerOf(ELEMENTS[name]));
  return found;
}

/** Adding and subtracting it leaves an integer, rounded as float64 addition rounds: to nearest, ties to even. */
const ROUNDER = 2 ** 52;

function quantizerOf({ mantissaBits, minExponent, maxExponent, max }: ElementFormat): QuantizeRow {
  const float = new Float32Array(1), word = new Uint32Array(float.buffer);
  // By the exponent field of a float32: how many of the last mantissa bit a one is, and what such a bit is worth.
  const units = Float64Array.from(
    { length: 256 },
    (_, field) => 2 ** (mantissaBits - Math.max(minExponent, Math.min(maxExponent, field - 127))),
  );
  const worth = units.map((unit) => 1 / unit);
  return (values, start, end, scale, into) => {
    for (let i = start; i < end; i++) {
      float[0] = values[i]! / scale;
      const bits = word[0]!, field = (bits >>> 23) & 255;
      const rounded = (Math.min(Math.abs(float[0]!), max) * units[field]! + ROUNDER - ROUNDER) * worth[field]!;
      into[i] = bits >>> 31 === 0 ? rounded : -rounded;
    }
  };
}
