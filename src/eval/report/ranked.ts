/** The answer of a page: settings in their order, and one sentence that says how sure it is. */
import { counted } from "../../amounts.ts";
import type { DivergenceResult } from "../divergence_schema.ts";
import type { SettingCost } from "../setting_schema.ts";
import type { Estimated, PredictionsResult, RankingResult } from "../predictions_schema.ts";
import { APART } from "../statistics.ts";
import { fewestTokens, headline, operationName, roughTokens, suspectText } from "../summary.ts";
import { sizeText } from "./cost_tables.ts";
import { measured, measuredShare, pValue, roughPercent } from "./numbers.ts";
import { type Column, makeTable, PAGE, type Table } from "./table.ts";

/** A setting that was compared with the first. */
export interface RankedSetting {
  readonly key: string;
  readonly label: string;
  readonly cost: SettingCost;
  readonly predictions: PredictionsResult;
  readonly divergence: DivergenceResult;
}

/** The first setting, which the others are compared with. */
export type Reference = Pick<RankedSetting, "key" | "label" | "cost">;

/** Names of settings that a cell of the table spells out. */
const NAMED_OTHERS = 3;

type Pair = RankingResult["pairs"][number];

/** The paired test of two settings; undefined where none was made. */
function pairOf(ranking: RankingResult | null, x: string, y: string): Pair | undefined {
  return ranking?.pairs.find(({ a, b }) => a === x && b === y || a === y && b === x);
}

/** Keys of the settings that cannot be told from this one by typical KL. */
function notApart(ranking: RankingResult, key: string): string[] {
  return ranking.typical.order.filter((other) => {
    const pair = pairOf(ranking, key, other);
    return pair !== undefined && (pair.typical_p ?? 1) >= APART;
  });
}

/**
 * Where most of a setting's error comes from, in a few words: a suspect if there is one, else the linear or the cache
 * with the largest own errors, how many others may have as large ones by their intervals, which of its operands was
 * made coarser, and its share of the squares of all own errors with its interval.
 */
export function sourceText({ suspects, operations, projections }: DivergenceResult): string {
  const [suspect] = suspects;
  if (suspect !== undefined) {
    const more = suspects.length > 1 ? ` and ${suspects.length - 1} more` : "";
    return `suspect: ${operationName(suspect)}${more}`;
  }
  const squares = ownSquares(operations);
  const [worst, square] = [...squares].reduce((most, entry) => entry[1].value > most[1].value ? entry : most, [
    "",
    NO_ERROR,
  ]);
  if (square.value === 0) {
    return operations.some(({ own }) => own !== null) ? "nothing differs" : "unknown: several ranks";
  }
  const share = Number.isFinite(square.value) ? ` (${partText(partOf(square, [...squares.values()]))})` : "";
  const layers = projections.filter(({ operation }) => operation === worst);
  const most = (of: (p: DivergenceResult["projections"][number]) => number | null | undefined) =>
    Math.max(0, ...layers.map((p) => of(p) ?? 0));
  const weights = most((p) => p.weights.relative_error), inputs = most((p) => p.input.b?.relative_error);
  const rivals =
    [...squares.values()].filter((other) => other !== square && other.value > 0 && other.high >= square.low).length;
  const name = rivals === 0 || !Number.isFinite(square.value) ? worst : `${worst} or ${rivals} more`;
  if (weights === 0 && inputs === 0) return `${name}${share}`;
  const { weights: { format_b: weightFormat }, input: { b } } = layers[0]!;
  return inputs > weights
    ? `${name}: inputs as ${b?.format ?? "other numbers"}${share}`
    : `${name}: weights as ${weightFormat}${share}`;
}

/** Whether operations were compared on equal inputs: not where both sides run on several ranks. */
export function knowsOwn({ operations }: Pick<DivergenceResult, "operations">): boolean {
  return operations.some(({ own }) => own !== null);
}

/** Squares of relative errors, and what the ends of their intervals come to. */
interface Squares {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}
const NO_ERROR: Squares = { value: 0, low: 0, high: 0 };

