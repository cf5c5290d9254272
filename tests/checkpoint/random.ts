/** A small generator of random numbers. */
export class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed * 2654435761 >>> 0 || 1;
  }
  /** An integer from 0 to `below` - 1. */
  below(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }
  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}
