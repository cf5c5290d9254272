/** What this program is: version, revision of its source, and hashes of the compiled code that it runs. */
import { WASM_PATH } from "../wasm.ts";
import manifest from "../../deno.json" with { type: "json" };
import { asset, FETCHED } from "../assets.ts";
import { printableLine } from "../printable.ts";

/** Version of the program, from deno.json. */
export const VERSION: string = manifest.version;

/** What tools/compile.ts puts into a standalone binary: one line, the revision that it was built from. */
export const BUILT_FROM = "dist/revision.txt";

/** A name inside .git that may be looked up: no way out of the directory. */
const REF = /^refs\/[\w.\-/]+$/;
const OBJECT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/**
 * What `--version` prints: the version in the first line, then what tells two builds of one version apart.
 *
 * @throws {Deno.errors.NotFound} if the program is incomplete.
 */
export async function versionReport(): Promise<string> {
  // What a server sends, Deno has checked against the package's own list; it cannot be read as files.
  if (FETCHED) return `mxoss ${VERSION}\nfetched from ${asset("").href}\n`;
  return [
    `mxoss ${VERSION}`,
    `revision: ${revision()}`,
    `wasm: sha256 ${await sha256(asset(WASM_PATH))}`,
    `gpu kernels: ${await kernels()}`,
    "",
  ].join("\n");
}

async function kernels(): Promise<string> {
  try {
    return `sha256 ${await sha256(asset("kernels/build/manifest.json"))} (of their manifest)`;
  } catch (thrown) {
    if (thrown instanceof Deno.errors.NotFound) return "none";
    throw thrown;
  }
}

async function sha256(url: URL): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await Deno.readFile(url))).toHex();
}

/**
 * The git revision of the source: of the checkout that runs, or the one that the binary was built from (with `-dirty`
 * appended where files differed from it); "unknown" in a copy without either.
 */
export function revision(root: URL = asset("")): string {
  // In a checkout the file may be left over from an older build.
  return checkedOut(root) ?? printableLine(read(new URL(BUILT_FROM, root)) ?? "unknown");
}

/** The commit of a checkout, read from its files: git itself may be absent, and running it would take a permission. */
function checkedOut(root: URL): string | null {
  const git = gitDirectory(root);
  const head = read(new URL("HEAD", git));
  const ref = /^ref: (.+)$/.exec(head ?? "")?.[1];
  if (ref === undefined) return isObject(head);
  if (!REF.test(ref) || ref.includes("..")) return null;
  // A linked working tree has a HEAD of its own and shares the branches.
  const shared = new URL(`${read(new URL("commondir", git)) ?? "."}/`, git);
  const loose = read(new URL(ref, shared));
  if (loose !== null) return isObject(loose);
  const packed = read(new URL("packed-refs", shared))?.split("\n").find((line) => line.endsWith(` ${ref}`));
  return isObject(packed?.split(" ")[0] ?? null);
}

/** `.git` is a directory, or in a linked working tree a file that names one. */
function gitDirectory(root: URL): URL {
  const link = /^gitdir: (.+)$/.exec(read(new URL(".git", root)) ?? "")?.[1];
  return new URL(`${link ?? ".git"}/`, root);
}

function isObject(text: string | null): string | null {
  return text !== null && OBJECT.test(text) ? text : null;
}

/** A small file's text without the line break at its end; null where it cannot be had, for whatever reason. */
function read(url: URL): string | null {
  try {
    return Deno.readTextFileSync(url).trimEnd();
  } catch {
    return null;
  }
}
