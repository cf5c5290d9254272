/**
 * Where the program's own files lie: the embedded model, the WASM module, worker scripts, GPU code objects.
 *
 * In a checkout and in a `deno compile` binary this script is `<root>/src/assets.ts`; in the bundle of the
 * self-extracting binary it is part of a script that lies in the root itself. Everything else keeps its repository path
 * below the root, but that bundled scripts are JavaScript.
 */
const own = "src/assets.ts";
const bundled = !import.meta.url.endsWith(own);
const root = bundled ? new URL("./", import.meta.url).href : import.meta.url.slice(0, -own.length);

/** Whether this is a standalone binary, of either kind: its user does not start Deno, and gives it no flags. */
export const STANDALONE: boolean = bundled || Deno.build.standalone;

/** Whether the program's files lie on a server, as those of a published package do: imported they can be, not read. */
export const FETCHED: boolean = !root.startsWith("file:");

/** URL of one of the program's own files or directories, by its path in the repository. */
export function asset(path: string): URL {
  return new URL(bundled ? path.replace(/\.ts$/, ".js") : path, root);
}

/**
 * Whether a path leads into an executable that `deno compile` made: Deno can read it, but the system knows no such
 * file.
 */
export function isVirtual(path: string): boolean {
  return Deno.build.standalone && `file://${path}`.startsWith(root);
}
