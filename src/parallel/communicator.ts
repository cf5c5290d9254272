/**
 * Sums over ranks that are threads of one process: shared memory and a barrier of a few atomics. The other kind of
 * {@linkcode Communicator} is to be one over a device's memory, by a collective library between GPUs; until then GPUs'
 * values come here over the host's memory.
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
}

/**
 * @param capacity Most float32 values of one sum.
 */
export function createSharedCommunication(tp: number, ep: number, capacity: number): SharedCommunication {
  const groups = 1 + ep;
  return {
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
  readonly #control: Int32Array;
  readonly #values: Float32Array;

  constructor(readonly shared: SharedCommunication, readonly rank: number) {
    this.size = shared.tp * shared.ep;
    this.#control = new Int32Array(shared.control);
    this.#values = new Float32Array(shared.values);
  }

  allReduce(values: Float32Array, group: RankGroup, round: boolean): void {
    const { tp, capacity } = this.shared;
    const first = group === "world" ? 0 : this.rank - this.rank % tp;
    const count = group === "world" ? this.size : tp;
    if (count === 1) return;
    if (values.length > capacity) throw new RangeError(`${values.length} values, room for ${capacity}`);
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
