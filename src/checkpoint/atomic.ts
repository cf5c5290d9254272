/**
 * Files that are either whole or not there: written under a temporary name that cannot be guessed and must be new,
 * brought to the disk, renamed. Links are never followed, and nothing but a regular file is ever replaced.
 */
import { type FileFacts, openStored, type StoredFile } from "../stored_files.ts";
import { FailureError, InputError, systemReason } from "../errors.ts";

/** Tells this process's temporary files from everybody else's, 16 hexadecimal digits. */
const TOKEN = crypto.getRandomValues(new Uint8Array(8)).toHex();

/** Bytes that are copied at once. */
const COPY_BYTES = 1 << 20;

/** Temporary name of a file that this process writes. */
export const temporaryName = (path: string): string => `${path}.${TOKEN}.partial`;

/** Whether a name is that of a file that some process was writing. */
export const isTemporaryName = (name: string): boolean => /\.[0-9a-f]{16}\.partial$/.test(name);

/** Temporary files that are being written. */
const unfinished = new Set<TemporaryFile>();

/** Removes them when the process is ended from within, for instance by a second Ctrl-C. */
function removeUnfinished(): void {
  for (const file of unfinished) file[Symbol.dispose]();
}

/** A file being written under a temporary name beside its own. */
export class TemporaryFile implements Disposable {
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: Deno.FsFile;
  #closed = false;

  /**
   * @param mode Permissions of the new file, of which the process's mask takes away some.
   * @throws {InputError} where the path cannot be written.
   * @throws {FailureError} when the disk is full or fails.
   */
  constructor(path: string, mode = 0o666) {
    this.#path = path;
    this.#temporary = temporaryName(path);
    try {
      // O_EXCL: whatever has that name already, a link among it, is neither followed nor overwritten.
      this.#file = Deno.openSync(this.#temporary, { write: true, createNew: true, mode });
    } catch (thrown) {
      // The name is this thread's alone.
      if (thrown instanceof Deno.errors.AlreadyExists && Array.from(unfinished).some((one) => one.#path === path)) {
        throw InputError.saying("occupied", { file: path }, "cannot be written: it is being written already");
      }
      throw cannotWrite(path, thrown);
    }
    if (unfinished.size === 0) globalThis.addEventListener("unload", removeUnfinished);
    unfinished.add(this);
  }

  /**
   * Writes bytes, all of them, at the end of what was written last or at an offset.
   *
   * @throws {FailureError} when the disk is full or fails; the file is removed.
   * @throws {TypeError} after it was committed or removed.
   */
  write(bytes: Uint8Array, offset?: number): void {
    this.#refuseClosed();
    this.#attempt(() => {
      if (offset !== undefined) this.#file.seekSync(offset, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    });
  }

  /**
   * Brings the file to the disk and gives it its name.
   *
   * @throws {InputError} if something other than a regular file has that name; it is left alone.
   * @throws {FailureError} when the disk is full or fails.
   * @throws {TypeError} after it was committed or removed.
   */
  commit(): void {
    this.#refuseClosed();
    this.#attempt(() => {
      refuseSpecial(this.#path);
      this.#file.syncSync();
      Deno.renameSync(this.#temporary, this.#path);
    });
    this.#close();
  }

  /** Removes the file, unless {@linkcode commit} gave it its name. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#close();
    removeIfThere(this.#temporary);
  }

  #refuseClosed(): void {
    if (this.#closed) throw new TypeError(`${this.#path}: nothing is being written: it was committed or given up`);
  }

  #attempt(step: () => void): void {
    try {
      step();
    } catch (thrown) {
      this[Symbol.dispose]();
      throw cannotWrite(this.#path, thrown);
    }
  }

  #close(): void {
    this.#closed = true;
    this.#file.close();
    unfinished.delete(this);
    if (unfinished.size === 0) globalThis.removeEventListener("unload", removeUnfinished);
  }
}

/**
 * Writes a file, or replaces it.
 *
 * @param mode Permissions of the file, of which the process's mask takes away some.
 * @throws {InputError} where the path cannot be written, or has something else than a regular file.
 * @throws {FailureError} when the disk is full or fails.
 */
export function writeWhole(path: string, content: string | Uint8Array, mode?: number): void {
  using file = new TemporaryFile(path, mode);
  file.write(typeof content === "string" ? new TextEncoder().encode(content) : content);
  file.commit();
}

/**
 * Copies a file's bytes likewise, not its permissions; what a link leads to is copied, not the link.
 *
 * @throws As {@linkcode writeWhole}, also where the source cannot be read.
 */
export function copyWhole(from: string, to: string): void {
  let source: StoredFile;
  try {
    source = openStored(from);
  } catch (thrown) {
    throw cannotWrite(to, thrown);
  }
  using _source = source;
  using file = new TemporaryFile(to);
  const buffer = new Uint8Array(COPY_BYTES);
  for (let got = source.readSync(buffer); got !== null; got = source.readSync(buffer)) {
    file.write(buffer.subarray(0, got));
  }
  file.commit();
}

/**
 * Opens a regular file to read and to append to it, or starts it. A link of that name is not followed: what it leads to
 * is not ours.
 *
 * @throws {InputError} where the path cannot be written, or has something else than a regular file.
 */
export function openToAppend(path: string): Deno.FsFile {
  const access = { read: true, append: true } as const;
  try {
    return Deno.openSync(path, { ...access, createNew: true });
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.AlreadyExists)) throw cannotWrite(path, thrown);
  }
  // Before the file is opened, which waits where it is a pipe, and after, when no other can take its place.
  const seen = refuseSpecial(path);
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, access);
  } catch (thrown) {
    throw cannotWrite(path, thrown);
  }
  const opened = file.statSync();
  if (opened.ino === seen?.ino && opened.dev === seen?.dev) return file;
  file.close();
  throw InputError.saying("changed", { file: path }, "cannot be written: another file took its place");
}

