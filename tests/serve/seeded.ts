/** Numbers that a seed decides. */
import { Random } from "../../src/session/random.ts";

/** Whole numbers at random. */
export class Seeded {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = new Random(BigInt(seed));
  }

  /** From 0 to `end` - 1. */
  below(end: number): number {
    return Math.floor(this.#random.fraction() * end);
  }
}
