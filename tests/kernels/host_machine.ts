/** Runs jobs on the kernels compiled as plain C++ for this processor (kernels/host.cpp). */
import { traitsOf } from "../../src/verify/cases/traits.ts";
import { sourceHash } from "../../kernels/manifest.ts";
import { BUILD_FOLDER, buildOnce, compileShared, ownCopy } from "../build_once.ts";
import { GuardedMemory } from "./guarded.ts";
import {
  type Argument,
  buffersOf,
  type DeviceBuffer,
  type Job,
  launchesOf,
  ldsOfJob,
  type Machine,
  type Pointer,
} from "../../src/verify/cases/job.ts";

const KERNELS = new URL("../../kernels/", import.meta.url);
const CLANG = "clang-22";
/**
 * -O1: -O2 takes twice as long to compile, more than the tests take to run. Loops are unrolled, without which the
 * kernels take half as long again.
 */
const FLAGS: readonly string[] = [
  ...["-x", "c++", "-std=c++20", "-O1", "-funroll-loops", "-ffp-contract=off", "-DMX_HOST"],
  ...(Deno.build.arch === "x86_64" ? ["-march=x86-64-v3"] : []),
];

/** Whether the compiler is there; without it these tests are skipped. */
export async function hasClang(): Promise<boolean> {
  try {
    return (await new Deno.Command(CLANG, { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/**
 * Compiles the host library, or finds the one that an earlier run compiled from the same sources.
 *
 * @returns The path of a copy for this test file alone: the library runs one launch at a time.
 */
export async function hostLibrary(): Promise<string> {
  // What the hash of the kernels leaves out.
  const own = ["host.cpp", "common/host.h"];
  for (const { name } of Deno.readDirSync(new URL("common", KERNELS))) {
    if (name.endsWith(".inc")) own.push(`common/${name}`);
  }
  const texts = own.sort().map((name) => Deno.readTextFileSync(new URL(name, KERNELS)));
  const launcher = [...texts, ...FLAGS].join(" ");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(launcher));
  const suffix = new Uint8Array(digest).subarray(0, 4).toHex();
  const name = `${(await sourceHash(KERNELS)).slice(0, 16)}-${suffix}.so`;
  const built = buildOnce(`${BUILD_FOLDER}/host-kernels/${name}`, (partial) => {
    const halves = ["-DMX_HALF=1", "-DMX_HALF=2"].map((half) => [half, "host.cpp"]);
    compileShared(CLANG, FLAGS, halves, partial, KERNELS.pathname);
  });
  return ownCopy(built);
}

const SYMBOLS = {
  mx_host_kernel: { parameters: ["buffer"], result: "pointer" },
  mx_host_fill: { parameters: ["i32"], result: "void" },
  mx_host_launch: { parameters: ["pointer", "buffer", "buffer", "u32", "buffer"], result: "void" },
} as const;

/**
 * The host library as a machine, in which what nobody has written is NaN, LDS too. That goes for all launches of this
 * test file from the first machine on, however the library was loaded.
 */
export class HostMachine implements Machine {
  readonly name = "host";
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  /** Memory of the launch that is under way, which native code holds by address only. */
  protected held: unknown[] = [];

  /** @param guard Where memory that ends the process lies beside a buffer. */
  private constructor(path: string, readonly guard: "before" | "behind") {
    this.#library = Deno.dlopen(path, SYMBOLS);
    this.#library.symbols.mx_host_fill(1);
  }

  static async open(guard: "before" | "behind" = "behind"): Promise<HostMachine> {
    return new HostMachine(await hostLibrary(), guard);
  }

  /** Whether there is a kernel of this name. */
  has(entry: string): boolean {
    return this.#library.symbols.mx_host_kernel(new TextEncoder().encode(`${entry}\0`)) !== null;
  }

  run(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) for (const one of launchesOf(job)) this.#launch(one);
    return Promise.resolve();
  }

  #launch(job: Job): void {
    using held = new DisposableStack();
    const placed = new Map<DeviceBuffer, GuardedMemory>();
    for (const buffer of buffersOf(job)) {
      const memory = held.use(new GuardedMemory(buffer.bytes.length, this.guard === "behind"));
      memory.view.set(buffer.bytes);
      placed.set(buffer, memory);
    }
    const patch = (bytes: Uint8Array<ArrayBuffer>, pointers: readonly Pointer[]) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      for (const { offset, to } of pointers) view.setBigUint64(offset, placed.get(to)!.address, true);
    };
    for (const [buffer, { view }] of placed) patch(view, buffer.pointers);
    const values = job.arguments.map((argument) => this.#value(argument, placed, patch));
    const addresses = BigUint64Array.from(values, (v) => BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(v))));
    this.held = [values, addresses];
    const kernel = this.#library.symbols.mx_host_kernel(new TextEncoder().encode(`${job.entry}\0`));
    if (kernel === null) throw new Error(`${job.entry}: no such kernel in the host library`);
    this.#library.symbols.mx_host_launch(
      kernel,
      new Uint8Array(Uint32Array.from(job.grid).buffer),
      new Uint8Array(Uint32Array.of(job.threads, 1, 1).buffer),
      ldsOfJob(job, traitsOf(job.entry)),
      new Uint8Array(addresses.buffer),
    );
    for (const [buffer, { view }] of placed) {
      if (!buffer.constant) buffer.bytes.set(view);
    }
    this.held = [];
  }

  #value(
    argument: Argument,
    placed: ReadonlyMap<DeviceBuffer, { readonly address: bigint }>,
    patch: (bytes: Uint8Array<ArrayBuffer>, pointers: readonly Pointer[]) => void,
  ): Uint8Array<ArrayBuffer> {
    if (argument.kind === "struct") {
      const bytes = argument.bytes.slice();
      patch(bytes, argument.pointers);
      return bytes;
    }
    const view = new DataView(new ArrayBuffer(8));
    if (argument.kind === "pointer") view.setBigUint64(0, argument.to ? placed.get(argument.to)!.address : 0n, true);
    else if (argument.kind === "i64") view.setBigInt64(0, BigInt(argument.value), true);
    else if (argument.kind === "i32") view.setInt32(0, argument.value, true);
    else view.setFloat32(0, argument.value, true);
    return new Uint8Array(view.buffer);
  }

  [Symbol.dispose](): void {
    this.held = [];
    this.#library.close();
  }
}
