/** Places that the command line names, looked at before anything is computed for them. */
import { TemporaryFile } from "../checkpoint/atomic.ts";
import { refuseTarget } from "../checkpoint/write_safetensors.ts";
import { InputError, type Subject } from "../errors.ts";
import { UsageError } from "./spelling.ts";

/**
 * Refuses a file that must not be written, or cannot be: one beside it is made and removed.
 *
 * @throws {UsageError} as {@linkcode refuseTarget} and {@linkcode TemporaryFile}, with the option's name.
 * @throws {FailureError} when the disk is full or fails.
 */
export function refuseOut(path: string, force: boolean): void {
  try {
    refuseTarget(path, force);
    new TemporaryFile(path)[Symbol.dispose]();
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown;
    throw new UsageError({ ...thrown.mistake, subject: { option: "out", ...thrown.subject } });
  }
}

/**
 * Refuses a directory that is not there.
 *
 * @param asked What names it, for messages.
 * @throws {UsageError} if nothing is there.
 */
export function refuseAbsent(path: string, asked: Pick<Subject, "option"> = {}): void {
  lookAt(path, { ...asked, file: path });
}

/**
 * Refuses what is no directory.
 *
 * @param asked What names it, for messages.
 * @throws {UsageError} if nothing, or a file, is there.
 */
export function refuseNoDirectory(path: string, asked: Pick<Subject, "option"> = {}): void {
  const subject = { ...asked, file: path };
  if (lookAt(path, subject)?.isDirectory === false) {
    throw UsageError.of("wrong_value", subject, "a directory", "a file");
  }
}

/**
 * Refuses a file where a directory is to be made, or is there.
 *
 * @param asked What names it, for messages.
 * @throws {UsageError} if there is one.
 */
export function refuseFile(path: string, asked: Pick<Subject, "option">): void {
  let found: Deno.FileInfo;
  try {
    found = Deno.statSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotCapable) throw thrown;
    return;
  }
  if (!found.isDirectory) throw UsageError.of("wrong_value", { ...asked, file: path }, "a directory", "a file");
}

/** Null where the system does not say: whoever reads or writes there will. */
function lookAt(path: string, subject: Subject): Deno.FileInfo | null {
  try {
    return Deno.statSync(path);
  } catch (thrown) {
    const { NotFound, NotADirectory } = Deno.errors;
    // No system has a name as long as that.
    const tooLong = thrown instanceof Error && "code" in thrown && thrown.code === "ENAMETOOLONG";
    if (!(thrown instanceof NotFound || thrown instanceof NotADirectory || tooLong)) return null;
    throw UsageError.of("missing", subject, "a directory", "nothing of that name");
  }
}
