/** What commands that write a checkpoint do around it: hash its sources, be interrupted, and say so. */
import type { SourceFile } from "../checkpoint/source.ts";
import { Sources } from "../quantize/hashes.ts";
import type { Journal } from "../quantize/journal.ts";
import type { Watch } from "../quantize/write_shards.ts";
import { EXIT_INTERRUPTED, type Interrupt } from "./interrupt.ts";
import { ProgressBar } from "./progress.ts";
import { note } from "./terminal.ts";

/** The hashes of the weight files, which an interrupted run must find again; null if Ctrl-C came first. */
export async function readSources(files: readonly SourceFile[], interrupt: Interrupt): Promise<Sources | null> {
  using bar = new ProgressBar("hashing");
  return await Sources.read(files, {
    onProgress: (done, total) => bar.update(done, total),
    stop: () => interrupt.heard,
  });
}

/** How writing is watched: with a bar, until Ctrl-C. */
export function watched(bar: ProgressBar, interrupt: Interrupt): Watch {
  return {
    onProgress: (done, total) => bar.update(done, total),
    stop: () => interrupt.heard,
    onWarning: (line) => note(`warning: ${line}`),
  };
}

/** Says that nothing was kept; gives the exit code. */
export function interruptedBefore(): number {
  note("interrupted before any weights were written; the same command begins anew");
  return EXIT_INTERRUPTED;
}

/** Says whether a run that was stopped while it wrote can be gone on with; gives the exit code. */
export function interruptedWriting({ isEmpty }: Journal): number {
  if (isEmpty) return interruptedBefore();
  note("interrupted; the same command goes on where it stopped");
  return EXIT_INTERRUPTED;
}
