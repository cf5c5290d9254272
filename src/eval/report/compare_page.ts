/** The report of a comparison. */
import { counted } from "../../amounts.ts";
import {
  boundedByRare,
  cutTextNote,
  fewTextsNote,
  openEndsNote,
  operationName,
  repeatedTextNote,
  residualOperation,
} from "../summary.ts";
import type { CompareResults } from "../results_schema.ts";
import type { CellName } from "../matrix.ts";
import { arrange } from "./arrangement.ts";
import { comparedCosts, costNotes, costTable, sizeText } from "./cost_tables.ts";
import { errorTiles, residualPlot } from "./error_plots.ts";
import { klPlot, routerPlot } from "./prediction_plots.ts";
import { flipFold, klNote, operationFold, suspectList, tensorCard } from "./divergence_sections.ts";
import { openArtist } from "./draw.ts";
import {
  card,
  escape,
  firstScreen,
  folded,
  page,
  remark,
  samplesLink,
  section,
  settings,
  tableHtml,
  tiles,
} from "./html.ts";
import { measured, measuredShare, small } from "./numbers.ts";
import { errorText, flipsText, perplexityText } from "./prediction_tables.ts";
import { conclusion, sourceText } from "./ranked.ts";
import { protocolSection } from "./protocol_section.ts";
import { PAGE } from "./table.ts";
import { linearNote, linearTable, projectionTable } from "./where_from.ts";

/** The name of B, which no other setting stands beside. */
const UNNAMED: CellName = { model: null, scheme: null, kvCacheDtype: null, tp: null, ep: null };

/**
 * The page, as HTML.
 *
 * @param samples Whether samples.html lies beside it.
 */
export async function compareReport(results: CompareResults, samples = false): Promise<string> {
  const artist = await openArtist();
  const { divergence: d, protocol: { a, b, text } } = results;
  const named = [{ label: "B", predictions: d.logits, divergence: d }];
  const comparisons = { named, ...arrange([{ label: "B" }], [UNNAMED]) };
  const costs = comparedCosts(results);
  const own = d.operations.some((o) => o.own !== null);
  return page(`A against B: ${text.name}`, [
    compareAnswer(results, samples),
    ...(own
      ? [section(
        "Where error comes from",
        "Relative error of each operation by itself: it was given equal inputs on both sides, so nothing that came " +
          "before it counts. A change of number formats shows where the format is, and so does a defect.",
        card(errorTiles(d, "own")),
      )]
      : []),
    section(
      "Weights, inputs, outputs",
      `What each linear multiplies: ${linearNote(d).join("; ")}.`,
      card(tableHtml(linearTable(d, PAGE))),
      folded(`All ${d.projections.length} linears`, tableHtml(projectionTable(d, PAGE))),
    ),
    section(
      "How it adds up",
      "Relative error of each operation with everything that came before it.",
      card(errorTiles(d, "total")),
      card(
        residualPlot(artist, comparisons, d.alarm),
        "Error of the residual stream",
        "After the attention and after the experts of each layer; what leaves the last layer is the residual error " +
          "above.",
      ),
    ),
    section(
      "Predictions",
      `KL divergence of B's next-token probabilities from A's. ${klNote(named)}`,
      card(klPlot(artist, comparisons)),
    ),
    section(
      "Router",
      "Share of tokens that B sends to another set of experts.",
      card(routerPlot(artist, comparisons)),
      flipFold(d),
    ),
    section(
      "Clipping",
      "Elements beyond the format's largest number lose their size, those below half its smallest become 0; the " +
        "error is that of quantizing the tensor and nothing else.",
      tensorCard(d),
    ),
    operationFold(d),
    section(
      "Cost",
      ["Bytes of the weights, and the bytes that one token reads of them.", ...costNotes(costs, results.bandwidth)]
        .join(" "),
      card(tableHtml(costTable(costs, results.bandwidth, PAGE))),
    ),
    protocolSection(results.mxoss, { text }, [{ label: "A", protocol: a }, { label: "B", protocol: b }]),
  ]);
}

/** What a comparison has found, as its page shows it first. */
export function compareAnswer(
  { divergence: d, protocol: { a, b, text }, cost }: CompareResults,
  samples = false,
): string {
  const { logits: { all }, first_above_alarm: first } = d;
  const { sequence, position } = all.kl.max_at;
  const at = d.sequences > 1 ? `sequence ${sequence}, position ${position}` : `position ${position}`;
  const setting = { key: "b", label: "B", cost: cost.b, predictions: d.logits, divergence: d };
  const found = conclusion({ key: "a", label: "A", cost: cost.a }, [setting], null);
  return firstScreen(
    `<h1>What changes from A to B</h1>`,
    `<p class="soft">Both computed ${counted(d.tokens, "token")} of ${
      escape(text.name)
    }, each given the same tokens before${
      [
        ...fewTextsNote(d.sequences),
        ...cutTextNote(d.sequences),
        ...openEndsNote(d.sequences, boundedByRare(all)),
        ...repeatedTextNote(text),
      ].map((note) => `; ${note}`).join("")
    }.</p>`,
    remark(found.text, found.kind),
    ...(d.suspects.length === 0 ? [] : [suspectList([{ label: "B", divergence: d }])]),
    card(differences(a, b)),
    tiles([
      [measured(all.kl.mean), "mean KL, nats"],
      [measured(all.kl.log_mean), "typical KL, nats"],
      [small(all.kl.max), `largest KL, at ${at}`],
      [measuredShare(all.same_top), "same likeliest token"],
      [
        `${perplexityText(all.next, "a")} → ${perplexityText(all.next, "b")}`,
        "perplexity",
      ],
      ...(all.next === null ? [] : [[measured(all.next.nll_increase), "more nats per token"] as [string, string]]),
      [errorText(residualOperation(d)?.total), "residual error"],
      [flipsText(d.router), "router flips"],
      [`${sizeText(cost.a.weight_bytes)} → ${sizeText(cost.b.weight_bytes)}`, "weights"],
      [sourceText(d), "where most of it comes from"],
    ]),
    remark(
      first === null
        ? `No operation's error exceeds the alarm line of ${d.alarm}.`
        : `The first operation above the alarm line of ${d.alarm} is ${operationName(first)}, with ${
          errorText(d.operations.find((o) => o.layer === first.layer && o.operation === first.operation)?.total)
        }.`,
    ),
    ...(samples ? [samplesLink("The text where A and B choose differently, and the tokens that differ the most")] : []),
  );
}

/** The settings that are not the same on both sides. */
function differences(a: CompareResults["protocol"]["a"], b: CompareResults["protocol"]["b"]): string {
  const names = (Object.keys(a) as (keyof typeof a)[]).filter((name) =>
    a[name] !== b[name] && name !== "formats_sha256"
  );
  const shown = names.length === 0 ? { both: `${a.scheme}, ${a.dtype}: equal settings` } : Object.fromEntries(
    names.map((name) => [name, `${a[name] ?? "none"} → ${b[name] ?? "none"}`]),
  );
  return settings(shown);
}