const added = (x: Squares, y: Squares): Squares => ({
  value: x.value + y.value,
  low: x.low + y.low,
  high: x.high + y.high,
});

/** Squares of the own errors of all layers by operation; of the embedding, which has no inputs, of its whole error. */
function ownSquares(operations: DivergenceResult["operations"]): Map<string, Squares> {
  const squares = new Map<string, Squares>();
  for (const { operation, own, total } of operations) {
    const error = own ?? (operation === "embed" ? total : null);
    if (error === null) continue;
    const value = error.relative_error ?? Infinity;
    // What no token at hand shows is computed alike under both.
    const { low, high } = value === 0 ? NO_ERROR : error.interval ?? { low: 0, high: Infinity };
    const square = { value: value ** 2, low: (low ?? 0) ** 2, high: (high ?? Infinity) ** 2 };
    squares.set(operation, added(squares.get(operation) ?? NO_ERROR, square));
  }
  return squares;
}

/**
 * The part that some squares have of all, which are finite. Its interval goes from where they are as small and the
 * others as large as their intervals allow to where it is the other way round: errors on the same tokens go up and down
 * together, so that it is rather too wide.
 */
function partOf(own: Squares, all: readonly Squares[]): Estimated {
  const others = all.filter((one) => one !== own).reduce(added, NO_ERROR);
  const part = (x: number, rest: number) => rest === 0 ? 1 : x === Infinity ? 1 : x / (x + rest);
  return {
    value: part(own.value, others.value),
    low: part(own.low, others.high),
    high: part(own.high, others.low),
  };
}

/** Such a part in percent; all of it needs no interval. */
const partText = (part: Estimated): string => part.low === 1 ? roughPercent(1) : measuredShare(part);

/** One row for each setting, the closest to the first on top, which stands above them. */
export function rankedTable(
  reference: Reference,
  settings: readonly RankedSetting[],
  ranking: RankingResult | null,
): Table {
  type Row = Reference & Partial<RankedSetting>;
  const label = new Map(settings.map((setting) => [setting.key, setting.label]));
  const of = (text: (setting: RankedSetting) => string) => (row: Row) =>
    row.predictions === undefined ? "" : text(row as RankedSetting);
  const columns: Column<Row>[] = [
    { head: "setting", cell: ({ label }) => label },
    {
      head: "typical KL, nats",
      cell: (row) => row.predictions === undefined ? "reference" : measured(headline(row.predictions).kl.log_mean),
    },
    { head: "mean KL, nats", cell: of(({ predictions }) => measured(headline(predictions).kl.mean)) },
    { head: "same top", cell: of(({ predictions }) => measuredShare(headline(predictions).same_top)) },
    { head: "weights", kind: "right", cell: ({ cost }) => sizeText(cost.weight_bytes) },
    { head: "where its error comes from", kind: "wraps", cell: of(({ divergence }) => sourceText(divergence)) },
  ];
  if (ranking !== null) {
    columns.push({
      head: "not separable from",
      kind: "wraps",
      cell: of(({ key }) => {
        const others = notApart(ranking, key).map((other) => label.get(other)!);
        if (others.length === 0) return "none";
        if (others.length === settings.length - 1 && others.length > 1) return "any other";
        const more = others.length - NAMED_OTHERS;
        return more > 1 ? `${others.slice(0, NAMED_OTHERS).join("; ")}; ${more} more` : others.join("; ");
      }),
    });
  }
  return makeTable<Row>(columns, [reference, ...settings], PAGE);
}

/** A p-value after the letter; below what tests on so few blocks can tell, no digits of it. */
function certainty(p: number | null): string {
  const text = pValue(p ?? 1);
  return text.startsWith("<") ? `< ${text.slice(1)}` : `= ${text}`;
}

