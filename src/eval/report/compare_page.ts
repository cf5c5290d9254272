/** The report of a comparison. */
import { operationName, residualError } from "../summary.ts";
import type { CompareResults } from "../results_schema.ts";
import { errorTiles, klPlot, residualPlot, routerPlot } from "./divergence_plots.ts";
import { flipTable, operationTable, suspectList, tensorTable } from "./divergence_sections.ts";
import { openArtist } from "./draw.ts";
import { card, escape, page, remark, section, settings, tiles } from "./html.ts";
import { percent, small } from "./numbers.ts";

/** The page, as HTML. */
export async function compareReport(results: CompareResults): Promise<string> {
  const artist = await openArtist();
  const { divergence: d, protocol: { a, b, text } } = results;
  const named = [{ label: "B", series: 0, divergence: d }];
  const { logits, first_above_alarm: first } = d;
  const own = d.operations.some((o) => o.own !== null);
  return page(`A against B: ${text.name}`, [
    `<h1>What changes from A to B</h1>`,
    `<p class="soft">Both computed ${d.tokens} tokens of ${escape(text.name)}, each given the same tokens before.</p>`,
    card(differences(a, b)),
    tiles([
      [small(logits.mean_kl), "mean KL, nats"],
      [small(logits.max_kl), `largest, at position ${logits.max_kl_at.position}`],
      [percent(logits.top1_agreement), "same likeliest token"],
      [`${logits.perplexity_a?.toFixed(4) ?? "-"} → ${logits.perplexity_b?.toFixed(4) ?? "-"}`, "perplexity"],
      [small(residualError(d)), "error behind the last layer"],
      [percent(d.router.flipped / Math.max(1, d.router.decisions)), "router decisions changed"],
    ]),
    remark(
      first === null
        ? `No operation's error exceeds the alarm line of ${d.alarm}.`
        : `The first operation above the alarm line of ${d.alarm} is ${operationName(first)}, with ${
          small(first.relative_error)
        }.`,
    ),
    suspectList(named),
    ...(own
      ? [section(
        "Where error comes from",
        "Relative error of each operation by itself: it was given equal inputs on both sides, so nothing that came before it counts. A change of " +
          "number formats shows where the format is, and so does a defect.",
        card(errorTiles(artist, d, "own")),
      )]
      : []),
    section(
      "How it adds up",
      "Relative error of each operation with everything that came before it.",
      card(errorTiles(artist, d, "total")),
      card(residualPlot(artist, named, d.alarm)),
    ),
    section("Predictions", "KL divergence of B's next-token probabilities from A's.", card(klPlot(artist, named))),
    section(
      "Router",
      "Share of tokens that B sends to another set of experts.",
      card(routerPlot(artist, named)),
      flipTable(d),
    ),
    section(
      "Clipping",
      "Elements that are beyond the format's largest number lose their size; the error is that of quantize-dequantize.",
      tensorTable(d),
    ),
    operationTable(d),
    section("Protocol", "What made these numbers.", card(settings({ mxoss: results.mxoss, ...results.protocol }))),
  ]);
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
