/**
 * Writes the package for npm as a directory, which `npm pack` makes a file of.
 *
 *     deno task npm [DIR]
 *     npm pack ./dist/npm
 *
 * What lies in the directory before is removed, unless it is no such package.
 */
import { dirname } from "node:path";
import { reason } from "../src/errors.ts";
import { contents } from "./package/contents.ts";
import { inRepository } from "./package/files.ts";
import { npmPackage } from "./package/npm_package.ts";
import { source } from "./package/source.ts";

/**
 * Writes the package.
 *
 * @returns Bytes of its files.
 * @throws {Error} if it cannot be made, or something else lies there.
 */
export async function writePackage(dir: string): Promise<number> {
  refuseOther(dir);
  const files = npmPackage(await contents(source()));
  Deno.removeSync(dir, { recursive: true });
  for (const { path, bytes, executable } of files) {
    Deno.mkdirSync(dirname(`${dir}/${path}`), { recursive: true });
    Deno.writeFileSync(`${dir}/${path}`, bytes, { mode: executable ? 0o755 : 0o644 });
  }
  return files.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

/** Makes a directory, or takes one that is empty or holds what an earlier run has written. */
function refuseOther(dir: string): void {
  Deno.mkdirSync(dir, { recursive: true });
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name);
  if (names.length === 0) return;
  const manifest = names.includes("package.json") ? Deno.readTextFileSync(`${dir}/package.json`) : "{}";
  if ((JSON.parse(manifest) as { name?: unknown }).name === "mxoss") return;
  throw new Error(`${dir}: expected nothing, or a package of mxoss`);
}

if (import.meta.main) {
  const [dir = inRepository("dist/npm"), ...more] = Deno.args;
  if (more.length > 0 || dir.startsWith("-")) {
    console.error("usage: deno task npm [DIR]");
    Deno.exit(2);
  }
  try {
    console.log(`${dir}: ${(await writePackage(dir) / 1e6).toFixed(1)} MB`);
  } catch (thrown) {
    console.error(`error: ${reason(thrown)}`);
    Deno.exit(1);
  }
}
