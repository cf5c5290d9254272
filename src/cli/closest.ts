/** Suggestions for mistyped names. */
import * as std from "@std/text/levenshtein-distance";

/** Insertions, deletions and substitutions between two words; typed here because the npm form has no declarations. */
const { levenshteinDistance } = std as unknown as { levenshteinDistance(a: string, b: string): number };

/**
 * The candidate that is fewest edits away from a word, or undefined where none is within a third of the word's length.
 * Letters that changed places are the commonest slip, so a candidate of the same letters counts as one edit nearer.
 *
 * @example
 * ```ts
 * import { closest } from "./closest.ts";
 * closest("temprature", ["temperature", "top-k"]); // "temperature"
 * ```
 */
export function closest(word: string, candidates: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.ceil(word.length / 3));
  let best: string | undefined;
  let fewest = limit + 1;
  for (const candidate of candidates) {
    const edits = levenshteinDistance(word, candidate) - Number(letters(candidate) === letters(word));
    if (edits < fewest) {
      fewest = edits;
      best = candidate;
    }
  }
  return best;
}

/** The letters of a word in one order for all words that have the same ones. */
function letters(word: string): string {
  return [...word].sort().join("");
}
