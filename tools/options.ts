/** Options of scripts: numbers and words, and what happens where one is wrong. */
import { InputError } from "../src/errors.ts";

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
