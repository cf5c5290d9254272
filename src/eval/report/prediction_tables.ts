/** Tables of predictions beside the first setting's, for terminal and page. */
import type { DivergenceResult } from "../divergence_schema.ts";
import type { Estimated, PredictionsPart, RankingResult, Stopped } from "../predictions_schema.ts";
import { APART } from "../statistics.ts";
import { fewestTokens, headline, roughTokens } from "../summary.ts";
import {
  intervalOrDigits,
  measured,
  measuredInterval,
  measuredShare,
  measuredShareInterval,
  measuredValue,
  roughPercent,
  small,
} from "./numbers.ts";
import type { NamedDivergence } from "./plot_parts.ts";
import { type Column, makeTable, PAGE, type Table, TERMINAL } from "./table.ts";

type RelativeError = DivergenceResult["operations"][number]["total"];

/** A relative error as an estimate; earlier versions wrote none of them with an interval. */
export function errorEstimate({ relative_error: value, interval }: RelativeError): Estimated {
  return { value, ...(interval ?? UNBOUNDED) };
}

/** Of so few tokens that nothing bounds it. */
const UNBOUNDED = { low: null, high: null };

/** A relative error with its interval. */
export function errorText(error: RelativeError | undefined): string {
  return error === undefined || error.relative_error === null ? "-" : measured(errorEstimate(error));
}

/** A relative error alone, with the digits that its interval leaves sure. */
export function errorDigits(error: RelativeError | null | undefined): string {
  return error === undefined || error === null ? "-" : measuredValue(errorEstimate(error));
}

/** The share of router decisions that changed, with its interval. */
export function flipsText({ decisions, flipped, interval }: DivergenceResult["router"]): string {
  const value = flipped / Math.max(1, decisions);
  if (interval === undefined) return roughPercent(value);
  return measuredShare({ value, ...(interval ?? UNBOUNDED) });
}

/** Likewise of one layer. */
export function layerFlips(router: DivergenceResult["router"], layer: number): Estimated {
  const { per_layer: shares, per_layer_intervals: all } = router;
  return { value: shares[layer]!, ...(all?.[layer] ?? UNBOUNDED) };
}

/** The perplexity under one of two settings, with its interval. */
export function perplexityText(next: PredictionsPart["next"] | undefined, side: "a" | "b", none?: string): string {
  if (next === null || next === undefined) return none ?? "-";
  return intervalOrDigits(next[`perplexity_${side}`], next[`perplexity_${side}_interval`], none);
}

/** What a comparison of two settings says of its predictions, row by row. */
export function predictionRows({ kl, same_top: top, next }: PredictionsPart): [what: string, text: string][] {
  return [
    ["KL of B from A", `mean ${measured(kl.mean)}, typical ${measured(kl.log_mean)}`],
    [
      "KL that so many do not exceed",
      `50% ${measured(kl.median)}, 90% ${measured(kl.p90)}, 95% ${measured(kl.p95)}`,
    ],
    ["", `99% ${measured(kl.p99)}, 99.9% ${measured(kl.p99_9)}`],
    ["same likeliest token", measuredShare(top)],
    ...(next === null ? [] : [
      ["perplexity", `A ${perplexityText(next, "a")}, B ${perplexityText(next, "b")}`],
      ["more nats per token", measured(next.nll_increase)],
      ["RMS change of the next token's probability", measured(next.probability_change_rms)],
    ] as [string, string][]),
  ];
}

const SETTING: Column<NamedDivergence> = { head: "setting", cell: ({ label }) => label };

function columns(part: (named: NamedDivergence) => PredictionsPart): Column<NamedDivergence>[] {
  return [
    { head: "typical KL", cell: (named) => measured(part(named).kl.log_mean) },
    { head: "mean KL", cell: (named) => measured(part(named).kl.mean) },
    { head: "99.9%", cell: (named) => measured(part(named).kl.p99_9) },
    { head: "same top", cell: (named) => measuredShare(part(named).same_top) },
  ];
}

/** More of it, where there is room. */
const MORE: readonly Column<NamedDivergence>[] = [
  { head: "median", cell: ({ predictions }) => measured(headline(predictions).kl.median) },
  { head: "90%", cell: ({ predictions }) => measured(headline(predictions).kl.p90) },
  { head: "95%", cell: ({ predictions }) => measured(headline(predictions).kl.p95) },
  { head: "99%", cell: ({ predictions }) => measured(headline(predictions).kl.p99) },
  { head: "largest", kind: "right", cell: ({ predictions }) => small(headline(predictions).kl.max) },
  {
    head: "RMS Δp",
    cell: ({ predictions }) => nextText(predictions.reply ?? predictions.all, (next) => next.probability_change_rms),
  },
  { head: "more nats per token", cell: ({ predictions }) => nextText(headline(predictions), (n) => n.nll_increase) },
];

