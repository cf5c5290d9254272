/** What the threads that measure limits are told, and what they answer. */

/** The plain loops, see wasm/src/probe.rs. */
export const PROBES = ["probe_read", "probe_float", "probe_integer"] as const;
/** One of {@linkcode PROBES}. */
export type Probe = (typeof PROBES)[number];

/** Multiply-adds of one round of a loop: chains times lanes. */
export const MACS_PER_ROUND: Readonly<Record<Exclude<Probe, "probe_read">, number>> = {
  probe_float: 12 * 4,
  probe_integer: 12 * 16,
};

/**
 * Numbers of streams with which `probe_read` is tried: stretches that are read side by side, as kernels read several
 * rows. Which is the fastest depends on what a processor reads ahead.
 */
export const STREAMS = [1, 2, 4, 8, 16] as const;

/** Bytes of a unit of `probe_read`. */
export const UNIT_BYTES = 1 << 20;
/** Rounds of a unit of the other loops. */
export const UNIT_ROUNDS = 1 << 14;

/** First message to a thread. */
export interface ProbeSetup {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Int32: threads that have arrived at the start of a run, and the number of the run. */
  readonly gate: SharedArrayBuffer;
  readonly threads: number;
  readonly stackTop: number;
  /** Address of a descriptor, and of scratch, of this thread. */
  readonly descriptor: number;
  readonly scratch: number;
  /** Where the thread's own stretch of memory begins, and its units. */
  readonly address: number;
  readonly units: number;
}

/** Later messages: run a loop over so many units; those of `probe_read` begin anew after the last. */
export interface ProbeRun {
  readonly probe: Probe;
  readonly units: number;
  /** One of {@linkcode STREAMS}. */
  readonly streams: number;
}

/** When a thread began and ended a run, in milliseconds of one clock. */
export interface ProbeTimes {
  readonly began: number;
  readonly ended: number;
}
