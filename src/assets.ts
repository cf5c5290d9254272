/**
 * Where the program's own files lie: the embedded model, the WASM module, worker scripts, GPU code objects.
 *
 * In a checkout, in a `deno compile` binary and in the unpacked self-extracting binary, scripts lie below `<root>/src/` and the other files
 * beside it under their repository paths; so the root is what stands before the last `/src/` of this script's own URL.
 */
const root = import.meta.url.slice(0, import.meta.url.lastIndexOf("/src/") + 1);

/** URL of one of the program's own files or directories, by its path in the repository. */
export function asset(path: string): URL {
  return new URL(path, root);
}
