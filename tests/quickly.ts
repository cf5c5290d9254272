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

/** Processor time that {@linkcode loop} takes on the machine on which bounds were chosen, in milliseconds. */
const LOOP_MS = 25;

/** Steps of a hash that nobody looks at. */
function loop(): number {
  let state = 1;
  for (let i = 0; i < 2e7; i++) state = Math.imul(state ^ i, 0x9e3779b1) + (state >>> 15) | 0;
  return state;
}

/**
 * Asserts that processor time is below a bound, which is longer on a machine that is slower, or whose cores compute for
 * others as well: as much longer as a loop takes there now.
 */
export function assertCpuTime(took: number, most: number, what: string): void {
  if (took < most) return;
  const times = [0, 1, 2].map(() => {
    const began = threadTime();
    loop();
    return threadTime() - began;
  });
  const slowness = Math.max(1, Math.max(...times) / LOOP_MS);
  assert(took < most * slowness, `${what} took ${took} ms, at most ${most} times ${slowness} expected`);
}

/**
 * Asserts that a promise of so many seconds was kept. On a machine whose cores compute for others as well, they are as
 * many more as a loop takes there by the clock than it does on the machine on which such promises were made.
 *
 * @param began When they began, by `performance.now()`.
 */
export function assertPromised(began: number, seconds: number, what: string): void {
  const took = performance.now() - began;
  if (took < 1000 * seconds) return;
  const times = Array.from({ length: 20 }, () => {
    const before = performance.now();
    loop();
    return performance.now() - before;
  });
  const slowness = Math.max(1, Math.max(...times) / LOOP_MS);
  assert(
    took < 1000 * seconds * slowness,
    `${what} took ${took} ms, at most ${1000 * seconds} times ${slowness} expected`,
  );
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
  assertCpuTime(took, mostCpu, `${line}`);
  assert(grown < MOST_MEMORY, `holds ${grown} bytes more`);
}
