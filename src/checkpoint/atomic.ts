/** Files that are either whole or not there: written under a temporary name, brought to the disk, renamed. */
import { FailureError, InputError, reason } from "../errors.ts";

/** Temporary name of a file that this process writes. */
export const temporaryName = (path: string): string => `${path}.${Deno.pid}.partial`;

/** Whether a name is that of a file that some process was writing. */
export const isTemporaryName = (name: string): boolean => /\.\d+\.partial$/.test(name);

/**
 * Writes a file, or replaces it.
 *
 * @throws {InputError} where the path cannot be written.
 * @throws {FailureError} when the disk is full or fails.
 */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const temporary = temporaryName(path);
  try {
    try {
      using file = Deno.openSync(temporary, { write: true, create: true, truncate: true });
      let bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
      file.syncSync();
    } catch (thrown) {
      removeIfThere(temporary);
      throw thrown;
    }
    Deno.renameSync(temporary, path);
  } catch (thrown) {
    throw cannotWrite(path, thrown);
  }
}

/** Copies a file likewise; what a link leads to is copied, not the link. */
export function copyWhole(from: string, to: string): void {
  const temporary = temporaryName(to);
  try {
    try {
      Deno.copyFileSync(from, temporary);
      using file = Deno.openSync(temporary, { read: true, write: true });
      file.syncSync();
    } catch (thrown) {
      removeIfThere(temporary);
      throw thrown;
    }
    Deno.renameSync(temporary, to);
  } catch (thrown) {
    throw cannotWrite(to, thrown);
  }
}

/** Brings the names of a directory's files to the disk, where the system can (Windows cannot). */
export function syncDirectory(path: string): void {
  if (Deno.build.os === "windows") return;
  try {
    using directory = Deno.openSync(path);
    directory.syncSync();
  } catch (thrown) {
    throw cannotWrite(path, thrown);
  }
}

/** Who is to blame: the path (exit code 2) or the disk (exit code 1). A permission that Deno lacks is passed on as it is. */
export function cannotWrite(path: string, thrown: unknown): unknown {
  if (thrown instanceof Deno.errors.NotCapable || thrown instanceof InputError) return thrown;
  const mistakes = [Deno.errors.NotFound, Deno.errors.NotADirectory, Deno.errors.PermissionDenied];
  const Class = mistakes.some((mistake) => thrown instanceof mistake) ? InputError : FailureError;
  return new Class(`${path}: cannot be written: ${reason(thrown)}`);
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  }
}
