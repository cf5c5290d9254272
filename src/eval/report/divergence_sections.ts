/** Sections about comparisons, for all reports. */
import type { DivergenceResult } from "../divergence_schema.ts";
import { errorTiles, ownErrorTable, residualPlot } from "./error_plots.ts";
import type { Comparisons, NamedDivergence } from "./plot_parts.ts";
import { distancePlot, klPlot, positionsPerDot } from "./prediction_plots.ts";
import { costPlot, NARROW, WIDE } from "./cost_plot.ts";
import { type CostedResults, costedSettings, costNotes, costTable } from "./cost_tables.ts";
import type { Artist } from "./draw.ts";
import { perplexityText, predictionTable, ranked, repetitionTable } from "./prediction_tables.ts";
import { boundedByRare, type Bounds, cutTextNote, fewTextsNote, oneTextNote, openEndsNote } from "../summary.ts";
import { conclusion, knowsOwn, type RankedSetting, rankedTable } from "./ranked.ts";
import type { RankingResult } from "../predictions_schema.ts";
import { divergenceTable, flipTable, operationTable, suspectTable } from "./divergence_tables.ts";
import { card, folded, remark, samplesLink, section, tableHtml } from "./html.ts";
import { PAGE } from "./table.ts";
import { tensorTable } from "./tensor_tables.ts";
import { orMoreNote } from "./places.ts";
import { APART_NOTE, inputNote, sourceTable } from "./where_from.ts";

/** Comparisons of an evaluation with its first setting, by the settings' names, the closest first. */
export function rankedSettings(
  { cells, divergences, ranking }: Pick<CostedResults, "cells" | "divergences"> & {
    readonly ranking: RankingResult | null;
  },
): RankedSetting[] {
  const cellOf = new Map(cells.map((cell) => [cell.key, cell]));
  return ranked(divergences, ranking).map(({ key, predictions, divergence }) => {
    const { label, cost } = cellOf.get(key)!;
    return { key, label, cost, predictions, divergence };
  });
}

/**
 * What intervals on a first screen are for, and what an open end of one is.
 *
 * @param text Its sequences, and intervals of other tables about it.
 */
export function intervalsNote(
  named: readonly Pick<NamedDivergence, "predictions">[],
  text?: { readonly sequences: number; readonly bounds: readonly Bounds[] },
): string {
  const compared = named[0]?.predictions.sequences, { sequences = 1, bounds = [] } = text ?? {};
  const open = openEndsNote(compared ?? 1, [
    ...named.flatMap(({ predictions: { all, reply, prompt } }) =>
      [all, reply ?? [], prompt ?? []].flat().flatMap(boundedByRare)
    ),
    ...bounds,
  ]);
  const few = compared !== undefined ? fewTextsNote(compared) : text === undefined ? [] : oneTextNote(sequences);
  return [
    compared === undefined
      ? "Intervals are 95% intervals"
      : "Intervals are 95% intervals for what is true; where another text's values would lie stands under Predictions",
    ...[...few, ...cutTextNote(sequences, compared)].map((note) => `of ${note}`),
    ...open,
  ].join("; ") + ".";
}

/**
 * What an evaluation has found: a sentence, what is suspect, the settings in order, and what they are ordered by
 * against bytes.
 *
 * @param samples What samples.html beside the page shows; null where there is none.
 */
export function answer(
  artist: Artist,
  results: CostedResults & { readonly ranking: RankingResult | null },
  settings: readonly RankedSetting[],
  samples: string | null,
): string[] {
  const [reference] = results.cells, { text, kind } = conclusion(reference!, settings, results.ranking);
  const inOrder = new Map([reference!, ...settings].map(({ key }, place) => [key, place]));
  const costed = costedSettings({
    ...results,
    cells: results.cells.filter(({ key }) => inOrder.has(key)).toSorted((a, b) =>
      inOrder.get(a.key)! - inOrder.get(b.key)!
    ),
  });
  const suspicious = settings.some(({ divergence }) => divergence.suspects.length > 0);
  return [
    remark(text, kind),
    ...(suspicious ? [suspectList(settings)] : []),
    card(
      tableHtml(rankedTable(reference!, settings, results.ranking), "stack") +
        `<p class="soft">Where its error comes from: in brackets the part of the squares of all own errors, as small ` +
        "and as large as their intervals allow; or more: operations that by these may have as much. Not separable: a " +
        "paired test on the same tokens, corrected for all pairs, finds no difference of typical KL.</p>" +
        (samples === null ? "" : samplesLink(samples)),
    ),
    card(
      `<div class="wide">${costPlot(artist, costed, WIDE)}</div>` +
        `<div class="narrow">${costPlot(artist, costed, NARROW)}</div>`,
      "Typical KL divergence against bytes",
      `The dashed line joins the settings that no other one beats in both as measured; ${
        reference!.label
      }, from which the others ` +
        "are measured, stands on the lower edge. Bars are 95% intervals.",
    ),
  ];
}

