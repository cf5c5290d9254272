/**
 * Builds the standalone binary and, beside it, a file with its SHA-256.
 *
 *     deno task compile [--variant auto|deno-compile|self-extracting] [--target TARGET] [--out dist/mxoss]
 *
 * `--target` makes the first kind for another system, by the names that `deno compile` has for them. `auto` takes `deno
 * compile` where denort can be had (DENORT_BIN, Deno's cache, the network), else the self-extracting form.
 */
import { basename, dirname, resolve } from "node:path";
import { reason } from "../src/errors.ts";
import { parseArgs } from "../src/cli/parse_args.ts";
import { contents } from "./package/contents.ts";
import { denoCompile, type Target, TARGETS } from "./package/deno_compile.ts";
import { inRepository } from "./package/files.ts";
import { source } from "./package/source.ts";
import { selfExtracting } from "./package/self_extracting.ts";

/** The kinds of binary. */
export const VARIANTS = ["deno-compile", "self-extracting"] as const;
/** One of {@linkcode VARIANTS}. */
export type Variant = (typeof VARIANTS)[number];

/** How a binary is built. */
export interface BuildOptions {
  /** The system that `deno-compile` makes it for; without it, this one. */
  readonly target?: Target | undefined;
  /** zlib's level for what extracts itself; without it, that of releases. */
  readonly level?: number;
}

/**
 * Builds one kind of binary at a path; it appears there when it is whole.
 *
 * @throws {Error} if it cannot be built.
 */
export async function build(variant: Variant, out: string, { target, level }: BuildOptions = {}): Promise<void> {
  await publish(out, async (path) => {
    const files = await contents(source());
    if (variant === "deno-compile") await denoCompile(path, files, { target });
    else await Deno.writeFile(path, await selfExtracting(files, level), { mode: 0o755 });
  });
}

/**
 * Has a file made, and puts it and its hash where they belong. Both are made in a new directory that nobody else can
 * enter, so that no link that lies in wait under a name to be is followed.
 *
 * @param out Where the file goes; the hash goes to the same path with `.sha256` appended.
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

const USAGE = `usage: deno task compile [--variant auto|deno-compile|self-extracting] [--target TARGET] [--out FILE]
targets, of deno-compile: ${TARGETS.join(", ")}`;

/** The command line, or null where it is wrong. */
export function parse(args: readonly string[]): { tried: readonly Variant[]; target?: Target; out: string } | null {
  const known = ["variant", "target", "out"];
  let stranger: string | undefined;
  const given = parseArgs([...args], {
    string: ["_", ...known],
    boolean: [],
    collect: [],
    alias: {},
    unknown: (argument) => {
      stranger ??= argument;
    },
  });
  const variant = given["variant"] ?? "auto", target = TARGETS.find((name) => name === given["target"]);
  // Windows starts what is called so.
  const out = given["out"] ?? inRepository(`dist/mxoss${target?.includes("windows") ? ".exe" : ""}`);
  // A name that is missing is an empty text.
  if (stranger !== undefined || typeof out !== "string" || out === "") return null;
  if (given["target"] !== undefined) {
    if (target === undefined || variant === "self-extracting") return null;
    return { tried: ["deno-compile"], target, out };
  }
  const tried = variant === "auto" ? VARIANTS : VARIANTS.filter((name) => name === variant);
  return tried.length === 0 ? null : { tried, out };
}

async function main(): Promise<number> {
  const parsed = parse(Deno.args);
  if (parsed === null) {
    console.error(USAGE);
    return 2;
  }
  const { tried, target, out } = parsed;
  for (const [i, kind] of tried.entries()) {
    try {
      await build(kind, out, { target });
      console.log(`${out}: ${kind}, ${(Deno.statSync(out).size / 1e6).toFixed(1)} MB`);
      return 0;
    } catch (thrown) {
      console.error(`${i + 1 < tried.length ? "note" : "error"}: ${kind}: ${reason(thrown)}`);
    }
  }
  return 1;
}

if (import.meta.main) Deno.exit(await main());
