/**
 * Collective operations between devices: NCCL (NVIDIA) and RCCL (AMD), whose functions are the same. Operations are
 * queued on a stream and can be recorded there; the host waits for none of them.
 */
import { FailureError } from "../src/errors.ts";
import { option, words } from "../src/words.ts";
import { COLLECTIVES_SYMBOLS, UNIQUE_ID_BYTES } from "./collectives_symbols.ts";
import type { Handle } from "./driver.ts";
import { GpuLibraryError } from "./errors.ts";
import { environment, openLibrary } from "./library.ts";
import { Buffer, checkFits } from "./memory.ts";
import { Owner } from "./owner.ts";
import type { DeviceRange, GpuKind, Stream } from "./runtime.ts";
import { Queue } from "./stream.ts";

/** ncclDataType_t */
const INT8 = 0;
/** Oldest version that records operations in graphs. */
const OLDEST = 20_900;

/** Codes of `ncclResult_t` as the header names them. */
const RESULT_NAMES = [
  "ncclSuccess",
  "ncclUnhandledCudaError",
  "ncclSystemError",
  "ncclInternalError",
  "ncclInvalidArgument",
  "ncclInvalidUsage",
  "ncclRemoteError",
  "ncclInProgress",
];

/** A call of NCCL or RCCL that returned an error code. */
export class CollectiveError extends FailureError {
  /**
   * @param call C function that failed; `operation` for one that failed after it was queued.
   * @param codeName The header's name of the code.
   * @param meaning The library's own words for it.
   * @param detail What the library says of its last error; may be empty.
   */
  constructor(
    readonly call: string,
    readonly code: number,
    readonly codeName: string,
    meaning: string,
    readonly detail: string,
  ) {
    super(`${call}: ${codeName}, code ${code}, ${meaning}${detail ? `: ${detail}` : ""}`);
  }
}

/** The id of a group of ranks, {@linkcode UNIQUE_ID_BYTES} bytes, the same in every rank. */
export type UniqueId = Uint8Array<ArrayBuffer>;

/**
 * Where the library is looked for.
 *
 * @param explicit Path to use instead of the usual places.
 */
export function collectivesCandidates(kind: GpuKind, explicit?: string): readonly string[] {
  if (explicit !== undefined) return explicit.includes("/") ? [explicit] : [explicit, `./${explicit}`];
  const [name, variables] = kind === "cuda"
    ? ["libnccl.so.2", ["NCCL_HOME", "NCCL_ROOT"]]
    : ["librccl.so.1", ["ROCM_PATH", "HIP_PATH"]];
  const roots = [...new Set(variables.map(environment).filter((root) => root !== undefined))];
  return [
    ...roots.map((root) => `${root}/lib/${name}`),
    name,
    ...(kind === "hip" ? ["/opt/rocm/lib/librccl.so.1"] : []),
  ];
}

/**
 * Opens libnccl or librccl.
 *
 * @param explicit The library of `--collectives-library`; nothing else is tried then.
 * @throws {GpuLibraryError} where it is missing, not permitted or too old.
 */
export function openCollectives(kind: GpuKind, explicit?: string): Collectives {
  const [title, advice] = kind === "cuda"
    ? ["libnccl (NCCL)", words`install NCCL, or name the library with ${option("collectivesLibrary")} or NCCL_HOME`]
    : ["librccl (RCCL)", words`install RCCL, or name the library with ${option("collectivesLibrary")} or ROCM_PATH`];
  const { library, path } = openLibrary({
    title,
    candidates: collectivesCandidates(kind, explicit),
    symbols: COLLECTIVES_SYMBOLS,
    advice,
    needs: "NCCL 2.9 or RCCL 2.9 or newer",
  });
  try {
    return new Collectives(library, path);
  } catch (thrown) {
    library.close();
    throw thrown;
  }
}

type Library = Deno.DynamicLibrary<typeof COLLECTIVES_SYMBOLS>;

/** The opened library. */
export class Collectives implements Disposable {
  readonly #library: Library;
  /** For instance "2.28.9". */
  readonly version: string;

