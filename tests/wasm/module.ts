/** Runs kernels of wasm/pkg in a memory of their own; see wasm/ABI.md. */
import { nmse } from "../nmse.ts";
import { compileKernels, heapBase, instantiate, type Kernel } from "../../src/wasm.ts";
import { assert, assertEquals } from "../assert.ts";

const module = await compileKernels();

/** An array in a {@linkcode Machine}'s memory. */
export interface Placed<A> {
  readonly address: number;
  /** A view of the memory. */
  readonly data: A;
}

type Bytes = Uint8Array<ArrayBufferLike>;
type Floats = Float32Array<ArrayBufferLike>;
type Integers = Int32Array<ArrayBufferLike>;

/** A number that goes into a descriptor as the bits of a float32. */
export class F32 {
  constructor(readonly value: number) {}
}

const STACK_BYTES = 64 << 10;
/** Bytes before and after every array, which no kernel may touch. */
const GUARD = 32;
const GUARD_BYTE = 0xa5;

/** A memory, an instance of the module, and arrays with guards around them. */
export class Machine {
  readonly #memory: WebAssembly.Memory;
  readonly #bytes: Bytes;
  readonly #kernel: (name: string) => Kernel;
  readonly #guards: number[] = [];
  readonly #start: number;
  #at: number;
  /** Whether an array lies where the memory ends. */
  #ends = false;

  /** @param mebibytes Size of the memory. */
  constructor(mebibytes = 8) {
    this.#memory = new WebAssembly.Memory({ initial: 16 * mebibytes, maximum: 65536, shared: true });
    this.#bytes = new Uint8Array(this.#memory.buffer);
    this.#at = this.#start = heapBase(module) + STACK_BYTES;
    this.#kernel = instantiate(module, this.#memory, this.#at);
  }

  /** Gives all arrays back; what they held stays where the next ones will lie. */
  clear(): void {
    this.#at = this.#start;
    this.#guards.length = 0;
    this.#ends = false;
  }

