/**
 * The shared control block through which one driving thread hands operations to worker threads.
 *
 * Protocol: the driver writes the fields of an operation, opens the gates of the threads that it asks (odd value, which
 * also says how many these are), and wakes sleepers; every thread that is asked, the driver too, takes one share of the
 * units after the other by `next += 1` until none are left. A worker that joins says so in a word of its own, then
 * looks whether its gate still shows the value it saw, and only then touches the fields; the driver closes the gates
 * (even value) when the units are gone and waits until no worker's word says that it has joined. A worker that wakes
 * late therefore never delays an operation, and fields are never rewritten under a reader.
 *
 * Threads that are asked together wait at one gate, those beyond them at others: a step of one token may ask fewer than
 * all for hundreds of operations, and who sleeps at the gate that opens is woken each time, asked or not.
 */
import { instantiate, type Kernel } from "../../wasm.ts";
import type { SharedReading } from "./reading.ts";
import { mostShares, sharesOf, startOfShare } from "./shares.ts";

/**
 * Int32 indices into the control block. What is written while others wait for something else has 128 bytes of its own:
 * two cache lines, which some processors fetch together.
 */
export const NEXT = 0;
/** Whether the driver sleeps until workers are done. */
export const DRIVER_SLEEPS = 32;
export const UNITS = 96;
export const THREADS = 97;
export const KERNEL = 98;
export const MEMORY = 99;
export const DESCRIPTOR = 100;
export const FAILED = 101;
export const FAILURE_LENGTH = 102;
/** How many workers have loaded and wait for work, or do it. */
export const LOADED = 103;
/** UTF-8 text of the first failure, from this byte on. */
export const FAILURE_BYTE = 512;
export const FAILURE_CAPACITY = 448;
/** Where the first unit of each share stands, and after them the number of units; 0: shares are of as many units. */
export const BOUNDS = 104;
/** Bytes of the block of so many threads that wait at so many gates. */
export const controlBytes = (threads: number, gates: number): number =>
  4 * (boundsOf(threads, gates) + mostShares(threads) + 1);
/** Where there is room for {@linkcode BOUNDS} of so many threads and gates. */
export const boundsOf = (threads: number, gates: number): number => gateAt(threads, gates);
/** The word of a gate, the first being number 0, in the block of so many threads. */
export const gateAt = (threads: number, gate: number): number => joined(threads) + 32 * gate;
/** The word in which thread `number` says whether it has joined: 1, else 0. */
export const joined = (number: number): number => 256 + 32 * number;

/** Gate value that tells workers to end. */
export const STOP = -1;

/** Most threads that a gate's value can name; more never compute one operation together. */
export const MOST_THREADS = 4095;
/** The value of a gate that opens for operation `serial`, which counts up and begins anew, and some threads. */
export const openGate = (serial: number, threads: number): number => (serial & 0x3_ffff) << 13 | threads << 1 | 1;
/** Whether an open gate's value asks a thread, the driver being number 0. */
export const asks = (gate: number, number: number): boolean => number < (gate >> 1 & MOST_THREADS);

/** The kernels of the WASM module, in the order of their numbers in the control block. */
export const KERNELS = [
  "embed",
  "rms_norm",
  "prepare",
  "linear",
  "rotate",
  "store",
  "attention",
  "add",
  "route",
  "swiglu",
  "combine",
  "likeliest",
  "digits",
  "pick",
] as const;
/** One of the kernels of wasm/ABI.md that threads share. */
export type KernelName = (typeof KERNELS)[number];

/** What a worker thread is sent once, when it starts. */
export interface WorkerSetup {
  readonly control: SharedArrayBuffer;
  readonly module: WebAssembly.Module;
  readonly memories: readonly WebAssembly.Memory[];
  /** What it reads before it computes; null: nothing. */
  readonly reading: SharedReading | null;
  /** Number of this thread, at least 1. */
  readonly number: number;
  /** The word of the gate at which it waits. */
  readonly gate: number;
  /** Top of this thread's stack, the same address in every memory. */
  readonly stackTop: number;
  /** Scratch of this thread, the same address in every memory. */
  readonly scratch: number;
}

/** The kernels over one memory for one thread, in the order of {@linkcode KERNELS}. */
export function numberedKernels(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stackTop: number,
): Kernel[] {
  return KERNELS.map(instantiate(module, memory, stackTop));
}

/** Takes shares of the current operation's units until none are left. */
export function takeUnits(control: Int32Array, kernel: Kernel, scratch: number): void {
  const units = control[UNITS]!, threads = control[THREADS]!, descriptor = control[DESCRIPTOR]!;
  const shares = sharesOf(units, threads), bounds = control[BOUNDS]!;
  const startOf = (share: number) => bounds === 0 ? startOfShare(share, units, threads) : control[bounds + share]!;
  while (true) {
    const share = Atomics.add(control, NEXT, 1);
    if (share >= shares) return;
    const start = startOf(share), end = startOf(share + 1);
    if (start < end) kernel(descriptor, start, end, scratch);
  }
}