/**
 * Refuses a path that has anything but a regular file, and gives what `lstat` says of the file; null where there is
 * none.
 *
 * @throws {InputError} naming what is there.
 */
export function refuseSpecial(path: string): Deno.FileInfo | null {
  let found: Deno.FileInfo;
  try {
    found = Deno.lstatSync(path);
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return null;
    throw cannotWrite(path, thrown);
  }
  if (found.isFile) return found;
  throw InputError.of("unreadable", { file: path, name: "cannot be written" }, "a regular file or none", kindOf(found));
}

/** What is in a place, as messages say that it was got. */
export function kindOf({ isFile, isDirectory, isSymlink }: FileFacts): string {
  return isFile ? "a file" : isDirectory ? "a directory" : isSymlink ? "a link" : "a device or pipe";
}

/** Removes a file, if it is there. */
export function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
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

/** System errors of a path that cannot be a file's, or not there, for which Deno has no class. */
const MISTAKEN_CODES = ["ENAMETOOLONG", "EROFS", "EISDIR"];

/**
 * Who is to blame: the path (exit code 2) or the disk (exit code 1). A permission that Deno lacks is passed on as it
 * is.
 */
export function cannotWrite(path: string, thrown: unknown): unknown {
  if (thrown instanceof Deno.errors.NotCapable || thrown instanceof InputError) return thrown;
  const { NotFound, NotADirectory, PermissionDenied, AlreadyExists, FilesystemLoop } = Deno.errors;
  const mistakes = [NotFound, NotADirectory, PermissionDenied, AlreadyExists, FilesystemLoop];
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : null;
  // Of an empty path Deno says what no class and no code tells.
  const mistaken = path === "" || mistakes.some((mistake) => thrown instanceof mistake) ||
    MISTAKEN_CODES.some((one) => one === code);
  const problem = `cannot be written: ${systemReason(thrown)}`;
  return mistaken ? InputError.saying("unreadable", { file: path }, problem) : new FailureError(`${path}: ${problem}`);
}