type Repetition = NonNullable<PredictionsPart["repetition"]>;

/** Where the value of another text of this length lies, 95 times of 100. */
function again(
  name: string,
  of: (part: PredictionsPart) => Estimated,
  range: (repetition: Repetition) => Omit<Estimated, "value">,
  text: (range: Estimated) => string,
): Column<NamedDivergence> {
  return {
    head: `${name} of another text`,
    cell: ({ predictions }) => {
      const part = headline(predictions), { repetition } = part;
      return repetition === undefined ? "-" : text({ ...of(part), ...range(repetition) });
    },
  };
}

type Next = NonNullable<PredictionsPart["next"]>;

function nextText({ next }: PredictionsPart, of: (next: Next) => Next["nll_increase"]): string {
  return next === null ? "-" : measured(of(next));
}

/** Settings in the order of their typical divergence; as they come where they were not ranked. */
export function ranked<T extends { readonly key: string }>(settings: readonly T[], ranking: RankingResult | null): T[] {
  if (ranking === null) return [...settings];
  const place = ({ key }: T) => ranking.typical.order.indexOf(key);
  return settings.toSorted((a, b) => place(a) - place(b));
}

/** One row for each setting, on a terminal; of replies, or of all tokens. */
export function predictionLines(named: readonly NamedDivergence[]): Table {
  return makeTable([SETTING, ...columns(({ predictions }) => headline(predictions))], named, TERMINAL);
}

/** The same of the tokens of prompts; null where there are none. */
export function promptLines(named: readonly NamedDivergence[]): Table | null {
  if (named.some(({ predictions }) => predictions.prompt === null)) return null;
  return makeTable([SETTING, ...columns(({ predictions }) => predictions.prompt!)], named, TERMINAL);
}

/** One row for each setting, on a page. */
export function predictionTable(named: readonly NamedDivergence[]): Table {
  return makeTable([SETTING, ...columns(({ predictions }) => headline(predictions)), ...MORE], named, PAGE);
}

/** Where values of another text of this length lie, one row for each setting, on a page. */
export function repetitionTable(named: readonly NamedDivergence[]): Table {
  const columns = [
    again("typical KL", ({ kl }) => kl.log_mean, (r) => r.log_mean, measuredInterval),
    again("mean KL", ({ kl }) => kl.mean, (r) => r.mean, measuredInterval),
    again("same top", ({ same_top: top }) => top, (r) => r.same_top, measuredShareInterval),
  ];
  return makeTable([SETTING, ...columns], named, PAGE);
}

/** What a ranking says, in sentences. */
export function rankingText(
  { part, tokens, typical, mean, pairs }: RankingResult,
  stopped: Stopped,
  label: (key: string) => string,
): string[] {
  const list = (keys: readonly string[]) => keys.map(label).join(" | ");
  const what = part === "reply" ? "tokens of replies" : "tokens";
  const groups = (name: "typical" | "mean", { groups, order }: RankingResult["typical"]) => {
    // Two need not be told apart where one of them is told from a third between them, which it is more like.
    const further = pairs.filter((pair) => (pair[`${name}_p`] ?? 1) >= APART).map(({ a, b }) => [a, b])
      .filter((pair) => !groups.some((group) => pair.every((key) => group.includes(key))))
      .map((pair) => order.filter((key) => pair.includes(key)));
    const open = [...groups, ...further];
    return open.length === 0
      ? [`By ${name} KL all ${order.length} settings can be told apart.`]
      : open.map((group) => `By ${name} KL these cannot be told apart: ${list(group)}.`);
  };
  const fewest = (pair: (typeof pairs)[number]) => fewestTokens(pair, { tokens });
  const undecided = pairs.filter((pair) => (pair.typical_p ?? 1) >= APART && fewest(pair) !== null);
  const hardest = undecided.toSorted((a, b) => fewest(b)! - fewest(a)!)[0];
  return [
    `From ${tokens} ${what}${STOPPED[stopped]}, the closest first: ${typical.order.map(label).join(" < ")}.`,
    ...groups("typical", typical),
    ...groups("mean", mean),
    ...(hardest === undefined ? [] : [
      `To tell ${label(hardest.a)} from ${label(hardest.b)} by typical KL takes ` +
      `${roughTokens(fewest(hardest)!, Math.floor)} tokens or more, and some ${roughTokens(hardest.typical_tokens!)} ` +
      "if they differ as these do.",
    ]),
  ];
}

const STOPPED: Readonly<Record<Stopped, string>> = {
  asked: "",
  settled: " (enough to tell all settings apart)",
  precise: " (enough for intervals as narrow as wanted)",
  spent: " (all there are)",
};
