/**
 * The two kinds of failure that a user sees as one line on stderr.
 *
 * Anything else that escapes is a defect of the program and is reported as such by `src/cli/run.ts`.
 */

/**
 * A mistake in the arguments, the config or the checkpoint: exit code 2.
 *
 * The message is one line that names the file, the tensor or the option, what was expected and what was got.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "@mxoss/mxoss/checkpoint";
 * import { InputError } from "@mxoss/mxoss/errors";
 * import { assert, assertThrows } from "@std/assert";
 *
 * const { message } = assertThrows(() => openCheckpoint("no/such/place"), InputError);
 * assert(message.startsWith("no/such/place: "));
 * ```
 */
export class InputError extends Error {
  /** "InputError". */
  override readonly name = "InputError";
  /** With which the program ends. */
  readonly exitCode = 2;
}

/**
 * A failure of the program or of the hardware (out of memory, no such device, a worker that died): exit code 1.
 *
 * @example
 * ```ts
 * import { FailureError, InputError } from "@mxoss/mxoss/errors";
 * import { assertEquals } from "@std/assert";
 *
 * const codeOf = (thrown: InputError | FailureError) => thrown.exitCode;
 * assertEquals([codeOf(new InputError("one")), codeOf(new FailureError("two"))], [2, 1]);
 * ```
 */
export class FailureError extends Error {
  /** "FailureError". */
  override readonly name = "FailureError";
  /** With which the program ends. */
  readonly exitCode = 1;
}

/** One line of text from anything that was thrown, with line breaks folded, for messages that quote a cause. */
export function reason(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  // A pattern with blanks on both sides of the break would take quadratic time on many blanks.
  return text.split("\n").map((line) => line.trim()).filter((line) => line !== "").join(" ");
}

/** Characters of the longest line that says what went wrong. */
const MAX_LINE = 300;

/**
 * A line that is not long, however long the names in it are: its middle is left out, as its ends say what and where.
 */
export function clip(line: string): string {
  if (line.length <= MAX_LINE) return line;
  const half = (MAX_LINE - 1) / 2;
  return `${line.slice(0, Math.ceil(half))}…${line.slice(-Math.floor(half))}`.toWellFormed();
}
