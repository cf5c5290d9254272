/** The memories of WebAssembly that hold a model: their making, which V8's garbage collector shall not count. */
import { asset } from "../../assets.ts";
import { FailureError, reason } from "../../errors.ts";
import { onThreadFailure, startThread } from "../../thread.ts";
import { WASM_PAGE } from "../../wasm.ts";
import { grow, type Growth, type GrowthReply } from "./memory_growth.ts";

/** Bytes of memories from which on another thread makes them: a fourth of what V8 counts at most. */
const MANY_BYTES = 2 ** 31;
/** The same in a thread that is no main one: Deno starts threads of threads a second late. */
const MANY_OF_A_THREAD = 2 ** 33;
const MANY_HERE = ("WorkerGlobalScope" in globalThis) ? MANY_OF_A_THREAD : MANY_BYTES;

/**
 * Makes shared memories of WebAssembly of so many bytes each, multiples of 65,536, all zero. None of them can grow, so
 * that V8 reserves the addresses once and never moves them under a mapping.
 *
 * V8 counts the bytes of a memory with those of the isolate that made it, or made it larger, as if a collection of
 * garbage could free some of them. Where they are more than its limit for both, some 8 GB, it collects again and again
 * for as long as the program runs: with gpt-oss-20b's 14 GB each time that the event loop has a turn
 * (docs/measurements/matvec.md, "Garbage that is none"). What another thread made larger it does not count. So large
 * memories begin with a page, and a thread that ends right after gives them the others.
 *
 * @param many For tests: from how many bytes in all on another thread does it.
 * @throws {FailureError} when a memory cannot be had.
 */
export async function allocateMemories(
  sizes: readonly number[],
  many: number = MANY_HERE,
): Promise<WebAssembly.Memory[]> {
  const large = sizes.reduce((sum, bytes) => sum + bytes, 0) >= many;
  const memories = sizes.map((bytes) => allocate(bytes, large ? WASM_PAGE : bytes));
  if (!large) return memories;
  const rest = memories.map((memory, i) => ({ memory, pages: sizes[i]! / WASM_PAGE - 1 }));
  const { grown, failure } = await growBeside(rest);
  if (failure !== null) throw unavailable(sizes[grown]!, failure);
  return memories;
}

function allocate(bytes: number, first: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: first / WASM_PAGE, maximum: bytes / WASM_PAGE, shared: true });
  } catch (thrown) {
    throw unavailable(bytes, reason(thrown));
  }
}

const unavailable = (bytes: number, why: string): FailureError =>
  new FailureError(`a WASM memory of ${bytes} bytes could not be had: ${why}`);

/** {@linkcode grow} by a thread of its own; by this one where there is none to be had: slow is better than none. */
async function growBeside(growths: readonly Growth[]): Promise<GrowthReply> {
  let worker: Worker;
  try {
    worker = startThread(asset("src/backends/emulate/memory_worker.ts"), "memory", "a thread that allocates memory");
  } catch (thrown) {
    if (thrown instanceof FailureError) return grow(growths);
    throw thrown;
  }
  const answer = Promise.withResolvers<GrowthReply>();
  worker.onmessage = ({ data }: MessageEvent<GrowthReply>) => answer.resolve(data);
  onThreadFailure(worker, "the thread that allocates memory", answer.reject);
  worker.postMessage(growths);
  try {
    return await answer.promise;
  } finally {
    worker.terminate();
  }
}
