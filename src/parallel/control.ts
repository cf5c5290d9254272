/**
 * What the threads of ranks with devices share besides messages: who may launch how many steps, whether all must stop,
 * how far each has come, and whether it still moves.
 */
import type { Pace } from "../backends/gpu/paced.ts";
import { DraggedError } from "./communicator.ts";

/**
 * Int32 fields: ABORTED; twice the permitted steps, and 1 more once no more will be; how many ranks are at rest; two of
 * each rank.
 */
const ABORTED = 0, PERMITTED = 1, RESTING = 2, RANKS = 3;
const PROGRESS = 0, BEATS = 1, RANK_FIELDS = 2;
/** How long a rank sleeps at most before it looks whether all must stop. */
const LOOK_MS = 20;

/** Steps that a rank has come once it has loaded its part, however large that is. */
export const LOADED = 1000;

/** How far a rank has come, in steps, and a number that grows as long as it runs. */
export interface RankState {
  readonly steps: number;
  readonly beats: number;
}

/** One thread's view of it. */
export class RunControl implements Pace {
  readonly #fields: Int32Array;

  constructor(readonly shared: SharedArrayBuffer) {
    this.#fields = new Int32Array(shared);
  }

  /** @param ranks Of all processes. */
  static create(ranks: number): RunControl {
    return new RunControl(new SharedArrayBuffer(4 * (RANKS + RANK_FIELDS * ranks)));
  }

  /** Makes every rank that waits, or will wait, throw. */
  abort(): void {
    Atomics.store(this.#fields, ABORTED, 1);
    Atomics.notify(this.#fields, PERMITTED);
  }

  get aborted(): boolean {
    return Atomics.load(this.#fields, ABORTED) !== 0;
  }

  /**
   * Permits steps up to a number, which only grows during a run of them.
   *
   * @param closed Whether no more than these will be permitted.
   */
  pace(until: number, closed: boolean): void {
    Atomics.store(this.#fields, PERMITTED, 2 * until + (closed ? 1 : 0));
    Atomics.notify(this.#fields, PERMITTED);
  }

  permitted(): number {
    return Atomics.load(this.#fields, PERMITTED) >> 1;
  }

  closed(): boolean {
    return (Atomics.load(this.#fields, PERMITTED) & 1) !== 0;
  }

  wait(launched: number): void {
    if (!this.aborted) Atomics.wait(this.#fields, PERMITTED, 2 * launched, LOOK_MS);
    if (this.aborted) throw new DraggedError();
  }

  /** Notes, once for each rank, that its device has come to the end of all that was queued. */
  rest(): void {
    Atomics.add(this.#fields, RESTING, 1);
    Atomics.notify(this.#fields, RESTING);
  }

  /**
   * Waits until all ranks are at rest.
   *
   * @param milliseconds Longest wait.
   * @param silence Where all must stop, longest wait without a beat of any rank: the others are dead, or hang in their
   * drivers.
   * @returns Whether they are.
   */
  awaitRest(milliseconds: number, silence: number): boolean {
    const fields = this.#fields, all = (fields.length - RANKS) / RANK_FIELDS, end = performance.now() + milliseconds;
    let heard = -1, quiet = 0;
    for (;;) {
      const now = performance.now(), resting = Atomics.load(fields, RESTING), beats = this.#allBeats(all);
      if (resting >= all || now >= end) return resting >= all;
      if (beats !== heard || !this.aborted) quiet = now + silence;
      else if (now >= quiet) return false;
      heard = beats;
      Atomics.wait(fields, RESTING, resting, Math.min(LOOK_MS, end - now));
    }
  }

  #allBeats(ranks: number): number {
    let all = 0;
    for (let rank = 0; rank < ranks; rank++) all += this.stateOf(rank).beats;
    return all;
  }

  /** Notes that a rank has come a step further. */
  progress(rank: number): void {
    Atomics.add(this.#fields, RANKS + RANK_FIELDS * rank + PROGRESS, 1);
    this.beat(rank);
  }

  /**
   * Notes how much of its part a rank has loaded.
   *
   * @param share From 0 to 1.
   * @param ready Whether it can be asked something; there is more to do when all weights are there.
   */
  loaded(rank: number, share: number, ready = false): void {
    Atomics.store(
      this.#fields,
      RANKS + RANK_FIELDS * rank + PROGRESS,
      ready ? LOADED : Math.floor(share * (LOADED - 1)),
    );
    this.beat(rank);
  }

  /** Notes that a rank still runs. */
  beat(rank: number): void {
    Atomics.add(this.#fields, RANKS + RANK_FIELDS * rank + BEATS, 1);
  }

  /** Notes what a rank of another process says of itself. */
  set(rank: number, { steps, beats }: RankState): void {
    const at = RANKS + RANK_FIELDS * rank;
    Atomics.store(this.#fields, at + PROGRESS, steps);
    Atomics.store(this.#fields, at + BEATS, beats);
  }

  /** Steps and beats of a rank. */
  stateOf(rank: number): RankState {
    const at = RANKS + RANK_FIELDS * rank;
    return { steps: Atomics.load(this.#fields, at + PROGRESS), beats: Atomics.load(this.#fields, at + BEATS) };
  }
}
