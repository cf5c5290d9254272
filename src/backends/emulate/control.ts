/**
 * The shared control block through which one driving thread hands operations to worker threads.
 *
 * Protocol: the driver writes the fields of an operation, opens the gate (odd value), which also says how many threads
 * are asked, and wakes sleepers; every thread that is asked, the driver too, takes one share of the units after the
 * other by `next += 1` until none are left. A worker that joins says so in a word of its own, then looks whether the
 * gate still shows the value it saw, and only then touches the fields; the driver closes the gate (even value) when the
 * units are gone and waits until no worker's word says that it has joined. A worker that wakes late therefore never
 * delays an operation, and fields are never rewritten under a reader.
 */
import { instantiate, type Kernel } from "../../wasm.ts";
import type { SharedReading } from "./reading.ts";

/**
 * Int32 indices into the control block. What is written while others wait for something else has 128 bytes of its own:
 * two cache lines, which some processors fetch together.
 */
export const GATE = 0;
export const NEXT = 32;
/** Whether the driver sleeps until workers are done. */
export const DRIVER_SLEEPS = 64;
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
/** Bytes of the block of so many threads. */
export const controlBytes = (threads: number): number => 4 * joined(threads);
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
  const shares = sharesOf(units, threads);
  while (true) {
    const share = Atomics.add(control, NEXT, 1);
    if (share >= shares) return;
    const start = startOfShare(share, units, threads), end = startOfShare(share + 1, units, threads);
    if (start < end) kernel(descriptor, start, end, scratch);
  }
}

/** Most rounds of shares: enough that the last are small beside what a thread computes in all. */
const ROUNDS = 5;

/** Rounds of shares, so many that no share is empty; none where a share is one unit. */
function roundsOf(units: number, threads: number): number {
  const each = units / threads;
  return each < 4 ? 0 : Math.min(ROUNDS, 1 + Math.floor(Math.log2(each)));
}

/** Shares of an operation. Taking one costs as much as a transfer of a cache line from core to core. */
export function sharesOf(units: number, threads: number): number {
  const rounds = roundsOf(units, threads);
  return rounds === 0 ? units : rounds * threads;
}

/**
 * The first unit of a share. Where threads get many units, there is one for each thread and round, each round half of
 * what is left, the last one all of it: large shares keep a thread in its part of the memory, small ones let all
 * threads end at about the same time.
 */
export function startOfShare(share: number, units: number, threads: number): number {
  const rounds = roundsOf(units, threads);
  if (rounds === 0) return Math.min(share, units);
  const round = Math.floor(share / threads), place = share - round * threads, whole = 1 << rounds - 1;
  if (round >= rounds) return units;
  const left = whole >> round, size = Math.max(1, left >> 1);
  return Math.floor(units * ((whole - left) * threads + size * place) / (whole * threads));
}
