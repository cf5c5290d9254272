/** Sections about comparisons, for all reports. */
import type { DivergenceResult } from "../results_schema.ts";
import { ownErrorPlot, residualPlot } from "./error_plots.ts";
import type { Comparisons, NamedDivergence } from "./plot_parts.ts";
import { distancePlot, klPlot, positionsPerDot } from "./prediction_plots.ts";
import { costPlot } from "./cost_plot.ts";
import { type CostedResults, costedSettings, costNotes, costTable } from "./cost_tables.ts";
import type { Artist } from "./draw.ts";
import { predictionTable } from "./prediction_tables.ts";
import { divergenceTable, flipTable, operationTable, suspectTable } from "./divergence_tables.ts";
import { card, folded, remark, section, tableHtml } from "./html.ts";
import { perplexityText } from "./numbers.ts";
import { PAGE } from "./table.ts";
import { tensorTable } from "./tensor_tables.ts";
import { sourceTable } from "./where_from.ts";

/** Where an evaluation shows what each setting does, layer by layer and position by position. */
export function layerByLayer(artist: Artist, comparisons: Comparisons): string[] {
  const { named, lines } = comparisons;
  const panels = lines.columns.length * lines.rows.length > 1;
  return [
    card(distancePlot(artist, comparisons), "KL divergence of the predictions"),
    divergenceCard(named),
    card(tableHtml(sourceTable(named, PAGE)), "Where most is lost"),
    suspectList(named),
    card(
      residualPlot(artist, comparisons, named[0]!.divergence.alarm),
      "Error of the residual stream, layer by layer",
      "With everything that came before; where there is none, nothing is drawn." +
        (panels ? " Colours are schemes, panels are what else differs." : "") +
        ` The dashed red line is the alarm line, ${named[0]!.divergence.alarm}.`,
    ),
    card(
      ownErrorPlot(artist, comparisons),
      "Own error of operations, layer by layer",
      "Relative error of one operation on equal inputs. Operations that have none anywhere are left out.",
    ),
    card(klPlot(artist, comparisons), "KL divergence, position by position", klNote(named)),
  ];
}

/** What settings cost, beside how far they are from the first. */
export function costSection(artist: Artist, results: CostedResults): string {
  const settings = costedSettings(results), { bandwidth, divergences } = results;
  return section(
    "Cost",
    ["Bytes of the weights, and the bytes that one token reads of them.", ...costNotes(settings, bandwidth)].join(" "),
    ...(divergences.length === 0 ? [] : [card(
      costPlot(artist, settings),
      "KL divergence against bytes",
      `The dashed line joins the settings that no other one beats in both; ${settings[0]!.label}, from which the ` +
        "others are measured, stands on the lower edge. Bars are 95% intervals.",
    )]),
    card(tableHtml(costTable(settings, bandwidth, PAGE))),
  );
}

/** What one must know to read a plot of KL by position. */
export function klNote(named: readonly NamedDivergence[]): string {
  const step = positionsPerDot(named);
  return (step === 1 ? "One dot for each position." : `One dot for ${step} positions: the largest KL of them.`) +
    " What is below 1e-10 lies on the lower edge; the dashed line is the mean.";
}

/** One line per comparison. */
function divergenceCard(named: readonly NamedDivergence[]): string {
  const perplexity = perplexityText(named[0]!.predictions.all.next?.perplexity_a ?? null, "not finite");
  return card(tableHtml(predictionTable(named)), "", `The first setting's perplexity is ${perplexity}.`) +
    card(tableHtml(divergenceTable(named)));
}

/** What was found to be suspect. */
export function suspectList(named: readonly NamedDivergence[]): string {
  const table = suspectTable(named);
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
  return folded(`The ${flips.length} flips of ${router.flipped} that A was surest of`, tableHtml(flipTable(flips)));
}
