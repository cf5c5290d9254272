/** Batches of several models on one machine, one at a time: each would only slow the other down. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when all that came before is done. */
  take(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    return turn;
  }
}
