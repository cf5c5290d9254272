/** Watches which bytes of which files are read, whoever reads them. */

/** A stretch of a file that was read. */
export interface ReadRange {
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * Runs `act` and gives every stretch that it read of files that it opened. Only synchronous reads are seen, and no
 * mappings; whatever else could read is refused meanwhile, so that nothing is missed in silence.
 */
export function recordReads<T>(act: () => T): { result: T; reads: ReadRange[] } {
  const reads: ReadRange[] = [];
  const places = new WeakMap<Deno.FsFile, { readonly path: string; at: number }>();
  const prototype = Deno.FsFile.prototype;
  const { openSync, readFileSync, dlopen } = Deno, { readSync, seekSync } = prototype;
  const refused = (): never => {
    throw new Error("a reading that is not recorded");
  };
  const placeOf = (file: Deno.FsFile) => places.get(file) ?? refused();
  Object.assign(Deno, {
    openSync: (path: string | URL, options?: Deno.OpenOptions) => {
      const file = openSync(path, options);
      places.set(file, { path: String(path), at: 0 });
      return file;
    },
    readFileSync: refused,
    dlopen: refused,
  });
  prototype.seekSync = function (offset, whence) {
    return placeOf(this).at = seekSync.call(this, offset, whence);
  };
  prototype.readSync = function (into) {
    const place = placeOf(this), bytes = readSync.call(this, into);
    if (bytes !== null && bytes > 0) reads.push({ path: place.path, offset: place.at, bytes });
    place.at += bytes ?? 0;
    return bytes;
  };
  try {
    return { result: act(), reads };
  } finally {
    Object.assign(Deno, { openSync, readFileSync, dlopen });
    Object.assign(prototype, { readSync, seekSync });
  }
}
