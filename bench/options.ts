/** Options of benches that several of them have. */
import { InputError } from "../src/errors.ts";

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

/**
 * The whole number that the text of an option says.
 *
 * @throws {InputError} if it is none, or less than `least`.
 */
export function countOf(option: string, text: string, least = 1): number {
  if (/^\d{1,9}$/.test(text) && Number(text) >= least) return Number(text);
  throw new InputError(`${option}: expected a number of at least ${least}, got "${text}"`);
}

/**
 * The whole numbers that the text of an option lists, with commas between them.
 *
 * @throws {InputError} if one is none, or less than `least`.
 */
export function countsOf(option: string, text: string, least = 1): number[] {
  return text.split(",").map((one) => countOf(option, one, least));
}

/**
 * The one of some words that the text of an option is.
 *
 * @throws {InputError} if it is none of them.
 */
export function choiceOf<T extends string>(option: string, text: string, words: readonly T[]): T {
  const found = words.find((word) => word === text);
  if (found !== undefined) return found;
  throw new InputError(`${option}: expected ${words.slice(0, -1).join(", ")} or ${words.at(-1)}, got "${text}"`);
}

/**
 * The words that the text of an option lists, with commas between them.
 *
 * @throws {InputError} if one is none of those that there are.
 */
export function choicesOf<T extends string>(option: string, text: string, words: readonly T[]): T[] {
  return text.split(",").map((one) => choiceOf(option, one, words));
}

/** What `read` returns; where it finds a mistake in the options, ends the program with a line about it. */
export function optionsOrEnd<T>(read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    if (!(thrown instanceof InputError || thrown instanceof TypeError)) throw thrown;
    console.error(`error: ${thrown.message}`);
    Deno.exit(2);
  }
}
