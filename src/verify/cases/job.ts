/** A kernel launch as data, so that the same one can run on the host library, on the ISA emulator and on a GPU. */
import { bf16ToFloat32 } from "../../formats/bf16.ts";
import type { LaunchTraits } from "../../../kernels/manifest.ts";

/** Memory of the device. Pointers in it are patched before a launch. */
export interface DeviceBuffer {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pointers: readonly Pointer[];
  /** Only read by kernels. */
  readonly constant: boolean;
}

/** A pointer inside a struct or a buffer, `offset` bytes from its start. */
export interface Pointer {
  readonly offset: number;
  readonly to: DeviceBuffer;
}

/** A kernel argument. */
export type Argument =
  | { readonly kind: "pointer"; readonly to: DeviceBuffer | null }
  | { readonly kind: "i32" | "f32" | "i64"; readonly value: number }
  /** A by-value struct, 8-byte aligned. */
  | { readonly kind: "struct"; readonly bytes: Uint8Array<ArrayBuffer>; readonly pointers: readonly Pointer[] };

/** One launch. */
export interface Job {
  readonly entry: string;
  readonly grid: readonly [number, number, number];
  readonly threads: number;
  /** Whether the blocks along x are a cluster. */
  readonly cluster?: boolean;
  /** Bytes of dynamic LDS, or columns of which the kernel has some in LDS: how much follows from its traits. */
  readonly lds: number | { readonly columns: number };
  readonly arguments: readonly Argument[];
  /** The launch after it, where a kernel works in several. */
  readonly then?: Job;
}

/** A job's launches, in order. */
export function* launchesOf(job: Job): Generator<Job> {
  for (let one: Job | undefined = job; one; one = one.then) yield one;
}

/** Dynamic LDS of a job in bytes, by its kernel's traits on an architecture. */
export function ldsOfJob({ lds }: Pick<Job, "lds">, traits: Pick<LaunchTraits, "ldsFixed" | "ldsPerColumn">): number {
  return typeof lds === "number" ? lds : traits.ldsFixed + traits.ldsPerColumn * Math.ceil(lds.columns / 32) * 32;
}

/** Something that runs jobs; buffers hold the results afterwards. */
export interface Machine {
  /** "host", or an architecture. */
  readonly name: string;
  run(jobs: readonly Job[]): Promise<void>;
}

/** Buffers of a job, each once. */
export function buffersOf(job: Job): DeviceBuffer[] {
  const found = new Set<DeviceBuffer>();
  const visit = (buffer: DeviceBuffer) => {
    if (found.has(buffer)) return;
    found.add(buffer);
    for (const { to } of buffer.pointers) visit(to);
  };
  for (const argument of job.arguments) {
    if (argument.kind === "struct") argument.pointers.forEach(({ to }) => visit(to));
    if (argument.kind === "pointer" && argument.to) visit(argument.to);
  }
  return [...found];
}

/** Input data of a kernel. */
export function input(values: Float32Array | Int32Array | Uint8Array | Uint16Array): DeviceBuffer {
  return {
    bytes: new Uint8Array(values.buffer.slice(values.byteOffset, values.byteOffset + values.byteLength) as ArrayBuffer),
    pointers: [],
    constant: true,
  };
}

/** Memory that a kernel writes, filled with a byte that no result consists of: NaN as float32 and bf16. */
export function output(bytes: number): DeviceBuffer {
  return { bytes: new Uint8Array(bytes).fill(0xff), pointers: [], constant: false };
}

/** Memory that a kernel changes. */
export function inout(values: Float32Array | Int32Array): DeviceBuffer {
  return { ...input(values), constant: false };
}

/** A buffer's contents. */
export const floats = (buffer: DeviceBuffer): Float32Array => new Float32Array(buffer.bytes.slice().buffer);
export const bf16s = (buffer: DeviceBuffer): Float32Array =>
  Float32Array.from(new Uint16Array(buffer.bytes.slice().buffer), bf16ToFloat32);
export const ints = (buffer: DeviceBuffer): Int32Array => new Int32Array(buffer.bytes.slice().buffer);

/** Arguments by kind. */
export const pointer = (to: DeviceBuffer | null): Argument => ({ kind: "pointer", to });
export const i32 = (value: number): Argument => ({ kind: "i32", value });
export const i64 = (value: number): Argument => ({ kind: "i64", value });
export const f32 = (value: number): Argument => ({ kind: "f32", value });

/** Writes a struct of C layout, field by field. */
export class StructWriter {
  readonly #view: DataView<ArrayBuffer>;
  readonly #pointers: Pointer[] = [];
  #at = 0;

  constructor(bytes: number) {
    this.#view = new DataView(new ArrayBuffer(bytes));
  }
  pointer(to: DeviceBuffer | null): this {
    if (to) this.#pointers.push({ offset: this.#at, to });
    this.#at += 8;
    return this;
  }
  i64(value: number): this {
    this.#view.setBigInt64(this.#at, BigInt(value), true);
    this.#at += 8;
    return this;
  }
  i32(...values: number[]): this {
    for (const value of values) {
      this.#view.setInt32(this.#at, value, true);
      this.#at += 4;
    }
    return this;
  }
  f32(value: number): this {
    this.#view.setFloat32(this.#at, value, true);
    this.#at += 4;
    return this;
  }
  /** Another struct inside this one. */
  struct(inner: StructWriter): this {
    const { bytes, pointers } = inner.done();
    new Uint8Array(this.#view.buffer).set(bytes, this.#at);
    for (const { offset, to } of pointers) this.#pointers.push({ offset: this.#at + offset, to });
    this.#at += bytes.length;
    return this;
  }
  /** @throws {RangeError} unless exactly the struct's bytes were written. */
  done(): { bytes: Uint8Array<ArrayBuffer>; pointers: readonly Pointer[] } {
    if (this.#at !== this.#view.byteLength) {
      throw new RangeError(`struct: wrote ${this.#at} of ${this.#view.byteLength} bytes`);
    }
    return { bytes: new Uint8Array(this.#view.buffer), pointers: this.#pointers };
  }
  argument(): Argument {
    return { kind: "struct", ...this.done() };
  }
  buffer(): DeviceBuffer {
    return { ...this.done(), constant: true };
  }
}
