/** Refusals of input that would cost much: each must come soon, in one line. */
import process from "node:process";
import { InputError } from "../src/errors.ts";
import { assert, assertMatch } from "./assert.ts";

/** Most processor time, in milliseconds: of the process, so that a busy machine makes no difference. */
const MOST_CPU = 1000;
/** Most memory that may be held when the refusal is there, in bytes above what was held before. */
const MOST_MEMORY = 500_000_000;

/** Asserts that `act` throws an InputError of one line soon, and gives its message. */
export async function assertRefusedQuickly(act: () => unknown, line: RegExp, mostCpu = MOST_CPU): Promise<void> {
  const cpu = process.cpuUsage(), { rss } = Deno.memoryUsage();
  let thrown: unknown;
  try {
    await act();
  } catch (error) {
    thrown = error;
  }
  const { user, system } = process.cpuUsage(cpu), grown = Deno.memoryUsage().rss - rss;
  assert(thrown instanceof InputError, `${thrown}`);
  assertMatch(thrown.message, line);
  assert(!/[\n\r]/.test(thrown.message) && thrown.message.length < 2000, "expected one line");
  assert((user + system) / 1000 < mostCpu, `took ${(user + system) / 1000} ms`);
  assert(grown < MOST_MEMORY, `holds ${grown} bytes more`);
}
