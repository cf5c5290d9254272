/**
 * Brings the planned file ranges into WASM memories: by mapping the files where that is permitted, else by reading
 * them.
 */
import { openStored, statStored, type StoredFile } from "../../stored_files.ts";
import { isMade, type SourceFile } from "../../checkpoint/source.ts";
import type { MadeFiles } from "../../conversion/made_files.ts";
import { FailureError, InputError, reason } from "../../errors.ts";
import { explainBusErrors } from "./bus_error.ts";
import { bytesToLoad, OS_PAGE, type Run, type StridedRun } from "./plan.ts";
import { option, words } from "../../words.ts";

/** Linux values of the C constants. */
const PROT_READ_WRITE = 3;
const MAP_PRIVATE_FIXED = 0x12;
const O_RDONLY_CLOEXEC = 0o2000000;

const LIBC = {
  // int open(const char *path, int flags)
  open: { parameters: ["buffer", "i32"], result: "i32" },
  // int close(int fd)
  close: { parameters: ["i32"], result: "i32" },
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
} as const;

/** Whether files can be mapped here: Linux with 4 KiB pages, and FFI permitted. Never asks for a permission. */
export function canMap(): boolean {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") return false;
  return Deno.permissions.querySync({ name: "ffi" }).state === "granted";
}

/**
 * Maps each run of the files privately over its address: the operating system's page cache is the weights' memory, and
 * nothing is copied. Relies on V8 never moving a shared memory, whose maximum is reserved when it is made.
 *
 * @param views One view of each memory that the runs belong to.
 * @throws {FailureError} when the system refuses.
 */
export function mapRuns(
  files: readonly SourceFile[],
  memories: readonly { readonly view: Uint8Array; readonly runs: readonly Run[] }[],
): void {
  const libc = Deno.dlopen("libc.so.6", LIBC);
  const descriptors = new Map<number, number>();
  try {
    const descriptorOf = (file: number): number => {
      const known = descriptors.get(file);
      if (known !== undefined) return known;
      const { path, bytes } = files[file]!;
      checkSize(path, bytes);
      const descriptor = libc.symbols.open(new TextEncoder().encode(path + "\0"), O_RDONLY_CLOEXEC);
      if (descriptor < 0) throw InputError.saying("unreadable", { file: path }, "cannot be opened for mapping");
      descriptors.set(file, descriptor);
      return descriptor;
    };
    explainBusErrors(files.map(({ path }) => path));
    for (const { view, runs } of memories) {
      for (const run of runs) {
        const target = Deno.UnsafePointer.of(view.subarray(run.address) as Uint8Array<ArrayBuffer>);
        const got = libc.symbols.mmap(
          target,
          BigInt(run.bytes),
          PROT_READ_WRITE,
          MAP_PRIVATE_FIXED,
          descriptorOf(run.file),
          BigInt(run.offset),
        );
        if (!Deno.UnsafePointer.equals(got, target)) {
          throw new FailureError(
            words`${files[run.file]!.path}: the system refused to map ${run.bytes} bytes; ${
              option("weights")
            }=read avoids mapping`,
          );
        }
      }
    }
  } finally {
    for (const descriptor of descriptors.values()) libc.symbols.close(descriptor);
    libc.close();
  }
}

/** Linux value of the C constant. */
const MADV_DONTNEED = 4;
/** Bytes that are let go at once. */
const PIECE_BYTES = 256 << 20;

/**
 * Lets the pages of mapped runs go, several threads at once: 10 GB that were read keep the one thread with which a
 * process ends for 0.2 s. Who reads them again gets them from the file.
 *
 * @param threads Most threads that do it.
 */
export async function letGo(
  memories: readonly { readonly view: Uint8Array; readonly runs: readonly Run[] }[],
  threads: number,
): Promise<void> {
  const libc = Deno.dlopen("libc.so.6", {
    // int madvise(void *addr, size_t length, int advice)
    madvise: { parameters: ["pointer", "usize", "i32"], result: "i32", nonblocking: true },
  });
  const pieces = memories.flatMap(({ view, runs }) =>
    runs.flatMap((run) =>
      Array.from({ length: Math.ceil(run.bytes / PIECE_BYTES) }, (_, i) => {
        const from = run.address + i * PIECE_BYTES, bytes = Math.min(PIECE_BYTES, run.address + run.bytes - from);
        return { at: Deno.UnsafePointer.of(view.subarray(from) as Uint8Array<ArrayBuffer>), bytes };
      })
    )
  );
  const lane = async () => {
    for (let piece = pieces.pop(); piece !== undefined; piece = pieces.pop()) {
      await libc.symbols.madvise(piece.at, BigInt(piece.bytes), MADV_DONTNEED);
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, pieces.length) }, lane));
  libc.close();
}

/** Values of Linux for `mmap` and `mremap`. */
const MAP_SHARED_FIXED_ANONYMOUS = 0x31, MREMAP_MAYMOVE_FIXED = 3;

/**
 * Lets the same pages lie at `from..to` in all memories, as far as whole pages go: for what one memory is done with
 * before the next one begins. What was there is lost; where the system refuses, some memories keep pages of their own.
 *
 * @returns Whether all memories share them.
 */
