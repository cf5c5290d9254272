/** Options of benches: those of all scripts, and one that several benches have. */
import { InputError } from "../src/errors.ts";

export * from "../tools/options.ts";

/**
 * The static scale of FP8 inputs that a text says.
 *
 * @throws {InputError} if it is none: inputs are divided by it as a float32, so that one that float32 has as zero,
 * infinity or NaN would make inputs of which nothing is left, and figures of products that no model makes.
 */
export function inputScaleOf(text: string): number {
  const scale = /^[\d.]/.test(text) ? Number(text) : NaN, stored = Math.fround(scale);
  if (stored > 0 && stored < Infinity) return scale;
  throw new InputError(`--input-scale: expected a number above 0 that float32 can hold, got "${text}"`);
}
