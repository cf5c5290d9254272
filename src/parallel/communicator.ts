/**
 * Sums over ranks that are threads of one process, or of several: shared memory and a barrier of a few atomics; between
 * processes their values are gathered first. Ranks that have a GPU each do not come here: they sum on their devices
 * (backends/gpu/ranks.ts). Ranks that share GPUs do, over the host's memory.
 */
import { roundToBf16 } from "../formats/bf16.ts";
import type { Communicator, RankGroup } from "../model/backend.ts";
import { FailureError } from "../errors.ts";

/** Int32 fields of one group's barrier. */
const ARRIVED = 0;
const GENERATION = 1;
/** Fields before the barriers: set once a rank failed. */
const ABORTED = 0;
const HEADER = 1;
const BARRIER_FIELDS = 2;

/** The memory that all ranks of a run share; plain buffers, so that it can be posted to workers. */
export interface SharedCommunication {
  readonly tp: number;
  readonly ep: number;
  /** float32 values that one rank can contribute. */
  readonly capacity: number;
  readonly control: SharedArrayBuffer;
  readonly values: SharedArrayBuffer;
  /** Where other ranks are in other processes: those of this one. */
  readonly own: OwnRanks | null;
}

/** The ranks of one of several processes, each of which has as many. */
export interface OwnRanks {
  readonly first: number;
  readonly count: number;
}

/**
 * Exchanges values between processes: `values` is a stretch of `each` values for every process, in their order; this
 * process's goes to all others, and theirs are received. All processes call it equally often.
 */
export type GatherValues = (values: Float32Array<ArrayBufferLike>, each: number) => void;

/**
 * Makes the memory that the ranks of a run share in this process.
 *
 * @param capacity Most float32 values of one sum.
 */
export function createSharedCommunication(
  tp: number,
  ep: number,
  capacity: number,
  own: OwnRanks | null = null,
): SharedCommunication {
  const groups = 1 + ep;
  return {
    own,
    tp,
    ep,
    capacity,
    control: new SharedArrayBuffer(4 * (HEADER + BARRIER_FIELDS * groups)),
    values: new SharedArrayBuffer(4 * capacity * tp * ep),
  };
}

/** Makes every rank that waits, or will wait, throw. */
export function abort({ control }: SharedCommunication): void {
  const fields = new Int32Array(control);
  Atomics.store(fields, ABORTED, 1);
  for (let at = HEADER; at < fields.length; at += BARRIER_FIELDS) {
    Atomics.add(fields, at + GENERATION, 1);
    Atomics.notify(fields, at + GENERATION);
  }
}

/** A rank that only fails because another one did. */
export class DraggedError extends FailureError {
  constructor() {
    super("another rank failed");
  }
}

/** How often a waiting rank looks before it goes to sleep. */
const SPINS = 2000;

/** One rank's end of the shared memory. */
export class SharedCommunicator implements Communicator {
  readonly size: number;
  readonly here: number;
  readonly #control: Int32Array;
  readonly #values: Float32Array;
  readonly #gather: GatherValues | null;

  /** @param gather Of the first rank of each of several processes. */
  constructor(readonly shared: SharedCommunication, readonly rank: number, gather: GatherValues | null = null) {
    this.size = shared.tp * shared.ep;
    this.here = shared.own?.count ?? this.size;
    this.#gather = gather;
    this.#control = new Int32Array(shared.control);
    this.#values = new Float32Array(shared.values);
  }

  allReduce(values: Float32Array, group: RankGroup, round: boolean): void {
    const { tp, capacity } = this.shared;
    const first = group === "world" ? 0 : this.rank - this.rank % tp;
    const count = group === "world" ? this.size : tp;
    if (count === 1) return;
    if (values.length > capacity) throw new RangeError(`${values.length} values, room for ${capacity}`);
    const { own } = this.shared;
    if (own !== null) return this.#reduceOverProcesses(values, own, first, count, round);
    const barrier = group === "world" ? 0 : 1 + first / tp;
    const all = this.#values;
    all.set(values, this.rank * capacity);
    this.#wait(barrier, count);
    // Every rank sums one stretch in rank order, so that the result does not depend on which comes first.
    const member = this.rank - first;
    const from = Math.floor(values.length * member / count), to = Math.floor(values.length * (member + 1) / count);
    for (let i = from; i < to; i++) {
      let sum = all[first * capacity + i]!;
      for (let r = 1; r < count; r++) sum = Math.fround(sum + all[(first + r) * capacity + i]!);
      all[first * capacity + i] = round ? roundToBf16(sum) : sum;
    }
    this.#wait(barrier, count);
    values.set(all.subarray(first * capacity, first * capacity + values.length));
    // Nobody may write the next contribution before all have read this sum.
    this.#wait(barrier, count);
  }

  /**
   * The same over processes, with every rank's values in each: a sum in the order of ranks cannot be made of the sums
   * of processes. All groups of ranks gather at once, as they sum at the same places.
   *
   * @param first First rank of the group.
   * @param count Ranks of the group.
   */
  #reduceOverProcesses(values: Float32Array, own: OwnRanks, first: number, count: number, round: boolean): void {
    const all = this.#values, { length } = values;
    all.set(values, this.rank * length);
    this.#wait(0, own.count);
    this.#gather?.(all, own.count * length);
    this.#wait(0, own.count);
    // The members of the group in this process sum a stretch each.
    const here = Math.max(first, own.first), members = Math.min(first + count, own.first + own.count) - here;
    const member = this.rank - here;
    const from = Math.floor(length * member / members), to = Math.floor(length * (member + 1) / members);
    for (let i = from; i < to; i++) {
      let sum = all[first * length + i]!;
      for (let r = 1; r < count; r++) sum = Math.fround(sum + all[(first + r) * length + i]!);
      all[here * length + i] = round ? roundToBf16(sum) : sum;
    }
    this.#wait(0, own.count);
    values.set(all.subarray(here * length, (here + 1) * length));
    this.#wait(0, own.count);
  }

  /** @throws {DraggedError} if a rank failed. */
  #wait(barrier: number, count: number): void {
    const control = this.#control, at = HEADER + BARRIER_FIELDS * barrier;
    const generation = Atomics.load(control, at + GENERATION);
    this.#checkAborted();
    if (Atomics.add(control, at + ARRIVED, 1) === count - 1) {
      Atomics.store(control, at + ARRIVED, 0);
      Atomics.add(control, at + GENERATION, 1);
      Atomics.notify(control, at + GENERATION);
    } else {
      for (let spin = 0; spin < SPINS && Atomics.load(control, at + GENERATION) === generation; spin++);
      while (Atomics.load(control, at + GENERATION) === generation) Atomics.wait(control, at + GENERATION, generation);
    }
    this.#checkAborted();
  }

  #checkAborted(): void {
    if (Atomics.load(this.#control, ABORTED) !== 0) throw new DraggedError();
  }
}
