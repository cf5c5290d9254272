/** Commands to the test library: failures on demand, counters, what is alive. */

const SYMBOLS = {
  hip_host_reset: { parameters: [], result: "void" },
  hip_host_fail: {
    parameters: [/* const char *function */ "buffer", /* int nth */ "i32", /* int code */ "i32"],
    result: "void",
  },
  hip_host_end: { parameters: [], result: "void" },
  hip_host_calls: { parameters: [/* const char *function */ "buffer"], result: "i32" },
  hip_host_configure: {
    parameters: [
      /* const char *arch */ "buffer",
      /* int devices */ "i32",
      /* size_t memory */ "u64",
      /* int multiprocessors */ "i32",
    ],
    result: "void",
  },
  hip_host_hang: { parameters: [/* int rank */ "i32", /* int from */ "i32"], result: "void" },
  hip_host_kernels: { parameters: [/* const char *path */ "buffer"], result: "void" },
  hip_host_collectives_version: { parameters: [/* int version */ "i32"], result: "void" },
  hip_host_joined: { parameters: [/* int joined */ "i32"], result: "void" },
  hip_host_live: { parameters: [/* int kind */ "i32"], result: "u64" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Kinds of things that a program must give back, in the order of `hip_host_live`. */
const KINDS = [
  "device memory",
  "pinned memory",
  "streams",
  "events",
  "modules",
  "graphs",
  "executable graphs",
] as const;

const text = (value: string) => new TextEncoder().encode(value + "\0");

/** Opens the test library a second time, beside `ffi/hip.ts`; both see the same state. */
export class HipHost implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;

  constructor(readonly path: string) {
    this.#library = Deno.dlopen(path, SYMBOLS);
    this.reset();
  }

  /** Forgets failures, counters and configuration. */
  reset(): void {
    this.#library.symbols.hip_host_reset();
    this.#library.symbols.hip_host_hang(-1, 0);
  }

  /** The nth call from now of a C function returns `code`. "kernel" means kernels that run. */
  fail(call: string, nth: number, code: number): void {
    this.#library.symbols.hip_host_fail(text(call), nth, code);
  }

  /** The nth call from now of a C function does not return before {@linkcode reset}. Not for "kernel". */
  hangIn(call: string, nth: number): void {
    this.fail(call, nth, -1);
  }

  /** Frees all memory of devices, as the end of a program does. */
  end(): void {
    this.#library.symbols.hip_host_end();
  }

  /** How often a function was called since the last reset. */
  calls(call: string): number {
    return this.#library.symbols.hip_host_calls(text(call));
  }

  configure({ arch = "gfx942:sramecc+:xnack-", devices = 1, memory = 4 * 2 ** 30, multiprocessors = 4 }): void {
    this.#library.symbols.hip_host_configure(text(arch), devices, BigInt(memory), multiprocessors);
  }

  /** A library of kernels that real code objects stand for, as HIP_HOST_KERNELS names one to a program. */
  kernels(path: string): void {
    this.#library.symbols.hip_host_kernels(text(path));
  }

  /** What the collective library says that it is, as NCCL counts. */
  collectivesVersion(version: number): void {
    this.#library.symbols.hip_host_collectives_version(version);
  }

  /** Whether CUDA's devices are joined by NVLink. */
  joined(joined: boolean): void {
    this.#library.symbols.hip_host_joined(joined ? 1 : 0);
  }

  /** A rank hangs in a call, from its nth operation with others on; -1: none does any more. */
  hang(rank: number, from = 0): void {
    this.#library.symbols.hip_host_hang(rank, from);
  }

  /** What is alive, as "2 streams, 1 events"; empty if nothing is. */
  leaks(): string {
    const alive = (kind: number) => Number(this.#library.symbols.hip_host_live(kind));
    return [
      ...KINDS.map((kind, i) => [kind, alive(i)] as const),
      ["communicators", alive(8)] as const,
      ["imported allocations", alive(9)] as const,
    ]
      .filter(([, count]) => count > 0).map(([kind, count]) => `${count} ${kind}`).join(", ");
  }

  /** Bytes of live device memory. */
  get deviceBytes(): number {
    return Number(this.#library.symbols.hip_host_live(7));
  }

  [Symbol.dispose](): void {
    // The library stays in the process, and with it what it was told.
    this.reset();
    this.#library.close();
  }
}
