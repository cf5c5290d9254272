/** Regular expressions drawn at random. */
import type { Dice } from "./random_schema.ts";

/** One of several. */
export const pick = <T>(roll: Dice, list: readonly T[]): T => list[roll(list.length)]!;

/** A pattern of few letters; `top`: it may say where it begins and ends, and look ahead. */
export function randomPattern(roll: Dice, depth: number, top: boolean): string {
  const one = (): string => {
    // Without [\s\S], which V8 does not find before the end of an "a" with an emoji after it.
    const kind = roll(depth > 0 ? 10 : 5);
    if (kind < 5) return pick(roll, ["a", "b", ".", "[ab]", "[^a]", "\\w", "\\s", '"', "é", "\\\\"]);
    if (kind < 8) return `(?:${randomPattern(roll, depth - 1, false)})`;
    if (kind === 8 || !top) return `(${randomPattern(roll, depth - 1, false)})`;
    return pick(roll, ["^", "$"]);
  };
  const quantified = () => {
    const text = one();
    return text === "^" || text === "$" ? text : text + pick(roll, ["", "", "", "*", "+?", "?", "{2}", "{1,2}"]);
  };
  const sequence = () => {
    const items = Array.from({ length: 1 + roll(3) }, quantified);
    if (top && roll(5) === 0) {
      items.splice(roll(items.length + 1), 0, `(?${pick(roll, ["=", "!"])}${randomPattern(roll, depth - 1, false)})`);
    }
    return (top ? pick(roll, ["", "^"]) : "") + items.join("") + pick(roll, ["", "$"]);
  };
  return Array.from({ length: 1 + roll(2) }, sequence).join("|");
}
