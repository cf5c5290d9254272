/**
 * Builds the standalone binary and, beside it, a file with its SHA-256.
 *
 *     deno task compile [--variant auto|deno-compile|self-extracting] [--out dist/mxoss]
 *
 * `auto` takes `deno compile` where denort can be had (DENORT_BIN, Deno's cache, the network), else the self-extracting form.
 */
import { basename, dirname, resolve } from "node:path";
import { reason } from "../src/errors.ts";
import { revision } from "../src/cli/version.ts";
import { parseArgs } from "../src/cli/parse_args.ts";
import { denoCompile } from "./package/deno_compile.ts";
import { inRepository, ROOT } from "./package/files.ts";
import { selfExtracting } from "./package/self_extracting.ts";

/** The kinds of binary. */
export const VARIANTS = ["deno-compile", "self-extracting"] as const;
/** One of {@linkcode VARIANTS}. */
export type Variant = (typeof VARIANTS)[number];

/**
 * Builds one kind of binary at a path; it appears there when it is whole.
 *
 * @throws {Error} if it cannot be built.
 */
export async function build(variant: Variant, out: string): Promise<void> {
  await publish(out, async (path) => {
    if (variant === "deno-compile") await denoCompile(path, source());
    else await Deno.writeFile(path, await selfExtracting(source()), { mode: 0o755 });
  });
}

/**
 * Has a file made, and puts it and its hash where they belong. Both are made in a new directory that nobody else can enter, so that no
 * link that lies in wait under a name to be is followed.
 *
 * @param out Where the file goes; the hash goes to the same path with `.sha256` behind it.
 * @param make Writes the file at the absolute path that it is given.
 */
export async function publish(out: string, make: (path: string) => Promise<void>): Promise<void> {
  const parent = dirname(resolve(out)), name = basename(out);
  Deno.mkdirSync(parent, { recursive: true });
  const dir = Deno.makeTempDirSync({ dir: parent, prefix: `.${name}-` });
  try {
    await make(`${dir}/${name}`);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", Deno.readFileSync(`${dir}/${name}`))).toHex();
    Deno.writeTextFileSync(`${dir}/${name}.sha256`, `${hash}  ${name}\n`);
    for (const file of [name, `${name}.sha256`]) Deno.renameSync(`${dir}/${file}`, `${parent}/${file}`);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** The revision of the source; git, where it is, knows whether it is that. */
function source(): string {
  return `${revision()}${changed() ? "-dirty" : ""}`;
}

function changed(): boolean {
  try {
    const { success, stdout } = new Deno.Command("git", {
      args: ["--no-optional-locks", "status", "--porcelain", "--untracked-files=no"],
      cwd: ROOT,
      stderr: "null",
    }).outputSync();
    return success && stdout.length > 0;
  } catch {
    return false;
  }
}

async function main(): Promise<number> {
  const usage = "usage: deno task compile [--variant auto|deno-compile|self-extracting] [--out FILE]";
  const known = ["variant", "out"];
  let stranger: string | undefined;
  const given = parseArgs(Deno.args, {
    string: ["_", ...known],
    boolean: [],
    collect: [],
    alias: {},
    unknown: (argument) => {
      stranger ??= argument;
    },
  });
  const variant = given["variant"] ?? "auto", out = given["out"] ?? inRepository("dist/mxoss");
  if (stranger !== undefined || typeof out !== "string" || !["auto", ...VARIANTS].includes(variant as string)) {
    console.error(usage);
    return 2;
  }
  const tried: readonly Variant[] = variant === "auto" ? VARIANTS : [variant as Variant];
  for (const [i, kind] of tried.entries()) {
    try {
      await build(kind, out);
      console.log(`${out}: ${kind}, ${(Deno.statSync(out).size / 1e6).toFixed(1)} MB`);
      return 0;
    } catch (thrown) {
      console.error(`${i + 1 < tried.length ? "note" : "error"}: ${kind}: ${reason(thrown)}`);
    }
  }
  return 1;
}

if (import.meta.main) Deno.exit(await main());
