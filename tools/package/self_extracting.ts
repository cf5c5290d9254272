/**
 * The standalone binary that needs nothing to be built but Deno itself: a shell script, followed by an archive of
 * everything.
 */
import { gzipSync } from "node:zlib";
import { VERSION } from "../../src/cli/version.ts";
import { REFUSE_CLOSED_STDOUT } from "./closed_stdout.ts";
import { NET_PERMISSION, PERMISSIONS, SEALED, WRITE_PERMISSION } from "./launch.ts";
import { concat, tar, type TarEntry } from "./tar.ts";

/** Hexadecimal digits of the archive's hash in the name of the directory that it is unpacked to. */
const ID_DIGITS = 16;
/** How the archive is compressed: by zlib's own default; level 9 takes twice as long for one percent. */
export const LEVEL = 6;
/** Paths that are one word of a shell as they are. */
const PLAIN = /^[\w./-]+$/;

/**
 * Builds the binary.
 *
 * @param files What it consists of, besides Deno: see `contents()`.
 * @param level zlib's.
 */
export async function selfExtracting(files: readonly TarEntry[], level = LEVEL): Promise<Uint8Array<ArrayBuffer>> {
  const deno = { path: "deno", bytes: Deno.readFileSync(Deno.execPath()), executable: true };
  return await wrap([deno, ...files], level);
}

/**
 * Puts the script before an archive of files.
 *
 * @throws {RangeError} for a path that cannot be in an archive, or that the script would take for more than one word.
 */
export async function wrap(files: readonly TarEntry[], level = LEVEL): Promise<Uint8Array<ArrayBuffer>> {
  for (const { path } of files) {
    if (!PLAIN.test(path)) throw new RangeError(`${path}: expected letters, digits and /._- only`);
  }
  const archive = tar(files);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", archive)).toHex();
  // node:zlib writes no time into the header.
  const payload = gzipSync(archive, { level });
  const template = Deno.readTextFileSync(new URL("stub.sh", import.meta.url));
  const script = fill(template, payload.length, {
    VERSION,
    ID: `${VERSION}-${hash.slice(0, ID_DIGITS)}`,
    FLAGS: [...SEALED, ...PERMISSIONS].join(" "),
    REFUSE_CLOSED_STDOUT,
    WRITE_PERMISSION,
    NET_PERMISSION,
    FILES: files.map(({ path }) => path).join(" "),
    MEGABYTES: `${Math.ceil(archive.length / 1e6)}`,
  });
  return concat([new TextEncoder().encode(script), payload]);
}

/** The script with its values; that of its own length depends on its own digits. */
function fill(template: string, payloadBytes: number, values: Readonly<Record<string, string>>): string {
  let bytes = template.length;
  while (true) {
    const all: Readonly<Record<string, string>> = {
      ...values,
      OFFSET: `${bytes + 1}`,
      SIZE: `${bytes + payloadBytes}`,
    };
    const script = template.replace(/@([A-Z_]+)@/g, (_, name: string) => all[name]!);
    const length = new TextEncoder().encode(script).length;
    if (length === bytes) return script;
    bytes = length;
  }
}
