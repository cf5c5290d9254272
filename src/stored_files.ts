/**
 * Files that can be opened: those of the disk, and those that the program holds in memory under an address of its own,
 * because what it was fetched from cannot be read as a disk can. A held file answers as one of the disk does.
 */

/** What is asked of an open file. */
export type StoredFile = Pick<Deno.FsFile, "read" | "readSync" | "seek" | "seekSync" | "close"> & Disposable & {
  /** Size in bytes. */
  statSync(): { readonly size: number };
};

/** What is asked about a file or directory. */
export type FileFacts = Pick<
  Deno.FileInfo,
  "isFile" | "isDirectory" | "isSymlink" | "size" | "dev" | "ino" | "mtime" | "ctime"
>;

const held = new Map<string, Uint8Array<ArrayBuffer>>();

/** Holds a file under an address that no path of a disk can be. */
export function hold(address: string, bytes: Uint8Array<ArrayBuffer>): void {
  held.set(address, bytes);
}

/** Whether a file is held in memory: the system knows none of its path. */
export function isHeld(path: string): boolean {
  return held.has(path);
}

/** Like `Deno.openSync` to read. */
export function openStored(path: string): StoredFile {
  const bytes = held.get(path);
  return bytes === undefined ? Deno.openSync(path) : new HeldFile(bytes);
}

/** Like `Deno.readFileSync`. */
export function readStored(path: string): Uint8Array<ArrayBuffer> {
  return held.get(path) ?? Deno.readFileSync(path);
}

/** Like `Deno.statSync`. */
export function statStored(path: string): FileFacts {
  return heldFacts(path) ?? Deno.statSync(path);
}

/** Like `Deno.lstatSync`. */
export function lstatStored(path: string): FileFacts {
  return heldFacts(path) ?? Deno.lstatSync(path);
}

/** Like `Deno.readDirSync`, as a list. */
export function entriesStored(path: string): Pick<Deno.DirEntry, "name" | "isDirectory">[] {
  if (!holdsBelow(path)) return [...Deno.readDirSync(path)];
  const rests = Array.from(held.keys()).filter((one) => one.startsWith(`${path}/`)).map((one) =>
    one.slice(path.length + 1)
  );
  const names = new Set(rests.map((rest) => rest.split("/")[0]!));
  return Array.from(names, (name) => ({ name, isDirectory: !rests.includes(name) }));
}

function holdsBelow(path: string): boolean {
  for (const one of held.keys()) if (one.startsWith(`${path}/`)) return true;
  return false;
}

/** What is asked about a held file, a directory of such, or a file that one of those lacks; null for any other path. */
function heldFacts(path: string): FileFacts | null {
  // Where permissions are limited, Deno says so of an empty path by an error of no class, before it asks the system.
  if (path === "") throw new Deno.errors.NotFound(path);
  const bytes = held.get(path), isDirectory = bytes === undefined && holdsBelow(path);
  if (bytes === undefined && !isDirectory) {
    const above = path.slice(0, path.lastIndexOf("/"));
    if (holdsBelow(above)) throw new Deno.errors.NotFound(path);
    return null;
  }
  const times = { mtime: null, ctime: null };
  return { isFile: !isDirectory, isDirectory, isSymlink: false, size: bytes?.length ?? 0, dev: 0, ino: null, ...times };
}

class HeldFile implements StoredFile {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  seekSync(offset: number | bigint, whence: Deno.SeekMode): number {
    const from = [0, this.#at, this.bytes.length][whence]!;
    return this.#at = from + Number(offset);
  }

  readSync(into: Uint8Array): number | null {
    const part = this.bytes.subarray(this.#at, this.#at + into.length);
    if (part.length === 0) return into.length === 0 ? 0 : null;
    into.set(part);
    this.#at += part.length;
    return part.length;
  }

  seek(offset: number | bigint, whence: Deno.SeekMode): Promise<number> {
    return Promise.resolve(this.seekSync(offset, whence));
  }

  read(into: Uint8Array): Promise<number | null> {
    return Promise.resolve(this.readSync(into));
  }

  statSync(): { readonly size: number } {
    return { size: this.bytes.length };
  }

  close(): void {}

  [Symbol.dispose](): void {}
}
