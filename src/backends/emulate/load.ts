/** Brings the planned file ranges into WASM memories by mapping the files; `reading.ts` reads them. */
import type { SourceFile } from "../../checkpoint/source.ts";
import { FailureError, InputError } from "../../errors.ts";
import { explainBusErrors } from "./bus_error.ts";
import { OS_PAGE, type Run } from "./plan.ts";
import { checkSize } from "./pieces.ts";
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
      // A file that became shorter would end the process with SIGBUS when a page after its end is touched.
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
