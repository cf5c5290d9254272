/**
 * Signals that the program does not listen for, and that would do more than end it: that of the debugger, through which
 * other processes could run code in it, and that of files which outgrow a limit.
 */

/** The signal that opens it, by its number on Linux. */
const SIGUSR1 = 10;
/** The signal that ends a process which writes beyond the largest file that it may write (`ulimit -f`), likewise. */
const SIGXFSZ = 25;
/** What libc's `signal` takes for "ignore it". */
const SIG_IGN = 1n;

const LIBC = { signal: { parameters: ["i32", "usize"], result: "usize" } } as const;

/**
 * Makes the process ignore SIGUSR1, on which Deno since 2.9.2 listens at port 9229 of the machine, where any user of it
 * could connect.
 *
 * No flag and no variable turns that off; a listener of the program's only hears the signal, too. What helps is to take
 * the signal from Deno by libc. Deno sets its handler half a second after the start, but only once: a listener that
 * comes and goes brings that forward, so that it does not undo what is done here.
 *
 * SIGXFSZ is ignored as well: a write beyond the limit fails then, as on a full disk, with a line that names the file,
 * and with no temporary file left behind.
 *
 * Does nothing where the process may not call libraries, and on other systems than Linux.
 */
export function ignoreSignals(): void {
  if (Deno.build.os !== "linux" || Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return;
  const nothing = () => {};
  Deno.addSignalListener("SIGUSR1", nothing);
  Deno.removeSignalListener("SIGUSR1", nothing);
  try {
    const libc = Deno.dlopen("libc.so.6", LIBC);
    for (const signal of [SIGUSR1, SIGXFSZ]) libc.symbols.signal(signal, SIG_IGN);
    libc.close();
  } catch {
    // The program can do without, and without this libc.
  }
}
