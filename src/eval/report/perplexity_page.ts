/** The report of an evaluation of perplexity. */
import { counted } from "../../amounts.ts";
import type { Estimated } from "../predictions_schema.ts";
import type { PerplexityResults } from "../results_schema.ts";
import { arrange, type Arrangement, panels } from "./arrangement.ts";
import { labelRoom } from "./plot_parts.ts";
import type { CellName } from "../matrix.ts";
import { repeatedTextNote } from "../summary.ts";
import {
  answer,
  costSection,
  intervalsNote,
  predictionSection,
  rankedSettings,
  whereFrom,
} from "./divergence_sections.ts";
import { type Artist, openArtist } from "./draw.ts";
import { card, escape, firstScreen, page, section, SERIES, tableHtml } from "./html.ts";
import { measured } from "./numbers.ts";
import { increaseTable, perplexityBounds, perplexityTable, sequencesOf } from "./perplexity_tables.ts";
import { protocolSection } from "./protocol_section.ts";

/**
 * The page, as HTML.
 *
 * @param names Of the cells, in their order.
 * @param samples Whether samples.html lies beside it.
 */
export async function perplexityReport(
  results: PerplexityResults,
  names: readonly CellName[],
  samples = false,
): Promise<string> {
  const artist = await openArtist();
  const arranged = arrange(results.cells, names);
  const { cells, comparisons, protocol: { text } } = results;
  const label = (key: string) => cells.find((cell) => cell.key === key)!.label;
  const settings = rankedSettings(results), compared = { named: settings, ...arranged };
  const judged = { sequences: sequencesOf(text), bounds: perplexityBounds(results) };
  return page(`Perplexity of ${text.name}`, [
    firstScreen(
      `<h1>${escape(text.name)} under ${counted(cells.length, "setting")}</h1>`,
      `<p class="soft">${counted(text.tokens, "token")} in sequences of ${text.sequence_length}. ${
        [intervalsNote(settings, judged), ...repeatedTextNote(text).map((note) => `${note}.`)].join(" ")
      }</p>`,
      ...(settings.length === 0
        ? []
        : answer(artist, results, settings, samples ? "The tokens that differ the most, with their text" : null)),
    ),
    ...(settings.length === 0 ? [] : [
      section(
        "Where error comes from",
        `The first ${settings[0]!.divergence.tokens} tokens under every setting and under ${
          cells[0]!.label
        }: residual error is that of ` +
          "what leaves the last layer, own error that of one operation on equal inputs.",
        ...whereFrom(artist, compared),
      ),
      predictionSection(artist, compared, samples),
    ]),
    section(
      "Perplexity",
      "e to the mean negative log probability of a token; bits per byte can be compared between tokenizers.",
      card(tableHtml(perplexityTable(results))),
      ...(comparisons.length === 0 ? [] : [
        card(
          increasePlot(artist, results, arranged.rows, label),
          `Against ${cells[0]!.label}`,
          "Negative log probability per token, each setting minus the first, on the same tokens.",
        ),
        card(tableHtml(increaseTable(results, label))),
      ]),
    ),
    costSection(results),
    protocolSection(results.mxoss, results.protocol, cells),
  ]);
}

function increasePlot(
  { Plot, draw }: Artist,
  { comparisons }: PerplexityResults,
  { place, columns }: Arrangement,
  label: (key: string) => string,
): string {
  const [least, most] = rangeOf(comparisons.map(({ nll_increase: increase }) => increase));
  const rows = comparisons.map(({ key, nll_increase: { value: mean, low, high } }) => ({
    label: label(key),
    ...place(label(key)),
    mean: mean ?? 0,
    // An open end goes to the edge.
    low: mean === null ? 0 : low ?? least,
    high: mean === null ? 0 : high ?? most,
    text: mean === null ? "-" : measured({ value: mean, low, high }),
  }));
  const names = [...new Set(rows.map(({ row }) => row))];
  const across = columns.length > 1, channels = across ? { fx: "column" } : {};
  return draw({
    width: 1000,
    height: 80 + 28 * names.length,
    marginLeft: labelRoom(names),
    marginRight: 30,
    ...panels({ columns, rows: [] }),
    x: {
      label: "more nats per token than the first setting",
      grid: true,
      domain: [least, most],
      ...(across ? { ticks: 3 } : {}),
    },
    y: { type: "band", domain: names, label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([0], { stroke: "var(--soft)" }),
      Plot.ruleY(rows, { x1: "low", x2: "high", y: "row", stroke: SERIES[0]!, strokeWidth: 2, ...channels }),
      Plot.dot(rows, {
        x: "mean",
        y: "row",
        fill: SERIES[0]!,
        r: 4.5,
        title: (r) => `${r.label}: ${r.text}`,
        ...channels,
      }),
    ],
  });
}

/** An axis that holds 0, all estimates and the ends of their intervals, and has room beyond them. */
function rangeOf(estimates: readonly Estimated[]): [least: number, most: number] {
  const values = [0, ...estimates.flatMap(({ value, low, high }) => [value, low, high]).filter((x) => x !== null)];
  const least = Math.min(...values), most = Math.max(...values), room = (most - least || 1) / 10;
  return [least - room, most + room];
}
