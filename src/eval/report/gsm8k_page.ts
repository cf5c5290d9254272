/** The report of an evaluation of word problems. */
import { counted } from "../../amounts.ts";
import type { CellName } from "../matrix.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import { arrange, type Arrangements } from "./arrangement.ts";
import {
  answer,
  costSection,
  intervalsNote,
  predictionSection,
  rankedSettings,
  whereFrom,
} from "./divergence_sections.ts";
import { type Artist, openArtist } from "./draw.ts";
import { accuracyPlot, differencePlot, outcomePlot, reliabilityPlot } from "./gsm8k_plots.ts";
import { card, escape, firstScreen, page, plottedTable, remark, section } from "./html.ts";
import { APART } from "../statistics.ts";
import {
  accuracyRange,
  CHOOSING,
  cutOffNote,
  observedSpread,
  repeatedProblemsNote,
  sharedExamplesNote,
  unscoredNote,
} from "../summary.ts";
import { accuracyTable, pairTable } from "./accuracy_tables.ts";
import { PAGE } from "./table.ts";
import { protocolSection } from "./protocol_section.ts";

/**
 * The page, as HTML.
 *
 * @param names Of the cells, in their order.
 * @param samples Whether samples.html lies beside it.
 */
export async function gsm8kReport(
  results: Gsm8kResults,
  names: readonly CellName[],
  samples = false,
): Promise<string> {
  const artist = await openArtist();
  const arranged = arrange(results.cells, names);
  const { cells, protocol } = results;
  const settings = rankedSettings(results), first = cells[0]!.label;
  const named = settings, compared = { named, ...arranged };
  return page(`${protocol.data.name} under ${counted(cells.length, "setting")}`, [
    firstScreen(
      `<h1>${escape(protocol.data.name)} under ${counted(cells.length, "setting")}</h1>`,
      `<p class="soft">${counted(protocol.data.asked, "problem")}, ${protocol.prompt.format}, ` +
        `${counted(protocol.prompt.shots.length, "example")}, greedy. ${
          [
            intervalsNote(named),
            ...[
              ...cutOffNote(results),
              ...repeatedProblemsNote(protocol.data),
              ...(named.length === 0 ? [] : sharedExamplesNote(protocol.prompt)),
            ].map((note) => `${note[0]!.toUpperCase()}${note.slice(1)}.`),
          ].join(" ")
        }</p>`,
      ...(named.length === 0 ? [] : answer(
        artist,
        results,
        settings,
        samples ? "Answers that differ, side by side, and the tokens that differ the most" : null,
      )),
    ),
    ...(named.length === 0 ? [] : [
      section(
        "Where error comes from",
        `Every setting computed the prompts of the first ${
          named[0]!.divergence.sequences
        } problems with the replies of ${first}, ` +
          `${
            named[0]!.divergence.tokens
          } tokens, and was compared with it operation by operation: residual error is that of what ` +
          "leaves the last layer, own error that of one operation on equal inputs.",
        ...whereFrom(artist, compared),
      ),
      predictionSection(artist, compared, samples),
    ]),
    accuracySection(artist, results, arranged, samples),
    costSection(results),
    protocolSection(results.mxoss, protocol, cells),
  ]);
}

/** Accuracy; on demand where settings were compared and none is better or worse than the first. */
function accuracySection(
  artist: Artist,
  results: Gsm8kResults,
  arranged: Arrangements,
  samples: boolean,
): string {
  const { cells, comparisons } = results, first = cells[0]!.label;
  const changed = comparisons.some(({ pairs }) => pairs.some(({ p_holm }) => p_holm < APART));
  const parts = [
    remark([CHOOSING, ...observedSpread(results)].join(" ")),
    card(accuracyPlot(artist, results, arranged)),
    plottedTable(accuracyTable(results, PAGE)),
    ...(comparisons.length === 0 ? [] : [
      card(
        differencePlot(artist, results, arranged),
        `Against ${first}`,
        "The same problems under two settings (flexible-extract). The grey band holds true differences that so many " +
          "problems would miss more often than one time in five" +
          (comparisons.length === 1 ? "." : ": the widest of all settings; the table has each one's (noticeable)."),
      ),
      plottedTable(pairTable(results, PAGE)),
      card(
        outcomePlot(artist, results, arranged),
        "What became of each problem",
        `gained: solved by this setting and not by ${first}; lost: the other way round.`,
      ),
    ]),
    ...unscoredNote(results.protocol).map((note) => remark(`Reliability: ${note}.`)),
    ...(cells.every(({ reliability }) => (reliability ?? []).length === 0) ? [] : [card(
      reliabilityPlot(artist, results, arranged),
      "Reliability",
      "Problems in bins of equal size by the probability that the model gave its own whole reply, and how many of " +
        "each bin are right, with exact 95% intervals. On the dashed line a model is right as often as it is sure; " +
        "of such a model's bins one in twenty misses it by chance, at most. The probability is the mean of just " +
        "these problems, and has no interval.",
    )]),
  ];
  const about = "Share of problems solved, by lm-eval's two filters, with exact (Clopper-Pearson) intervals." +
    (samples ? " samples.html, beside this page, shows replies that differ side by side." : "");
  if (changed || comparisons.length === 0) return section("Accuracy", about, ...parts);
  const [low, high] = accuracyRange(cells);
  const summary = `No setting differs from ${first} by more than noise: ${
    low === high ? low : `${low} to ${high}`
  } solved`;
  return section("Accuracy", about, `<details><summary>${escape(summary)}</summary>${parts.join("\n")}</details>`);
}
