/** Batches of several models on one machine, one at a time: each would only slow the other down. */
export class Turns {
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** Whether somebody waits for the one whose turn it is. */
  get wanted(): boolean {
    return this.#waiting > 0;
  }

  /** Runs `work` when all that came before is done. */
  take(work: () => Promise<void>): Promise<void> {
    this.#waiting++;
    const turn = this.#last.then(() => {
      this.#waiting--;
      return work();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}
