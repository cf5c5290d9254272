/** What a hang-up of the terminal (SIGHUP) means: the end, but under `nohup`. */

const SIGHUP = 1;
const SIG_IGN = 1n;

/** Bytes that hold `struct sigaction` of any libc; the handler's address comes first. */
const SIGACTION_BYTES = 256;

let ignored = false;

/**
 * Goes on ignoring SIGHUP where whoever started the program had it ignored. The first listener of whatever signal makes
 * Deno obey it, and Deno does not tell, so libc is asked before; where that is not permitted, a hang-up is the end.
 */
export function keepIgnoringHangup(): void {
  ignored = isIgnored();
  if (ignored) Deno.addSignalListener("SIGHUP", () => {});
}

/** Whether a hang-up does not end the program. */
export function ignoresHangup(): boolean {
  return ignored;
}

function isIgnored(): boolean {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return false;
  try {
    const libc = Deno.dlopen("libc.so.6", {
      sigaction: { parameters: ["i32", "pointer", "buffer"], result: "i32" },
    });
    const action = new BigUint64Array(SIGACTION_BYTES / 8);
    const failed = libc.symbols.sigaction(SIGHUP, null, action) !== 0;
    libc.close();
    return !failed && action[0] === SIG_IGN;
  } catch {
    return false;
  }
}
