/**
 * Whether files are still those that were opened: numbers must never be reported with the name of weights that they
 * were not computed with.
 */
import { statStored } from "../stored_files.ts";
import { InputError } from "../errors.ts";
import { readable } from "../read.ts";

/** What changes when a file is replaced, overwritten or cut; null where the system does not say. Links are followed. */
export interface FileIdentity {
  readonly path: string;
  readonly device: number;
  readonly inode: number | null;
  readonly bytes: number;
  /**
   * Milliseconds since 1970: of the last write, and of the last change of anything about the file (seconds on some
   * systems).
   */
  readonly modified: number | null;
  readonly changed: number | null;
}

/** What differs, in words. */
const WORDS = {
  device: "it is another file",
  inode: "it is another file",
  bytes: "its size",
  modified: "its contents were written",
  changed: "its times, owner or permissions",
} as const;

/**
 * A file as it is now.
 *
 * @throws {InputError} if it is not there.
 */
export function identify(path: string): FileIdentity {
  const { dev, ino, size, mtime, ctime } = readable(path, () => statStored(path));
  return {
    ...{ path, device: dev, inode: ino, bytes: size },
    ...{ modified: mtime?.getTime() ?? null, changed: ctime?.getTime() ?? null },
  };
}

/**
 * Costs a system call for each file: cheap enough to be asked before every result that is kept.
 *
 * @throws {InputError} naming the first file that has changed.
 */
export function refuseChanged(files: readonly FileIdentity[]): void {
  for (const before of files) {
    const now = identify(before.path);
    const differs = (["device", "inode", "bytes", "modified", "changed"] as const).find((key) =>
      now[key] !== before[key]
    );
    if (differs === undefined) continue;
    throw InputError.saying(
      "changed",
      { file: before.path },
      `changed while it was in use (${
        WORDS[differs]
      }); what was computed since is not kept, as nobody could say of which weights it is`,
    );
  }
}
