/** The table of what ran on the ISA emulator, for the documentation. */

/** tests/kernels/isa_results.json. */
export interface IsaResults {
  /** Of the kernel sources that were compiled. */
  readonly sourceHash: string;
  /** Commit of the emulator's checkout. */
  readonly emulator: string;
  /**
   * By architecture and entry point: cases, how many agree, and the largest deviation in units of what is allowed (-1:
   * not finite).
   */
  readonly architectures: Record<string, Record<string, { cases: number; agree: number; worst: number }>>;
}

/** Writes one architecture's results into the table, dropping what belongs to other sources. */
export async function mergeResults(
  path: string,
  arch: string,
  sourceHash: string,
  checkout: string,
  results: IsaResults["architectures"][string],
): Promise<void> {
  const git = await new Deno.Command("git", { args: ["-C", checkout, "rev-parse", "HEAD"] }).output();
  const emulator = `tinygrad ${new TextDecoder().decode(git.stdout).trim().slice(0, 12)}`;
  let old: IsaResults | null = null;
  try {
    old = JSON.parse(await Deno.readTextFile(path)) as IsaResults;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const kept = old?.sourceHash === sourceHash ? old.architectures : {};
  const merged: IsaResults = { sourceHash, emulator, architectures: { ...kept, [arch]: results } };
  await Deno.writeTextFile(path, JSON.stringify(merged, null, 1) + "\n");
}
