/** The standalone binary that `deno compile` makes; it needs denort, Deno's runtime without its tools. */
import { dirname } from "node:path";
import { BUILT_FROM } from "../../src/cli/version.ts";
import { dataFiles, ENTRY_POINTS, inRepository, ROOT } from "./files.ts";
import { PERMISSIONS, WRITE_PERMISSION } from "./launch.ts";

/** A download of denort that takes longer is given up, in milliseconds. */
const PATIENCE_MS = 180_000;

/**
 * Where denort lies on this machine: in DENORT_BIN or in Deno's cache; null where `deno compile` would have to download it.
 *
 * @param environment For tests.
 */
export async function localDenort(environment: (name: string) => string | undefined = (name) => Deno.env.get(name)) {
  const named = environment("DENORT_BIN");
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
 * @param revision What `--version` shall say of the source.
 * @param denort What DENORT_BIN is set to, if given.
 * @throws {Error} with Deno's reason if it cannot; mostly because denort cannot be had.
 */
export async function denoCompile(out: string, revision: string, denort?: string): Promise<void> {
  // What is embedded must lie in the repository.
  const note = inRepository(BUILT_FROM);
  Deno.mkdirSync(dirname(note), { recursive: true });
  Deno.writeTextFileSync(note, `${revision}\n`);
  const [main, ...workers] = ENTRY_POINTS;
  const included = [...workers, ...dataFiles(), BUILT_FROM].flatMap((path) => ["--include", path]);
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "compile",
      "--frozen",
      "--exclude-unused-npm",
      ...PERMISSIONS,
      // The command line is not known when this is decided; the program narrows it to --out, or gives it up.
      WRITE_PERMISSION,
      ...included,
      `--output=${out}`,
      main!,
    ],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...(denort === undefined ? {} : { DENORT_BIN: denort }) },
    stdout: "null",
    signal: AbortSignal.timeout(PATIENCE_MS),
  }).output();
  if (!success) throw new Error(cause(new TextDecoder().decode(stderr)));
}

/** Deno says what it does line by line, and why it failed behind "error:", or in a numbered list of causes. */
function cause(text: string): string {
  const download = /error sending request for url \(.*?\)/.exec(text)?.[0];
  if (download !== undefined) return `denort is neither in DENORT_BIN nor in Deno's cache, and cannot be downloaded`;
  return /^error: (.*)$/m.exec(text)?.[1] ?? (text.trim().split("\n").at(-1) || "deno compile was given up");
}
