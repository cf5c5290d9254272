/** The report of an evaluation of word problems. */
import { FILTERS } from "../filters.ts";
import type { CellName } from "../matrix.ts";
import type { Gsm8kResults } from "../results_schema.ts";
import { arrange } from "./arrangement.ts";
import { layerByLayer } from "./divergence_sections.ts";
import { openArtist } from "./draw.ts";
import { accuracyPlot, differencePlot, outcomePlot, reliabilityPlot } from "./gsm8k_plots.ts";
import { card, escape, page, plottedTable, remark, section, table } from "./html.ts";
import { CHOOSING, observedSpread } from "../summary.ts";
import { percent, points } from "./numbers.ts";
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
  const named = divergences.map(({ key, divergence }) => ({ label: label(key), divergence }));
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
      plottedTable(accuracyTable(results), cells.length),
    ),
    ...(comparisons.length === 0 ? [] : [
      section(
        `Against ${first}`,
        "The same problems under two settings (flexible-extract). The grey band holds true differences that so many " +
          "problems would miss more often than one time in five.",
        card(differencePlot(artist, results, arranged)),
        plottedTable(pairTable(results, label), comparisons.length),
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
    section(
      "Reliability",
      "Problems in bins of equal size by the probability that the model gave its own whole reply, and how many of " +
        "each bin are right. On the dashed line a model is right as often as it is sure.",
      card(reliabilityPlot(artist, results, arranged)),
    ),
    protocolSection(results.mxoss, protocol, cells),
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
      merged(pairs).map((pair) => [
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

type Pair = Gsm8kResults["comparisons"][number]["pairs"][number];

/** One line for both filters where they agree in everything. */
function merged(pairs: readonly Pair[]): (Omit<Pair, "filter"> & { readonly filter: string })[] {
  const facts = ({ filter: _, ...rest }: Pair) => JSON.stringify(rest);
  return new Set(pairs.map(facts)).size === 1 ? [{ ...pairs[0]!, filter: "both" }] : [...pairs];
}
