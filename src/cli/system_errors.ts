/** What the system refuses, told from defects of the program. */
import { reason } from "../errors.ts";

/** What V8 says where an array or a text cannot be had. */
const NO_MEMORY =
  /allocation failed|could not allocate|Cannot allocate|out of memory|Invalid (?:(?:typed )?array|string) length/i;

/**
 * One line about an error that is the system's, with no path because whoever met it knew of none; null for anything
 * else, which is a defect of the program.
 */
export function systemError(thrown: unknown): string | null {
  if (!(thrown instanceof Error)) return null;
  if (thrown instanceof RangeError) return NO_MEMORY.test(thrown.message) ? `out of memory: ${reason(thrown)}` : null;
  // Only system calls give errors such a code; Node's own begin with ERR_.
  const code = "code" in thrown ? String(thrown.code) : "";
  return /^E[A-Z0-9]+$/.test(code) ? `the system refused: ${reason(thrown)}` : null;
}
