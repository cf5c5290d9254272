/** What a directory keeps of a run, for an estimate of what is left of it: journals are counted, not read. */
import { reason } from "../../errors.ts";
import { note } from "../terminal.ts";

/** Numbers of the entries of a journal that are whole; none where there is no such file. */
export function keptIndices(path: string): ReadonlySet<number> {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (thrown) {
    if (!(thrown instanceof Deno.errors.NotFound)) note(`warning: ${path} is not counted: ${reason(thrown)}`);
    return new Set();
  }
  // Entries begin with their number; the first line has none, and a last one without its end is cut off.
  return new Set(Array.from(text.matchAll(/^\{"index":(\d+)[,}].*\n/gm), ([, index]) => Number(index)));
}

/** The part of some indices that a journal lacks, 0 to 1. */
export function partLeft(path: string, indices: readonly number[]): number {
  if (indices.length === 0) return 0;
  const kept = keptIndices(path);
  return indices.filter((index) => !kept.has(index)).length / indices.length;
}
