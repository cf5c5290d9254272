/**
 * The program's own data at run time. In a checkout, a bundle or a binary they are files; fetched by https they cannot
 * be read, and are imported instead: `tools/jsr.ts` writes them as JSON modules, each with the files that are needed
 * together.
 */
import { fileURLToPath } from "node:url";
import { asset, FETCHED } from "./assets.ts";
import { FailureError, reason } from "./errors.ts";
import type { Pack } from "./packs.ts";
import { hold } from "./stored_files.ts";

/** Files that are imported together, by name. */
export type PackName = "model" | "kernels" | "kernels_cuda" | "kernels_hip" | "goldens";

/** Where the model that comes with the program lies, in the repository. */
export const OWN_MODEL = "models/tiny-gpt-oss";

/** Path of one of the program's own data files or directories, for what opens files: {@linkcode fetchOwn} first. */
export function ownPath(path: string): string {
  return FETCHED ? asset(path).href : fileURLToPath(asset(path));
}

const fetched = new Map<PackName, Promise<void>>();

/**
 * Makes data files ready to be opened: of a program that is fetched by https they are imported now, by each thread that
 * opens them, and kept by Deno like any script. Otherwise nothing is done.
 *
 * @throws {FailureError} where the package lacks them.
 */
export async function fetchOwn(...names: readonly PackName[]): Promise<void> {
  if (!FETCHED) return;
  for (const name of names) {
    let done = fetched.get(name);
    if (done === undefined) fetched.set(name, done = importPack(name));
    await done;
  }
}

/** The same of the program's own model, where files of it are among these: what a thread was sent to open. */
export async function fetchOwnOf(files: readonly { readonly path: string }[]): Promise<void> {
  if (FETCHED && files.some(({ path }) => path.startsWith(ownPath(OWN_MODEL)))) await fetchOwn("model");
}

async function importPack(name: PackName): Promise<void> {
  let pack: Pack;
  try {
    // An address that Deno cannot see beforehand: what it sees it fetches at every start, whether or not it is needed.
    pack = (await import(asset(`packs/${name}.json`).href, { with: { type: "json" } })).default as Pack;
  } catch (thrown) {
    throw new FailureError(`the package that was fetched lacks its data (${name}): ${reason(thrown)}`);
  }
  const { unpack } = await import("./packs.ts");
  for (const [path, bytes] of unpack(pack)) hold(ownPath(path), bytes);
}
