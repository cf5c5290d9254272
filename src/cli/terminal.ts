/** Writing to stdout and stderr: whole texts, broken pipes, dimming. */

/** The reader of stdout went away; nothing that is left to say has a listener. */
export class BrokenPipe extends Error {
  override readonly name = "BrokenPipe";
}

const encoder = new TextEncoder();

/** How long to wait before a pipe that was full is tried again, in milliseconds. */
const FULL_PIPE_MS = 2;

/**
 * Writes text to stdout, all of it. The event loop keeps turning while a slow reader makes the write wait, so Ctrl-C is heard.
 *
 * @throws {BrokenPipe} when the reader has closed the pipe.
 */
export async function writeOut(text: string): Promise<void> {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(await Deno.stdout.write(bytes));
    } catch (thrown) {
      if (thrown instanceof Deno.errors.BrokenPipe) throw new BrokenPipe();
      // A pipe in non-blocking mode (a parent process may set that) is merely full.
      if (!(thrown instanceof Deno.errors.WouldBlock)) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, FULL_PIPE_MS));
    }
  }
}

/** Writes text to stderr; a stderr that nobody reads is no reason to fail. */
export function writeError(text: string): void {
  let bytes = encoder.encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(Deno.stderr.writeSync(bytes));
  } catch {
    // There is no third stream to say it on.
  }
}

/** Writes one line to stderr; control characters that text from a file may carry are shown, not obeyed. */
export function note(line: string): void {
  writeError(`${printable(line)}\n`);
}

/** Text with control characters (terminal escapes among them) written as `\u001b`. */
export function printable(text: string): string {
  return text.replaceAll(
    /[\p{Cc}--[\t\n]]/gv,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Whether stderr is a terminal that may be sent colours (`NO_COLOR` unset). */
export function colours(): boolean {
  return Deno.stderr.isTerminal() && !Deno.noColor;
}

/** Dim text, where stderr is a terminal that may be sent colours. */
export function dim(text: string): string {
  return colours() && text !== "" ? `\u001b[2m${text}\u001b[22m` : text;
}
