/** Arguments whose bytes are not UTF-8. */
import { UsageError } from "./spelling.ts";
import { printable } from "../describe.ts";
import { systemFileBytes } from "../system_files.ts";

/** What Deno puts in the place of such bytes. */
const REPLACEMENT = "\ufffd";

/**
 * Refuses arguments that are not what was typed: a file of the changed name would be another one.
 *
 * @param commandLine The bytes of the process's command line; for tests.
 * @throws {InputError} naming the argument.
 */
export function refuseOtherBytes(args: readonly string[], commandLine = ownCommandLine): void {
  const odd = args.find((arg) => arg.includes(REPLACEMENT));
  if (odd === undefined) return;
  try {
    // Somebody may well mean that character.
    new TextDecoder("utf-8", { fatal: true }).decode(commandLine() ?? new Uint8Array(0));
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    throw UsageError.of("malformed", { name: `argument ${printable(odd)}` }, "UTF-8 text", "other bytes");
  }
}

/** Null where the system does not say. */
function ownCommandLine(): Uint8Array<ArrayBuffer> | null {
  return systemFileBytes(`/proc/${Deno.pid}/cmdline`);
}
