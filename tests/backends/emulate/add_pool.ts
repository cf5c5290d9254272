/** A pool with one descriptor to run, for tests of the pool. */
import { compileKernels } from "../../../src/wasm.ts";
import { Pool, type PoolStart } from "../../../src/backends/emulate/pool.ts";

const module = await compileKernels();
/** WASM pages of its memory. */
export const PAGES = 64;
/** Addresses of the descriptor and of the operands of `add`. */
export const DESCRIPTOR = 2 << 20, H = 3 << 20, Y = DESCRIPTOR + 4096;
/** Rows of 4 numbers that the operands have room for. */
export const ROWS = 1000;

/** A pool over one memory, with a descriptor of `add` on rows of 4 numbers: h += y. */
export function addPool(
  threads: number,
  h = H,
  start: PoolStart = {},
): { pool: Pool; memory: WebAssembly.Memory } {
  const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  const areas = { stacks: 1 << 20, stackBytes: 65_536, scratch: 1_600_000, scratchBytes: 4096 };
  const pool = new Pool(threads, module, [memory], areas, start);
  new Uint32Array(memory.buffer, DESCRIPTOR, 5).set([h, Y, 4, 4, 0]);
  return { pool, memory };
}