/** Where an evaluation shows what each setting does, layer by layer and position by position. */
export function whereFrom(artist: Artist, comparisons: Comparisons): string[] {
  const { named, lines } = comparisons;
  const panels = lines.columns.length * lines.rows.length > 1;
  const [{ divergence }] = named as [NamedDivergence];
  return [
    card(
      ownErrorTable(comparisons),
      "Own error of operations",
      "Relative error of one operation on equal inputs, the largest of all layers. Operations that have none " +
        "anywhere are left out.",
    ),
    ...(named.some(({ divergence: { suspects } }) => suspects.length > 0) ? [] : [suspectList(named)]),
    card(tableHtml(sourceTable(named, PAGE)), "Where most is lost", whereNote(named)),
    ...named.map(({ label, divergence }) => folded(`${label}, layer by layer`, errorTiles(divergence, "own"))),
    card(
      residualPlot(artist, comparisons, divergence.alarm),
      "Error of the residual stream, layer by layer",
      "With everything that came before; where there is none, nothing is drawn." +
        (panels ? " Colours are schemes, panels are what else differs." : "") +
        ` The dashed red line is the alarm line, ${divergence.alarm}.`,
    ),
    card(
      tableHtml(divergenceTable(named)) +
        `<p class="soft">O${orMoreNote(named.map(({ divergence }) => divergence)).slice(1)}.</p>`,
    ),
  ];
}

/** What one must know to read where most is lost. */
function whereNote(named: readonly NamedDivergence[]): string {
  return [APART_NOTE, ...inputNote(named.map(({ divergence }) => divergence))].join("; ") + ".";
}

/**
 * How far predictions are apart, in all numbers that there are.
 *
 * @param samples Whether samples.html lies beside the page.
 */
export function predictionSection(artist: Artist, comparisons: Comparisons, samples: boolean): string {
  const { named } = comparisons;
  const perplexity = perplexityText(named[0]!.predictions.all.next, "a", "not finite");
  return section(
    "Predictions",
    "KL divergence of next-token probabilities from the first setting's: typical is e to the mean logarithm, which " +
      `no single token decides. The first setting's perplexity is ${perplexity}. Intervals are for the truth; ` +
      "another text of this length has luck of its own; its value lies in those of the second table 95 times of 100." +
      (samples ? " samples.html, beside this page, shows the tokens that differ the most." : ""),
    card(tableHtml(predictionTable(named))),
    card(tableHtml(repetitionTable(named))),
    card(distancePlot(artist, comparisons), "Typical, mean and largest"),
    card(klPlot(artist, comparisons), "Position by position", klNote(named)),
  );
}

/** What settings cost; how far they are from the first is told by {@linkcode answer}. */
export function costSection(results: CostedResults & { readonly ranking: RankingResult | null }): string {
  const settings = costedSettings(results), { bandwidth } = results;
  return section(
    "Cost",
    ["Bytes of the weights, and the bytes that one token reads of them.", ...costNotes(settings, bandwidth)].join(" "),
    card(tableHtml(costTable(settings, bandwidth, PAGE))),
  );
}

/** What one must know to read a plot of KL by position. */
export function klNote(named: readonly NamedDivergence[]): string {
  const step = positionsPerDot(named);
  const [{ predictions, divergence: { sequences } }] = named as readonly [NamedDivergence];
  // Tables are about all sequences, and in an evaluation of replies about these alone.
  const drawn = [
    ...(sequences < predictions.sequences
      ? [`the first ${sequences} of ${predictions.sequences} sequences, which are compared layer by layer`]
      : []),
    ...(predictions.reply === null ? [] : ["replies with what comes before them"]),
  ].join(": ");
  return (step === 1 ? "One dot for each position." : `One dot for ${step} positions: the largest KL of them.`) +
    " What is below the axis lies on its lower edge; the dashed line is the mean" +
    (drawn === "" ? "." : ` of all that is drawn, not that of the tables. Drawn are ${drawn}.`);
}

/** What was found to be suspect. */
export function suspectList(named: readonly Pick<NamedDivergence, "label" | "divergence">[]): string {
  const table = suspectTable(named);
  const unknown = named.filter(({ divergence }) => !knowsOwn(divergence));
  if (table === null && unknown.length > 0) {
    const whose = unknown.length === named.length ? "" : ` under ${unknown.map(({ label }) => label).join(", ")}`;
    return remark(`No error is far above those before it; own errors are not known${whose}: several ranks.`);
  }
  if (table === null) {
    return remark("No operation's own error is larger than the number formats of the settings explain.", "good");
  }
  return remark("These operations differ by more than the number formats of the settings explain:", "bad") +
    card(tableHtml(table));
}

/** Every operation, on demand. */
export function operationFold(divergence: DivergenceResult): string {
  return folded(`All ${divergence.operations.length} operations`, tableHtml(operationTable(divergence)));
}

/** What quantization clips and flushes, tensor by tensor. */
export function tensorCard({ tensors }: DivergenceResult): string {
  if (tensors.length === 0) return `<p class="soft">Neither setting quantizes inputs or the cache.</p>`;
  return card(tableHtml(tensorTable(tensors)));
}

/** Most flips that a page shows. */
const SHOWN_FLIPS = 40;

/** Tokens that went to other experts, the clearest changes of mind first. */
export function flipFold({ router }: DivergenceResult): string {
  if (router.flips.length === 0) return "";
  const flips = router.flips.toSorted((a, b) => (b.margin ?? Infinity) - (a.margin ?? Infinity)).slice(0, SHOWN_FLIPS);
  const { flipped, flips: kept } = router,
    all = kept.length < flipped ? `the first ${kept.length} of ${flipped}` : flipped;
  return folded(`The ${flips.length} flips of ${all} that A was surest of`, tableHtml(flipTable(flips)));
}
