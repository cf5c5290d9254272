/**
 * Files that tests build and keep in the checkout, where git ignores them, under a name that says what they were built
 * from.
 */
import { removeIfThere } from "../src/checkpoint/atomic.ts";
import { isFile } from "./exists.ts";

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
  if (isFile(path)) return path;
  Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  using lock = Deno.openSync(`${path}.lock`, { create: true, write: true });
  // Closing the file gives the lock back.
  lock.lockSync(true);
  if (isFile(path)) return path;
  const partial = `${path}.${crypto.randomUUID()}`;
  build(partial);
  Deno.renameSync(partial, path);
  return path;
}

/**
 * A shared library's copy for this test file alone. The files of a parallel run are threads of one process, where a
 * library that is loaded twice from one path is there once, with one state for all. The copy is gone when the file's
 * tests have ended.
 *
 * @param name What it is called; copies of other names are other libraries.
 */
export function ownCopy(path: string, name = path.slice(path.lastIndexOf("/") + 1)): string {
  const key = `${path}\0${name}`;
  let copy = copies.get(key);
  if (copy === undefined) {
    const folder = Deno.makeTempDirSync({ prefix: "mxoss-test-" });
    globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    copy = `${folder}/${name}`;
    Deno.copyFileSync(path, copy);
    copies.set(key, copy);
  }
  return copy;
}
const copies = new Map<string, string>();

/** Runs a compiler. */
export function compile(compiler: string, args: readonly string[], cwd = "."): void {
  const command = new Deno.Command(compiler, { args: [...args], cwd, stdout: "null", stderr: "piped" });
  const { success, stderr } = command.outputSync();
  if (!success) throw new Error(`${compiler} ${args.join(" ")}\n${new TextDecoder().decode(stderr)}`);
}

/**
 * Compiles a shared library from parts, all parts at the same time: other tests wait for it.
 *
 * @param flags What all parts are compiled with.
 * @param parts The arguments of each: a source, perhaps with flags of its own.
 */
export function compileShared(
  compiler: string,
  flags: readonly string[],
  parts: readonly (readonly string[])[],
  out: string,
  cwd = ".",
): void {
  const objects = parts.map((_, i) => `${out}.${i}.o`);
  const lines = parts.map((part, i) => `${words([compiler, ...flags, "-fPIC", "-c", ...part, "-o", objects[i]!])} &`);
  // A wait for all says nothing of any; the link misses what did not come to be.
  const link = words([compiler, "-shared", ...objects, "-o", out]);
  try {
    compile("sh", ["-c", `${lines.join("\n")}\nwait\n${link}`], cwd);
  } finally {
    for (const object of objects) removeIfThere(object);
  }
}

/** Words of a shell's command line. */
const words = (all: readonly string[]) => all.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
