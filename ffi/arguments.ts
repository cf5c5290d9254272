/** Packs kernel arguments and device records with C layout. The only place where a device address becomes a number. */
import type { ArgumentWriter, DeviceRange } from "./runtime.ts";

/**
 * Room for one call; the longest entry point of kernels/ABI.md takes less than half of it. Records for device memory
 * may be longer.
 */
const INITIAL_BYTES = 2048;
/** A by-value struct starts at a multiple of this, as the longest C number of the kernels' structs does. */
const STRUCT_ALIGNMENT = 8;

/** Gives the address of a range; known to `ffi/memory.ts`. */
export type AddressOf = (range: DeviceRange) => bigint;

/** See {@linkcode ArgumentWriter}. */
export class PackedArguments implements ArgumentWriter {
  #buffer = new ArrayBuffer(INITIAL_BYTES);
  #view = new DataView(this.#buffer);
  /** Where the buffer lies, once that was asked for; an ArrayBuffer does not move. */
  #base: bigint | null = null;
  #end = 0;
  #inStruct = false;
  /** Byte offset of each argument. */
  readonly #starts: number[] = [];
  #pointers = new BigUint64Array(new ArrayBuffer(8 * 64));

  constructor(readonly addressOf: AddressOf) {}

  get bytes(): number {
    return this.#end;
  }

  reset(): this {
    this.#end = 0;
    this.#inStruct = false;
    this.#starts.length = 0;
    return this;
  }

  pointer(range: DeviceRange | null): this {
    const at = this.#place(8);
    this.#view.setBigUint64(at, range === null ? 0n : this.addressOf(range), true);
    return this;
  }

  i32(value: number): this {
    const at = this.#place(4);
    this.#view.setInt32(at, value, true);
    return this;
  }

  i64(value: number): this {
    const at = this.#place(8);
    this.#view.setBigInt64(at, BigInt(value), true);
    return this;
  }

  f32(value: number): this {
    const at = this.#place(4);
    this.#view.setFloat32(at, value, true);
    return this;
  }

  struct(): this {
    if (this.#inStruct) throw new Error("structs of kernel arguments do not nest");
    this.#pad(STRUCT_ALIGNMENT);
    this.#starts.push(this.#end);
    this.#inStruct = true;
    return this;
  }

  end(): this {
    this.#pad(STRUCT_ALIGNMENT);
    this.#inStruct = false;
    return this;
  }

  /** The bytes written so far; valid until the next write. */
  contents(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#buffer, 0, this.#end);
  }

  /** `void **kernelParams`: the address of each argument. Valid until the next write. */
  parameterTable(): BigUint64Array<ArrayBuffer> {
    if (this.#pointers.length < this.#starts.length) {
      this.#pointers = new BigUint64Array(new ArrayBuffer(16 * this.#starts.length));
    }
    const starts = this.#starts, pointers = this.#pointers;
    const base = this.#base ??= BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#buffer)));
    for (let i = 0; i < starts.length; i++) pointers[i] = base + BigInt(starts[i]!);
    return pointers;
  }

  #place(size: number): number {
    this.#pad(size);
    if (!this.#inStruct) this.#starts.push(this.#end);
    const at = this.#end;
    this.#grow(at + size);
    this.#end = at + size;
    return at;
  }

  /** Padding is zeroed: records in device memory are compared and hashed by tests. */
  #pad(alignment: number): void {
    const end = Math.ceil(this.#end / alignment) * alignment;
    if (end === this.#end) return;
    this.#grow(end);
    new Uint8Array(this.#buffer, this.#end, end - this.#end).fill(0);
    this.#end = end;
  }

  #grow(bytes: number): void {
    if (bytes <= this.#buffer.byteLength) return;
    const larger = new ArrayBuffer(2 * bytes);
    new Uint8Array(larger).set(new Uint8Array(this.#buffer, 0, this.#end));
    this.#buffer = larger;
    this.#view = new DataView(larger);
    this.#base = null;
  }
}
