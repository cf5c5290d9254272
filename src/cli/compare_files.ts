/** The files of a comparison, as `mxoss compare` and `mxoss report` write them. */
import { removeIfThere, writeWhole } from "../checkpoint/atomic.ts";
import type { KeptPassages } from "../eval/passages.ts";
import { passagesPage } from "../eval/report/passages_page.ts";
import { resultsText } from "../eval/results_file.ts";
import { CompareResults } from "../eval/results_schema.ts";

/**
 * Writes results and pages into a directory that is there.
 *
 * @param passages Of every sequence; null where they are not known.
 */
export async function writeComparison(
  out: string,
  results: CompareResults,
  passages: readonly KeptPassages[] | null,
): Promise<void> {
  const { compareReport } = await import("../eval/report/compare_page.ts");
  const { protocol: { text }, divergence: { tokens } } = results;
  const samples = passages && passagesPage(text.name, tokens, passages);
  writeWhole(`${out}/results.json`, resultsText(CompareResults, results));
  writeWhole(`${out}/report.html`, await compareReport(results, samples !== null));
  // One that lies there from before would not be of these results.
  if (samples === null) removeIfThere(`${out}/samples.html`);
  else writeWhole(`${out}/samples.html`, samples);
}
