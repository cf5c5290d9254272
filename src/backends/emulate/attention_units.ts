/** How attention is cut into units: heads that share keys and values together, but so that each thread has some. */
import { greatestPart } from "./areas.ts";

/** Units that each thread is to have where tokens see different numbers of keys: they are of different lengths. */
const UNITS_PER_THREAD = 4;
/** Nanoseconds for a key of a unit, and those for each of its heads (`bench/attention.ts`, 1,024 keys of bf16). */
const KEY = 4, HEAD = 9.4;

/**
 * Query heads of a unit; changes no bit.
 *
 * @param most How many share keys and values.
 * @param heads All of a token.
 * @param tokens Tokens of the batch.
 */
export function headsTogether(most: number, heads: number, tokens: number, threads: number): number {
  if (tokens > 1) return greatestPart(most, (part) => tokens * heads / part >= UNITS_PER_THREAD * threads);
  // All units of one token are equally long: threads are done after as many rounds as they need.
  const time = (part: number) => Math.ceil(heads / part / threads) * (KEY + HEAD * part);
  const parts = Array.from({ length: most }, (_, i) => most - i).filter((part) => most % part === 0);
  return parts.reduce((best, part) => time(part) < time(best) ? part : best);
}

/** {@linkcode headsTogether}, found once where layers are alike: to find it takes longer than to describe attention. */
export class HeadsTogether {
  #heads = 0;
  #tokens = 0;
  #threads = 0;
  #together = 0;

  constructor(readonly most: number) {}

  of(heads: number, tokens: number, threads: number): number {
    if (this.#heads !== heads || this.#tokens !== tokens || this.#threads !== threads) {
      [this.#heads, this.#tokens, this.#threads] = [heads, tokens, threads];
      this.#together = headsTogether(this.most, heads, tokens, threads);
    }
    return this.#together;
  }
}
