/** The table of what ran on the ISA emulator, for the documentation. */
import type { ManifestArchitecture } from "../../kernels/manifest.ts";

/** What became of the cases of an entry point. */
export interface Ran {
  readonly cases: number;
  readonly agree: number;
  /** The largest deviation in units of what is allowed; -1: not finite. */
  readonly worst: number;
  /** SHA-256 of the code object that ran: what is said is said of this one only. */
  readonly object: string;
}

/** tests/kernels/isa_results.json. */
export interface IsaResults {
  /** Commit of the emulator's checkout. */
  readonly emulator: string;
  /** By architecture and entry point. */
  readonly architectures: Readonly<Record<string, Readonly<Record<string, Ran>>>>;
}

/** Hash of the file that an entry point is in; undefined where there is none. */
export function objectOf({ entries, files }: ManifestArchitecture, entry: string): string | undefined {
  return files[entries[entry]?.file ?? ""];
}

/** The table in a file, or nothing. */
export function readResults(path: string): IsaResults | null {
  try {
    return JSON.parse(Deno.readTextFileSync(path)) as IsaResults;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return null;
  }
}

/** Writes what ran of one architecture into the table, beside what ran before of objects that are as they were. */
export async function mergeResults(
  path: string,
  arch: string,
  manifest: ManifestArchitecture,
  checkout: string,
  results: Readonly<Record<string, Ran>>,
): Promise<void> {
  const git = await new Deno.Command("git", { args: ["-C", checkout, "rev-parse", "HEAD"] }).output();
  const emulator = `tinygrad ${new TextDecoder().decode(git.stdout).trim().slice(0, 12)}`;
  const old = readResults(path), before = old?.emulator === emulator ? old.architectures : {};
  const kept = Object.entries(before[arch] ?? {}).filter(([entry, { object }]) => object === objectOf(manifest, entry));
  const all = { ...Object.fromEntries(kept), ...results };
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => a < b ? -1 : 1));
  const merged: IsaResults = { emulator, architectures: { ...before, [arch]: sorted } };
  await Deno.writeTextFile(path, JSON.stringify(merged, null, 1) + "\n");
}
