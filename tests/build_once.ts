/**
 * Files that tests build and keep in the checkout, where git ignores them, under a name that says what they were built
 * from.
 */

/** Where they are kept: not in the system's folder for temporary files, in which a run of the tests leaves nothing. */
export const BUILD_FOLDER = new URL("../.cache/tests", import.meta.url).pathname;

/**
 * Builds a file unless it is there. Of several threads and processes that ask at the same time one builds, and the
 * others wait for it.
 *
 * @param path Where the file shall lie; its folder is made.
 * @param build Writes the file at the path it is given, which is renamed when that is done: nobody sees half of it.
 * @returns The path.
 */
export function buildOnce(path: string, build: (partial: string) => void): string {
  if (exists(path)) return path;
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  using lock = Deno.openSync(`${path}.lock`, { create: true, write: true });
  // Closing the file gives the lock back.
  lock.lockSync(true);
  if (exists(path)) return path;
  const partial = `${path}.${crypto.randomUUID()}`;
  build(partial);
  Deno.renameSync(partial, path);
  return path;
}

/**
 * A shared library's copy for this test file alone. The files of a parallel run are threads of one process, where a
 * library that is loaded twice from one path is there once, with one state for all. The copy is gone when the file's
 * tests have ended.
 */
export function ownCopy(path: string): string {
  let copy = copies.get(path);
  if (copy === undefined) {
    const folder = Deno.makeTempDirSync({ prefix: "mxoss-test-" });
    globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    copy = `${folder}/${path.slice(path.lastIndexOf("/") + 1)}`;
    Deno.copyFileSync(path, copy);
    copies.set(path, copy);
  }
  return copy;
}
const copies = new Map<string, string>();

/** Runs a compiler. */
export function compile(compiler: string, args: string[], cwd = "."): void {
  const command = new Deno.Command(compiler, { args, cwd, stdout: "null", stderr: "piped" });
  const { success, stderr } = command.outputSync();
  if (!success) throw new Error(`${compiler} ${args.join(" ")}\n${new TextDecoder().decode(stderr)}`);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
