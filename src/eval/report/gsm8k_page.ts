/** The report of an evaluation of word problems. */
import { FILTERS } from "../filters.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import { klPlot, ownErrorPlot, residualPlot } from "./divergence_plots.ts";
import { divergenceTable, suspectList } from "./divergence_sections.ts";
import { openArtist } from "./draw.ts";
import { accuracyPlot, differencePlot, outcomePlot, reliabilityPlot } from "./gsm8k_plots.ts";
import { card, escape, folded, page, remark, section, settings, table } from "./html.ts";
import { percent, points } from "./numbers.ts";

/** Said wherever a method is chosen. */
export const CHOOSING =
  "Accuracy hardly separates quantization schemes: problems that are lost and problems that are gained cancel out, and " +
  "what is left is within the noise of the number of problems. Use it to see that nothing is broken, and choose by KL divergence " +
  "and error per layer.";

/** The page, as HTML. */
export async function gsm8kReport(results: Gsm8kResults): Promise<string> {
  const artist = await openArtist();
  const { cells, comparisons, divergences, protocol } = results;
  const label = (key: string) => cells.find((cell) => cell.key === key)!.label;
  const named = divergences.map(({ key, divergence }) => ({
    label: label(key),
    series: cells.findIndex((cell) => cell.key === key),
    divergence,
  }));
  const first = cells[0]!.label;
  return page(`Accuracy on ${protocol.data.name}`, [
    `<h1>Accuracy on ${escape(protocol.data.name)}</h1>`,
    `<p class="soft">${protocol.data.asked} problems, ${protocol.prompt.format}, ${protocol.prompt.shots.length} examples, greedy. ` +
    `Intervals are 95% intervals.</p>`,
    remark(CHOOSING),
    section(
      "Accuracy",
      "Share of problems solved, by lm-eval's two filters, with Wilson's intervals.",
      card(accuracyPlot(artist, results)),
      card(accuracyTable(results)),
    ),
    ...(comparisons.length === 0 ? [] : [
      section(
        `Against ${first}`,
        "The same problems under two settings (flexible-extract). The grey band holds true differences that so many problems would " +
          "miss more often than one time in five.",
        card(differencePlot(artist, results)),
        card(pairTable(results, label)),
        card(outcomePlot(artist, results)),
      ),
    ]),
    section(
      "Reliability",
      "Problems in bins by the probability that the model gave its own whole reply, and how many of each bin are right. On the dashed " +
        "line a model is right as often as it is sure.",
      card(reliabilityPlot(artist, results)),
    ),
    ...(named.length === 0 ? [] : [
      section(
        "What accuracy does not show",
        `Every setting computed the prompts of the first problems with the replies of ${first}, and was compared with it operation by ` +
          "operation: residual error is that of what leaves the last layer, own error that of one operation on equal inputs.",
        divergenceTable(named),
        suspectList(named),
        card(residualPlot(artist, named, named[0]!.divergence.alarm)),
        card(ownErrorPlot(artist, named)),
        card(klPlot(artist, named)),
      ),
    ]),
    section("Protocol", "What made these numbers.", card(settings({ mxoss: results.mxoss, ...protocol }))),
    folded(
      "Settings of the cells",
      cells.map((cell) => `<h3>${escape(cell.key)}</h3>${settings(cell.protocol)}`).join(""),
    ),
  ]);
}

function accuracyTable({ cells }: Gsm8kResults): string {
  return table(
    [
      "setting",
      ...FILTERS.flatMap((filter) => [filter, "interval"]),
      "solved",
      "reply tokens",
      "cut off",
      "no final channel",
    ],
    cells.map((cell) => [
      cell.label,
      ...FILTERS.flatMap((filter) => {
        const { accuracy, low, high } = cell.filters[filter];
        return [percent(accuracy), `${(100 * low).toFixed(2)} – ${(100 * high).toFixed(2)}`];
      }),
      `${cell.filters["flexible-extract"].correct}`,
      `${cell.generated_tokens}`,
      `${cell.ends.length}`,
      `${cell.without_final}`,
    ]),
    { right: [1, 2, 3, 4, 5, 6, 7, 8] },
  );
}

function pairTable({ comparisons }: Gsm8kResults, label: (key: string) => string): string {
  return table(
    ["setting", "filter", "points", "interval", "lost", "gained", "changed", "p", "p (Holm)", "noticeable"],
    comparisons.flatMap(({ key, pairs }) =>
      pairs.map((pair) => [
        label(key),
        pair.filter,
        points(pair.difference),
        `${points(pair.low)} to ${points(pair.high)}`,
        `${pair.lost}`,
        `${pair.gained}`,
        `${pair.changed}`,
        pair.p.toFixed(3),
        pair.p_holm.toFixed(3),
        pair.detectable >= 1 ? "any" : (100 * pair.detectable).toFixed(1),
      ])
    ),
    { right: [2, 3, 4, 5, 6, 7, 8, 9] },
  );
}