  /** @throws {GpuLibraryError} if it is too old. */
  constructor(library: Library, readonly path: string) {
    this.#library = library;
    const out = new Int32Array(new ArrayBuffer(4));
    this.unwrap("ncclGetVersion", library.symbols.ncclGetVersion(out));
    const code = out[0]!;
    // Up to 2.8 minor versions had one digit: 2804.
    const unit = code < 10_000 ? 1000 : 10_000;
    this.version = [Math.floor(code / unit), Math.floor(code % unit / 100), code % 100].join(".");
    if (code < OLDEST) {
      throw new GpuLibraryError(`${path}: is version ${this.version}, expected 2.9 or newer`, "version");
    }
  }

  get symbols(): Library["symbols"] {
    return this.#library.symbols;
  }

  /** Every return code passes here. @throws {CollectiveError} unless it is 0. */
  unwrap(call: string, code: number): void {
    if (code === 0) return;
    const { ncclGetErrorString, ncclGetLastError } = this.symbols;
    const meaning = textAt(ncclGetErrorString(code)), detail = ncclGetLastError ? textAt(ncclGetLastError(0n)) : "";
    throw new CollectiveError(call, code, RESULT_NAMES[code] ?? "unknown", meaning, detail);
  }

  /** Makes the id by which the ranks of a new group find one another. */
  createUniqueId(): UniqueId {
    const id = new Uint8Array(new ArrayBuffer(UNIQUE_ID_BYTES));
    this.unwrap("ncclGetUniqueId", this.symbols.ncclGetUniqueId(id));
    return id;
  }

  /**
   * Joins a group; comes back when all of its ranks have. The stream's device must be current on this thread, and no
   * other rank's.
   */
  join(stream: Stream, id: UniqueId, size: number, rank: number): CollectiveGroup {
    const out = new BigUint64Array(new ArrayBuffer(8));
    this.unwrap("ncclCommInitRank", this.symbols.ncclCommInitRank(out, size, id, rank));
    return new CollectiveGroup(this, stream as Queue, out[0]!, size, rank);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}

/** A rank's place in a group; operations are queued on its stream, by every rank in the same order. */
export class CollectiveGroup extends Owner {
  readonly #handle: Handle;
  readonly #stream: Handle;
  readonly #out = new Int32Array(new ArrayBuffer(4));
  #aborted = false;

  constructor(
    readonly library: Collectives,
    stream: Queue,
    handle: Handle,
    readonly size: number,
    readonly rank: number,
  ) {
    super(stream.device);
    this.#handle = handle;
    this.#stream = Queue.handleOf(stream);
  }

  /** target[r] = the `bytes` at the start of rank r's source. */
  allGather(target: DeviceRange, source: DeviceRange, bytes: number): void {
    checkFits(source, bytes);
    checkFits(target, bytes * this.size);
    const [from, to] = [Buffer.addressOf(source), Buffer.addressOf(target)];
    const { symbols } = this.library;
    const code = symbols.ncclAllGather(from, to, BigInt(bytes), INT8, this.#handle, this.#stream);
    this.library.unwrap("ncclAllGather", code);
  }

  /** Queues the operations of `work` as one. */
  together(work: () => void): void {
    this.library.unwrap("ncclGroupStart", this.library.symbols.ncclGroupStart());
    try {
      work();
    } finally {
      this.library.unwrap("ncclGroupEnd", this.library.symbols.ncclGroupEnd());
    }
  }

  /** @throws {CollectiveError} if an operation that was queued has failed. */
  check(): void {
    const { symbols } = this.library;
    this.library.unwrap("ncclCommGetAsyncError", symbols.ncclCommGetAsyncError(this.#handle, this.#out));
    this.library.unwrap("operation", this.#out[0]!);
  }

  /** Ends operations that wait for other ranks; no more can be queued. Does not throw. */
  abort(): void {
    if (this.#aborted || this.disposed) return;
    this.#aborted = true;
    this.device.attempt(() => this.library.unwrap("ncclCommAbort", this.library.symbols.ncclCommAbort(this.#handle)));
  }

  protected override release(): void {
    // An abort has given it back already.
    if (this.#aborted) return;
    this.library.unwrap("ncclCommDestroy", this.library.symbols.ncclCommDestroy(this.#handle));
  }
}

function textAt(pointer: Deno.PointerValue): string {
  // One line of the several that some versions write.
  return pointer === null ? "" : Deno.UnsafePointerView.getCString(pointer).trim().replaceAll(/\s+/g, " ");
}
