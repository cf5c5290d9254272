/**
 * The WASM module of the kernels: compiling it, and instances of it over a memory. What the kernels take is in
 * wasm/ABI.md.
 */
import { asset, FETCHED } from "./assets.ts";

/** Where the module lies. */
export const WASM_PATH = "wasm/pkg/mxoss_kernels_bg.wasm";

/** Bytes of a page, in which memories are sized. */
export const WASM_PAGE = 65_536;

/** Signature of every kernel: computes units `start` to `end - 1` of what the descriptor at an address describes. */
export type Kernel = (descriptor: number, start: number, end: number, scratch: number) => void;

let kernels: Promise<WebAssembly.Module> | undefined;

/** The module, compiled once for all models that this thread opens. */
export function compileKernels(): Promise<WebAssembly.Module> {
  return kernels ??= FETCHED ? importKernels() : readKernels();
}

/** Read at once: other threads compile it while the caller goes on. */
async function readKernels(): Promise<WebAssembly.Module> {
  return await WebAssembly.compile(Deno.readFileSync(asset(WASM_PATH)));
}

/** The module of a program whose files are fetched by https, as an import, which Deno keeps like any script. */
async function importKernels(): Promise<WebAssembly.Module> {
  const { default: module } = await import("./wasm_module.js") as { readonly default: WebAssembly.Module };
  return module;
}

/**
 * The kernels over one memory, for one thread.
 *
 * @param stackTop Top of the thread's own stack, 16-byte aligned: instances share the memory, so each must leave the
 *   others' stacks alone.
 */
export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stackTop: number,
): (name: string) => Kernel {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  (exports["__stack_pointer"] as WebAssembly.Global).value = stackTop;
  return (name) => exports[name] as Kernel;
}

/** The first address that the module leaves to its host. */
export function heapBase(module: WebAssembly.Module): number {
  const memory = new WebAssembly.Memory({ initial: 32, maximum: 65_536, shared: true });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  return (exports["heap_base"] as () => number)();
}

const STACK_BYTES = 64 << 10;

/** Addresses for what one instance of the kernels works with, and then the memory that has room for all of it. */
export class Workplace {
  readonly #module: WebAssembly.Module;
  readonly #stackTop: number;
  #end: number;

  constructor(module: WebAssembly.Module) {
    this.#module = module;
    this.#end = this.#stackTop = Math.ceil(heapBase(module) / 16) * 16 + STACK_BYTES;
  }

  /** An address, a multiple of 16, from which on there will be so many bytes. What is never written takes no memory. */
  take(bytes: number): number {
    const address = this.#end;
    this.#end = Math.ceil((address + bytes) / 16) * 16;
    return address;
  }

  /**
   * Makes the memory.
   *
   * @throws {RangeError} where there are no addresses left.
   */
  open(): { readonly memory: WebAssembly.Memory; readonly kernel: (name: string) => Kernel } {
    const pages = Math.ceil(this.#end / WASM_PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return { memory, kernel: instantiate(this.#module, memory, this.#stackTop) };
  }
}