export function shareRange(views: readonly Uint8Array[], from: number, to: number): boolean {
  const start = Math.ceil(from / OS_PAGE) * OS_PAGE, bytes = Math.floor(to / OS_PAGE) * OS_PAGE - start;
  if (!canMap() || bytes <= 0) return false;
  const libc = Deno.dlopen("libc.so.6", {
    mmap: LIBC.mmap,
    // void *mremap(void *old, size_t old_size, size_t new_size, int flags, void *new)
    mremap: { parameters: ["pointer", "usize", "usize", "i32", "pointer"], result: "pointer" },
  });
  try {
    const [first, ...others] = views.map((view) =>
      Deno.UnsafePointer.of(view.subarray(start) as Uint8Array<ArrayBuffer>)
    );
    const length = BigInt(bytes), same = Deno.UnsafePointer.equals;
    const made = libc.symbols.mmap(first!, length, PROT_READ_WRITE, MAP_SHARED_FIXED_ANONYMOUS, -1, 0n);
    // An old size of 0 maps the shared pages once more.
    return same(made, first!) &&
      others.every((other) => same(libc.symbols.mremap(first!, 0n, length, MREMAP_MAYMOVE_FIXED, other), other));
  } finally {
    libc.close();
  }
}

/** Largest single read: short enough that the progress line moves. */
const READ_BYTES = 64 << 20;
/** Bytes of a file read at once where only pieces of them are kept. */
const WINDOW_BYTES = 4 << 20;

/**
 * Reads each run of the files to its address, straight into the memory.
 *
 * @param made Makes the files that are made; null where there are none.
 * @throws {InputError} when a file ends early: it changed since it was checked.
 */
export function readRuns(
  files: readonly SourceFile[],
  memories: readonly {
    readonly view: Uint8Array;
    readonly runs: readonly Run[];
    readonly strided: readonly StridedRun[];
  }[],
  made: MadeFiles | null = null,
  onProgress?: (done: number, total: number) => void,
): void {
  const total = memories.reduce((sum, m) => sum + bytesToLoad(m), 0);
  let done = 0;
  const progress = (bytes: number) => onProgress?.(done += bytes, total);
  const reader = new Reader(files, made);
  try {
    for (const { view, runs, strided } of memories) {
      for (const run of runs) {
        for (let at = 0; at < run.bytes; at += READ_BYTES) {
          const bytes = Math.min(READ_BYTES, run.bytes - at);
          reader.read(run.file, run.offset + at, view.subarray(run.address + at, run.address + at + bytes));
          progress(bytes);
        }
      }
      for (const run of strided) {
        readStrided(reader, run, view);
        progress(run.pieces * run.pieceBytes);
      }
    }
  } finally {
    reader.close();
  }
}

/**
 * Reads some rows at a time and copies the wanted pieces out of them: reading the bytes between the pieces costs less
 * than a system call for each.
 */
function readStrided(reader: Reader, run: StridedRun, view: Uint8Array): void {
  const { file, offset, pieces, pieceBytes, stride, address } = run;
  const group = Math.max(1, Math.floor(WINDOW_BYTES / stride));
  for (let from = 0; from < pieces; from += group) {
    const count = Math.min(group, pieces - from);
    const window = reader.window((count - 1) * stride + pieceBytes);
    reader.read(file, offset + from * stride, window);
    for (let i = 0; i < count; i++) {
      view.set(window.subarray(i * stride, i * stride + pieceBytes), address + (from + i) * pieceBytes);
    }
  }
}

/** The files that are being read, opened once each. */
class Reader {
  readonly #open = new Map<number, StoredFile>();
  #buffer = new Uint8Array(0);

  constructor(readonly files: readonly SourceFile[], readonly made: MadeFiles | null) {}

  /** Fills `into` from an offset. */
  read(index: number, offset: number, into: Uint8Array): void {
    const source = this.files[index]!, { path, bytes } = source;
    if (isMade(source)) return this.made!.read(index, offset, into);
    let file = this.#open.get(index);
    if (!file) {
      checkSize(path, bytes);
      this.#open.set(index, file = openFile(path));
    }
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < into.length;) {
      const got = file.readSync(into.subarray(at));
      if (got === null) {
        throw InputError.saying("changed", { file: path }, `ended at byte ${offset + at}, expected ${bytes} bytes`);
      }
      at += got;
    }
  }

  /** A buffer of that many bytes, overwritten by the next use. */
  window(bytes: number): Uint8Array {
    if (this.#buffer.length < bytes) this.#buffer = new Uint8Array(bytes);
    return this.#buffer.subarray(0, bytes);
  }

  close(): void {
    for (const file of this.#open.values()) file.close();
  }
}

function openFile(path: string): StoredFile {
  try {
    return openStored(path);
  } catch (thrown) {
    throw InputError.saying("unreadable", { file: path }, `cannot be opened: ${reason(thrown)}`);
  }
}

/**
 * A file that shrank since it was checked would end the process with SIGBUS when a mapped page after its end is
 * touched.
 */
function checkSize(path: string, expected: number): void {
  const { size } = statStored(path);
  if (size !== expected) {
    throw InputError.saying("changed", { file: path }, `has ${size} bytes now, ${expected} when it was checked`);
  }
}

/**
 * Checks that a mapping starts on a page border, as the plan must have arranged.
 *
 * @throws {Error} where one does not: the plan is wrong.
 */
export function assertPageAligned(runs: readonly Run[]): void {
  for (const run of runs) {
    if (run.address % OS_PAGE !== 0 || run.offset % OS_PAGE !== 0) {
      throw new Error("a run to be mapped is not page aligned");
    }
  }
}
