/** The report of an evaluation of word problems. */
import type { CellName } from "../matrix.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import { arrange } from "./arrangement.ts";
import { costSection, layerByLayer } from "./divergence_sections.ts";
import { openArtist } from "./draw.ts";
import { accuracyPlot, differencePlot, outcomePlot, reliabilityPlot } from "./gsm8k_plots.ts";
import { card, escape, page, plottedTable, remark, section } from "./html.ts";
import { CHOOSING, observedSpread } from "../summary.ts";
import { accuracyTable, pairTable } from "./accuracy_tables.ts";
import { PAGE } from "./table.ts";
import { protocolSection } from "./protocol_section.ts";

/**
 * The page, as HTML.
 *
 * @param names Of the cells, in their order.
 */
export async function gsm8kReport(results: Gsm8kResults, names: readonly CellName[]): Promise<string> {
  const artist = await openArtist();
  const arranged = arrange(results.cells, names);
  const { cells, comparisons, divergences, protocol } = results;
  const label = (key: string) => cells.find((cell) => cell.key === key)!.label;
  const named = divergences.map(({ key, ...found }) => ({ label: label(key), ...found }));
  const first = cells[0]!.label;
  return page(`Accuracy on ${protocol.data.name}`, [
    `<h1>Accuracy on ${escape(protocol.data.name)}</h1>`,
    `<p class="soft">${protocol.data.asked} problems, ${protocol.prompt.format}, ${protocol.prompt.shots.length} ` +
    "examples, greedy. Intervals are 95% intervals.</p>",
    remark([CHOOSING, ...observedSpread(results)].join(" ")),
    section(
      "Accuracy",
      "Share of problems solved, by lm-eval's two filters, with Wilson's intervals.",
      card(accuracyPlot(artist, results, arranged)),
      plottedTable(accuracyTable(results, PAGE)),
    ),
    ...(comparisons.length === 0 ? [] : [
      section(
        `Against ${first}`,
        "The same problems under two settings (flexible-extract). The grey band holds true differences that so many " +
          "problems would miss more often than one time in five.",
        card(differencePlot(artist, results, arranged)),
        plottedTable(pairTable(results, PAGE)),
        card(
          outcomePlot(artist, results, arranged),
          "What became of each problem",
          `gained: solved by this setting and not by ${first}; lost: the other way round.`,
        ),
      ),
    ]),
    ...(named.length === 0 ? [] : [
      section(
        "What accuracy does not show",
        `Every setting computed the prompts of the first ${
          named[0]!.divergence.sequences
        } problems with the replies of ${first}, ` +
          `${
            named[0]!.divergence.tokens
          } tokens, and was compared with it operation by operation: residual error is that of what ` +
          "leaves the last layer, own error that of one operation on equal inputs.",
        ...layerByLayer(artist, { named, ...arranged }),
      ),
    ]),
    costSection(artist, results),
    section(
      "Reliability",
      "Problems in bins of equal size by the probability that the model gave its own whole reply, and how many of " +
        "each bin are right. On the dashed line a model is right as often as it is sure.",
      card(reliabilityPlot(artist, results, arranged)),
    ),
    protocolSection(results.mxoss, protocol, cells),
  ]);
}
