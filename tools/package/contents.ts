/**
 * The files of a standalone binary, of either kind: bundled scripts, data, and the note of what they were built from.
 */
import { BUILT_FROM } from "../../src/cli/version.ts";
import { bundle } from "./bundle.ts";
import { dataFiles, inRepository } from "./files.ts";
import type { TarEntry } from "./tar.ts";

/**
 * All files that the program consists of, at the paths where `asset()` looks for them.
 *
 * @param revision What `--version` shall say of the source.
 * @throws {Error} if the program cannot be bundled or a file is missing.
 */
export async function contents(revision: string): Promise<TarEntry[]> {
  return [
    ...await bundle(),
    ...dataFiles().map((path) => ({ path, bytes: Deno.readFileSync(inRepository(path)) })),
    { path: BUILT_FROM, bytes: new TextEncoder().encode(`${revision}\n`) },
  ];
}
