/** Memory for buffers of a launch, between pages that nobody may access: a kernel can touch nothing beside it. */

const SYMBOLS = {
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  mprotect: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
} as const;
const PROT_NONE = 0, PROT_READ_WRITE = 3, MAP_PRIVATE = 2, MAP_ANONYMOUS = Deno.build.os === "darwin" ? 0x1000 : 0x20;
/** A multiple of every page size in use. */
const PAGE = 65536;
/** What kernels may count on, as of every allocation of a device. */
const ALIGNMENT = 16;
/** Bytes that nobody wrote are NaN, as float32 and as bf16. */
const UNWRITTEN = 0xff;

const libc = Deno.dlopen(Deno.build.os === "darwin" ? "libSystem.B.dylib" : "libc.so.6", SYMBOLS).symbols;

/** One buffer's memory, the whole pages of which are its own. */
export class GuardedMemory implements Disposable {
  /** The buffer: at most 15 bytes before its end, or at its beginning, memory begins that ends the process. */
  readonly view: Uint8Array<ArrayBuffer>;
  readonly address: bigint;
  readonly #base: Deno.PointerObject;
  readonly #bytes: number;

  /** @param end Whether the guard is behind the buffer's end rather than before its beginning. */
  constructor(bytes: number, end: boolean) {
    const own = Math.max(1, Math.ceil(bytes / PAGE)) * PAGE, rounded = Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    this.#bytes = own + 2 * PAGE;
    const base = libc.mmap(null, BigInt(this.#bytes), PROT_READ_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0n);
    if (base === null || Deno.UnsafePointer.value(base) === 0xffff_ffff_ffff_ffffn) throw new Error("mmap failed");
    this.#base = base;
    for (const at of [0, own + PAGE]) {
      if (libc.mprotect(Deno.UnsafePointer.offset(base, at), BigInt(PAGE), PROT_NONE) !== 0) {
        throw new Error("mprotect failed");
      }
    }
    const from = PAGE + (end ? own - rounded : 0);
    new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(base, own, PAGE)).fill(UNWRITTEN);
    this.view = new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(base, bytes, from));
    this.address = BigInt(Deno.UnsafePointer.value(base)) + BigInt(from);
  }

  [Symbol.dispose](): void {
    libc.munmap(this.#base, BigInt(this.#bytes));
  }
}
