/** The WASM memories of a model and the thread pool that runs kernels over them. */
import type { EmulateTensor } from "./areas.ts";
import type { KernelName } from "./control.ts";
import { DescriptorWriter } from "./descriptor.ts";
import type { Pool } from "./pool.ts";
import type { AlikeUnits } from "./shares.ts";
import { ThreadChoice } from "./thread_choice.ts";

/**
 * Multiply-adds below which waking other threads costs more than it saves (a wake is some 5 us, a core makes some 5 per
 * ns).
 */
const WORTH_SHARING = 24_000;

/** Place of the 32-bit word at an address. Unsigned: a memory reaches beyond 2 GiB. */
export const wordAt = (address: number): number => address >>> 2;

/** Typed views of one memory. */
export interface Views {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly descriptor: DescriptorWriter;
}

export class Machine {
  readonly views: readonly Views[];
  readonly #pool: Pool;
  readonly #descriptor: number;
  readonly #worthSharing: number;
  readonly #choice: ThreadChoice;
  /** Tokens of the current batch. */
  n = 0;
  /** Threads that compute it at most. */
  #most = Infinity;

  /**
   * @param descriptor Address of the descriptor area, and its length in words; the same in every memory.
   * @param worthSharing Multiply-adds of an operation below which one thread runs it alone.
   */
  constructor(
    memories: readonly WebAssembly.Memory[],
    pool: Pool,
    descriptor: { readonly address: number; readonly words: number },
    worthSharing = WORTH_SHARING,
  ) {
    this.#pool = pool;
    this.#choice = new ThreadChoice(pool.counts);
    this.#worthSharing = worthSharing;
    this.#descriptor = descriptor.address;
    this.views = memories.map(({ buffer }) => ({
      u8: new Uint8Array(buffer),
      i32: new Int32Array(buffer),
      f32: new Float32Array(buffer),
      descriptor: new DescriptorWriter(buffer, descriptor.address, descriptor.words),
    }));
  }

  /** A batch of so many tokens begins. */
  begin(n: number): void {
    this.n = n;
    this.#most = n === 1 ? this.#choice.begin(this.#pool.workers + 1) : this.#pool.threads;
  }

  /** The logits of a batch are there. */
  end(): void {
    if (this.n === 1) this.#choice.end();
  }

  /** The writer of a memory's descriptor; the next {@linkcode run} there uses what it wrote. */
  describe(memory: number): DescriptorWriter {
    return this.views[memory]!.descriptor;
  }

  /**
   * Runs the described operation.
   *
   * @param workPerUnit Estimated multiply-adds of one unit; decides whether other threads are woken.
   * @param parts All units, where they are not alike; null: they are.
   */
  run(
    kernel: KernelName,
    memory: number,
    units: number,
    workPerUnit: number,
    parts: readonly AlikeUnits[] | null = null,
  ): void {
    const work = units * workPerUnit;
    if (work < this.#worthSharing) this.#pool.runHere(kernel, memory, this.#descriptor, units);
    else this.#pool.run(kernel, memory, this.#descriptor, units, work, parts, this.#most);
  }

  /** Threads that compute the current batch at most. */
  get threads(): number {
    return Math.min(this.#most, this.#pool.threads);
  }

  /** Makes the tensor's current contents available in a memory. */
  bring(tensor: EmulateTensor, memory: number): void {
    if (tensor.home === memory) return;
    const from = this.current(tensor), at = wordAt(tensor.address);
    this.views[memory]!.f32.set(from, at);
    tensor.home = memory;
  }

  /** The rows of the current batch, row strides included, as they lie in memory. */
  current(tensor: EmulateTensor): Float32Array {
    const at = wordAt(tensor.address);
    return this.views[tensor.home]!.f32.subarray(at, at + this.n * tensor.rowsPerToken * tensor.stride);
  }

  close(): void {
    this.#pool.close();
  }
}