/** What the page has found, in one sentence, and whether it is good news. */
export function conclusion(
  { label: first }: Reference,
  settings: readonly RankedSetting[],
  ranking: RankingResult | null,
): { readonly text: string; readonly kind: "plain" | "good" | "bad" } {
  const suspicious = settings.filter(({ divergence }) => divergence.suspects.length > 0);
  const [bad] = suspicious;
  if (bad !== undefined) {
    const [suspect] = bad.divergence.suspects, many = suspicious.length;
    const whose = many === 1 ? bad.label : `${bad.label} and ${many - 1} more`;
    const text = `Look here before choosing: ${whose} compute${many === 1 ? "s" : ""} something that the number ` +
      `formats do not explain, first ${operationName(suspect!)} (${suspectText(suspect!, bad.divergence)}).`;
    return { text, kind: "bad" };
  }
  const same = settings.filter(({ predictions: { all } }) => all.kl.max === 0).map(({ label }) => label);
  const rest = settings.filter(({ predictions: { all } }) => all.kl.max !== 0);
  const [best] = rest;
  if (best === undefined) {
    const whose = settings.length === 1 ? settings[0]!.label : "every setting";
    const { positions } = headline(settings[0]!.predictions);
    return { text: `On ${counted(positions, "token")}, ${whose} predicts exactly what ${first} does.`, kind: "good" };
  }
  const but = same.length === 0
    ? ""
    : `${same.join(" and ")} predict${same.length === 1 ? "s" : ""} exactly the same; ${
      rest.length > 1 ? "of the others " : ""
    }`;
  const { positions, kl: { log_mean: typical, mean }, same_top: top } = headline(best.predictions);
  const on = `On ${positions} ${best.predictions.reply === null ? "tokens" : "tokens of replies"}`;
  if (mean.value === null) return { text: `${on}, predictions of ${best.label} are not finite.`, kind: "bad" };
  const distance = `typical KL ${measured(typical)} nats`;
  if (ranking === null) {
    const text = `${on}, ${best.label} is ${measured(typical)} nats of typical KL from ${first} (mean KL ` +
      `${measured(mean)}) and agrees ` +
      `in ${measuredShare(top)} of the likeliest tokens, with 95% confidence each; ` +
      (knowsOwn(best.divergence)
        ? "every operation's own error is one that the number formats explain."
        : "own errors are not known, as both run on several ranks.");
    return { text, kind: "good" };
  }
  const close = notApart(ranking, best.key).filter((key) => rest.some((one) => one.key === key)),
    pairs = ranking.pairs.length;
  const label = (key: string) => settings.find((setting) => setting.key === key)!.label;
  if (close.length === 0) {
    const next = rest[1];
    if (next === undefined) {
      return { text: `${on}, ${but}${best.label} is the only setting that does not (${distance}).`, kind: "good" };
    }
    // The one from which it is told the least surely, which need not be the next in order.
    const p = (other: RankedSetting) => pairOf(ranking, best.key, other.key)?.typical_p ?? null;
    const hardest = rest.slice(1).reduce((most, other) => (p(other) ?? 1) > (p(most) ?? 1) ? other : most, next);
    const text =
      `${on}, ${but}${best.label} stays closest to ${first} (${distance}), closer than every other ${
        same.length === 0 ? "one" : "of these"
      } with ` +
      `95% confidence (p ${certainty(p(hardest))} against ${hardest.label}, corrected for ${pairs} pairs).`;
    return { text, kind: "good" };
  }
  const tokens = Math.max(...close.map((key) => fewestTokens(pairOf(ranking, best.key, key)!, ranking) ?? 0));
  const enough = tokens > 0 ? `; to tell them all apart takes ${roughTokens(tokens, Math.floor)} tokens or more` : "";
  const names = close.slice(0, NAMED_OTHERS).map(label).join(", ");
  const others = close.length > NAMED_OTHERS ? `${names} and ${close.length - NAMED_OTHERS} more` : names;
  const text =
    `${on}, ${but}${best.label} comes closest to ${first} (${distance}), but cannot be told from ${others} with ` +
    `95% confidence (corrected for ${pairs} pairs)${enough}.`;
  return { text, kind: "plain" };
}
