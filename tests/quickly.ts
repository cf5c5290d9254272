/** Refusals of input that would cost much: each must come soon, in one line. */
import { InputError } from "../src/errors.ts";
import { assert, assertMatch } from "./assert.ts";

/**
 * Most processor time, in milliseconds: a second by itself; beside other tests, which share caches and memory, up to
 * twice that.
 */
const MOST_CPU = 2000;
/** Most memory that may be held when the refusal is there, in bytes above what was held before. */
const MOST_MEMORY = 500_000_000;

/**
 * Processor time of this thread so far, in milliseconds: neither a busy machine nor tests in other threads make a
 * difference. Where the system does not tell it, time as it goes by.
 */
export function threadTime(): number {
  try {
    return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
  } catch {
    return performance.now();
  }
}

/** Bytes that this thread's isolate holds, garbage too. */
export function threadMemory(): number {
  const { heapTotal, external } = Deno.memoryUsage();
  return heapTotal + external;
}

/** Asserts that `act` throws an InputError of one line soon. */
export async function assertRefusedQuickly(act: () => unknown, line: RegExp, mostCpu = MOST_CPU): Promise<void> {
  const start = threadTime(), held = threadMemory();
  let thrown: unknown;
  try {
    await act();
  } catch (error) {
    thrown = error;
  }
  const took = threadTime() - start, grown = threadMemory() - held;
  assert(thrown instanceof InputError, `${thrown}`);
  assertMatch(thrown.message, line);
  assert(!/[\n\r]/.test(thrown.message) && thrown.message.length < 2000, "expected one line");
  assert(took < mostCpu, `took ${took} ms`);
  assert(grown < MOST_MEMORY, `holds ${grown} bytes more`);
}