  #take(bytes: number, misaligned: number): number {
    const address = Math.ceil((this.#at + GUARD) / 16) * 16 + misaligned;
    this.#at = address + bytes + GUARD;
    assert(this.#at <= this.#bytes.length, "the machine's memory is too small");
    for (const guard of [address - GUARD, address + bytes]) {
      this.#guards.push(guard);
      this.#bytes.fill(GUARD_BYTE, guard, guard + GUARD);
    }
    return address;
  }

  /** Places bytes, `misaligned` bytes after a multiple of 16. */
  bytes(values: ArrayLike<number> | number, misaligned = 0): Placed<Bytes> {
    const address = this.#take(typeof values === "number" ? values : values.length, misaligned);
    const data = this.#bytes.subarray(address, address + (typeof values === "number" ? values : values.length));
    if (typeof values !== "number") data.set(values);
    return { address, data };
  }

  /** Places bytes where the memory ends, so that a kernel that reads beyond them traps; for one array at a time. */
  last(values: ArrayLike<number>): Placed<Bytes> {
    this.#ends = true;
    return this.#last(values);
  }

  #last(values: ArrayLike<number>): Placed<Bytes> {
    const address = this.#bytes.length - values.length, data = this.#bytes.subarray(address);
    assert(this.#at <= address, "the machine's memory is too small");
    data.set(values);
    return { address, data };
  }

  /** Places float32s, or room for some. */
  floats(values: ArrayLike<number> | number): Placed<Floats> {
    const { address, data } = this.bytes(4 * (typeof values === "number" ? values : values.length));
    const floats = new Float32Array(data.buffer, address, data.length / 4);
    if (typeof values !== "number") floats.set(values);
    return { address, data: floats };
  }

  /** Places 32-bit integers, or room for some. */
  integers(values: ArrayLike<number> | number): Placed<Integers> {
    const { address, data } = this.floats(values);
    const integers = new Int32Array(data.buffer, address, data.length);
    if (typeof values !== "number") integers.set(values);
    return { address, data: integers };
  }

  /**
   * Runs all units of a kernel, twice: each for itself in descending order, and all in one call. Checks that both give
   * the same bits, and that nothing but the outputs was written.
   *
   * @param words The descriptor.
   * @param outputs Arrays that the kernel writes.
   * @param scratchBytes What the caller promises the kernel.
   * @param cuts Where the units are cut apart instead of after each of them, ascending.
   */
  run(
    name: string,
    words: readonly (number | F32)[],
    units: number,
    outputs: readonly Placed<Bytes | Floats | Integers>[],
    scratchBytes = 0,
    cuts: readonly number[] = Array.from({ length: Math.max(0, units - 1) }, (_, i) => i + 1),
  ): void {
    const kernel = this.#kernel(name), descriptor = this.#describe(words);
    const scratch = this.#scratch(scratchBytes);
    const bytes = () => outputs.map(({ address, data }) => this.#bytes.slice(address, address + data.byteLength));
    const before = bytes();
    for (let i = cuts.length; i >= 0; i--) kernel(descriptor, cuts[i - 1] ?? 0, cuts[i] ?? units, scratch.address);
    const apart = bytes();
    outputs.forEach(({ address }, i) => this.#bytes.set(before[i]!, address));
    scratch.data.fill(0xff);
    kernel(descriptor, 0, units, scratch.address);
    assertEquals(firstDifference(apart, bytes()), undefined, `${name}: units cut apart give other bits`);
    this.#checkGuards(name, [scratch.address - GUARD]);
  }

  /** Scratch where the memory ends, unless an array lies there, so that a kernel that goes beyond it traps. */
  #scratch(bytes: number): Placed<Bytes> {
    // NaN bits, so that scratch that is read before it is written shows.
    const unread = new Uint8Array(Math.ceil(bytes / 16) * 16).fill(0xff);
    if (this.#ends) return this.bytes(unread);
    const placed = this.#last(unread);
    this.#bytes.fill(GUARD_BYTE, placed.address - GUARD, placed.address);
    return placed;
  }

  /**
   * Runs some units of a kernel as threads do that have a scratch each.
   *
   * @param units Each with the address of its thread's scratch, in their order.
   */
  share(name: string, words: readonly number[], units: readonly (readonly [unit: number, scratch: number])[]): void {
    const kernel = this.#kernel(name), descriptor = this.#describe(words);
    for (const [unit, scratch] of units) kernel(descriptor, unit, unit + 1, scratch);
    this.#checkGuards(name);
  }

  /** Writes a descriptor; says where. */
  #describe(words: readonly (number | F32)[]): number {
    const descriptor = this.integers(words.length).address, view = new DataView(this.#memory.buffer);
    words.forEach((word, i) => {
      if (word instanceof F32) view.setFloat32(descriptor + 4 * i, word.value, true);
      else view.setUint32(descriptor + 4 * i, word, true);
    });
    return descriptor;
  }

  #checkGuards(name: string, others: readonly number[] = []): void {
    for (const guard of [...this.#guards, ...others]) {
      assert(
        this.#bytes.subarray(guard, guard + GUARD).every((byte) => byte === GUARD_BYTE),
        `${name}: wrote beyond an array, near ${guard}`,
      );
    }
  }
}

function firstDifference(a: readonly Bytes[], b: readonly Bytes[]): string | undefined {
  for (const [n, bytes] of a.entries()) {
    const i = bytes.findIndex((byte, i) => byte !== b[n]![i]);
    if (i >= 0) return `output ${n}, byte ${i}`;
  }
  return undefined;
}

/** Asserts that two arrays of float32 hold the same bits, but for the payload of NaN. */
export function assertSameBits(actual: ArrayLike<number>, expected: ArrayLike<number>, what = ""): void {
  assertEquals(actual.length, expected.length, what);
  for (let i = 0; i < expected.length; i++) {
    if (!Object.is(actual[i], expected[i])) {
      throw new Error(`${what}: element ${i} is ${show(actual[i]!)}, expected ${show(expected[i]!)}`);
    }
  }
}

const show = (x: number): string => Object.is(x, -0) ? "-0" : String(x);

/** Largest NMSE of a float32 sum against the exact one. */
export const MAX_NMSE = 1e-12;

/** Asserts that sums are as near to the exact ones as float32 allows. */
export function assertNear(actual: ArrayLike<number>, expected: ArrayLike<number>, what = ""): void {
  const error = nmse(actual, expected);
  assert(error <= MAX_NMSE, `${what}: NMSE ${error}`);
}
