/** The standalone binary that `deno compile` makes; it needs denort, Deno's runtime without its tools. */
import { dirname } from "node:path";
import { bundled } from "./bundle.ts";
import { ENTRY_POINTS } from "./files.ts";
import { NET_PERMISSION, PERMISSIONS, SEALED, WRITE_PERMISSION } from "./launch.ts";
import type { TarEntry } from "./tar.ts";

/** The systems that `deno compile` makes programs for, as it names them. */
export const TARGETS = [
  "x86_64-unknown-linux-gnu",
  "aarch64-unknown-linux-gnu",
  "x86_64-apple-darwin",
  "aarch64-apple-darwin",
  "x86_64-pc-windows-msvc",
] as const;
/** One of {@linkcode TARGETS}. */
export type Target = (typeof TARGETS)[number];

/** What a binary is made for, and of. */
export interface CompileOptions {
  /** Without it: this system. */
  readonly target?: Target | undefined;
  /** What DENORT_BIN is set to, if given. */
  readonly denort?: string;
}

/** A download of denort that takes longer is given up, in milliseconds. */
const PATIENCE_MS = 180_000;

/**
 * Where denort lies on this machine: in DENORT_BIN or in Deno's cache; null where `deno compile` would have to download
 * it.
 *
 * @param named What DENORT_BIN is set to.
 */
export async function localDenort(named: string | undefined = Deno.env.get("DENORT_BIN")): Promise<string | null> {
  if (named !== undefined) return named;
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"], stderr: "null" }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string };
  const zip = `${denoDir}/dl/release/v${Deno.version.deno}/denort-${Deno.build.target}.zip`;
  try {
    return Deno.statSync(zip).isFile ? zip : null;
  } catch {
    return null;
  }
}

/**
 * Compiles the program to `out`.
 *
 * @param out Absolute path.
 * @param files What it consists of: see `contents()`.
 * @throws {Error} with Deno's reason if it cannot; mostly because denort cannot be had.
 */
export async function denoCompile(
  out: string,
  files: readonly TarEntry[],
  { target, denort }: CompileOptions = {},
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "mxoss-compile-" });
  try {
    for (const { path, bytes } of files) {
      await Deno.mkdir(dirname(`${dir}/${path}`), { recursive: true });
      await Deno.writeFile(`${dir}/${path}`, bytes);
    }
    const main = bundled(ENTRY_POINTS[0]!);
    const included = files.filter(({ path }) => path !== main).flatMap(({ path }) => ["--include", path]);
    // The command line is not known when this is decided; the program narrows writing to --out and listening to one
    // address, or gives them up.
    const permissions = [...PERMISSIONS, WRITE_PERMISSION, NET_PERMISSION];
    const flags = [...SEALED, ...permissions, ...(target === undefined ? [] : ["--target", target])];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["compile", "--no-check", ...flags, ...included, `--output=${out}`, main],
      cwd: dir,
      env: { NO_COLOR: "1", ...(denort === undefined ? {} : { DENORT_BIN: denort }) },
      stdout: "null",
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    if (!success) throw new Error(cause(new TextDecoder().decode(stderr)));
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Deno says what it does line by line, and why it failed after "error:" or in a numbered list of causes. */
function cause(text: string): string {
  if (text.includes("error sending request for url")) {
    return "denort is neither in DENORT_BIN nor in Deno's cache, and cannot be downloaded";
  }
  return /^error: (.*)$/m.exec(text)?.[1] ?? (text.trim().split("\n").at(-1) || "deno compile was given up");
}
