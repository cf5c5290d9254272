/**
 * What launchers that are shell scripts do about a stdout that was closed (`mxoss ... >&-`). Only they can: Deno, like
 * every program in Rust, opens /dev/null in its place before the first script runs, in the very way in which Python's
 * and Node's parents discard what a program prints, and the program cannot tell the one from the other.
 */

/**
 * A line of a POSIX shell that ends it where stdout is closed. The server prints nothing there, and may be started
 * without; `true` is no special built-in, whose failing redirection would end a shell without a word.
 */
export const REFUSE_CLOSED_STDOUT = '[ "${1-}" = serve ] || { true 3>&1; } 2>/dev/null || ' +
  "{ echo 'error: stdout: closed, so what is printed would be lost; >/dev/null leaves it out' >&2; exit 1; }";

/**
 * The script that `deno install` has written, with that line before the one that starts the program.
 *
 * @throws {Error} if it is no such script.
 */
export function withOpenStdout(script: string): string {
  if (!/^#!\/bin\/sh\n.*^exec /ms.test(script)) throw new Error("expected a shell script that starts the program");
  return script.replace(/^exec /m, (start) => `${REFUSE_CLOSED_STDOUT}\n${start}`);
}
