/** Tables of what settings cost, beside how far they are from the first. */
import { rateText } from "../../amounts.ts";
import type { DivergenceResult } from "../divergence_schema.ts";
import type { SettingCost } from "../setting_schema.ts";
import { type Bandwidth, paretoFront, tokensPerSecond } from "../cost.ts";
import type { CompareResults } from "../results_schema.ts";
import type { Estimated, PredictionsResult, RankingResult } from "../predictions_schema.ts";
import { APART } from "../statistics.ts";
import { headline } from "../summary.ts";
import { measured } from "./numbers.ts";
import { type Column, makeTable, type Medium, type Table } from "./table.ts";

/** A setting with its cost. */
export interface CostedSetting {
  readonly label: string;
  readonly cost: SettingCost;
  /** Typical KL from the first setting, which is 0 from itself; null where it was not compared, or is not finite. */
  readonly kl: number | null;
  /** The same with its interval. */
  readonly typical: Estimated | null;
  /** Keys of settings, its own among them, from which paired tests on the same tokens do not tell it. */
  readonly like: ReadonlySet<string>;
  readonly key: string;
}

/** How far a setting is from itself. */
const NONE: Estimated = { value: 0, low: 0, high: 0 };

/** What of an evaluation's results is about cost. */
export interface CostedResults {
  readonly cells: readonly { readonly key: string; readonly label: string; readonly cost: SettingCost }[];
  readonly bandwidth: Bandwidth | null;
  readonly divergences: readonly {
    readonly key: string;
    readonly predictions: PredictionsResult;
    readonly divergence: DivergenceResult;
  }[];
}

/** Settings of an evaluation with their costs; the first is what the others are compared with. */
export function costedSettings(
  { cells, divergences, ranking }: Omit<CostedResults, "bandwidth"> & { readonly ranking: RankingResult | null },
): CostedSetting[] {
  const found = new Map(divergences.map(({ key, predictions }) => [key, headline(predictions).kl.log_mean]));
  return cells.map(({ key, label, cost }, i): CostedSetting => {
    const typical = i === 0 ? NONE : found.get(key) ?? null;
    const alike = (ranking?.pairs ?? []).filter((pair) =>
      (pair.a === key || pair.b === key) && (pair.typical_p ?? 1) >= APART
    ).map(({ a, b }) => a === key ? b : a);
    return { key, label, cost, kl: typical?.value ?? null, typical, like: new Set([key, ...alike]) };
  });
}

/** Both sides of a comparison. */
export function comparedCosts({ cost: { a, b }, divergence }: CompareResults): CostedSetting[] {
  const { log_mean: typical } = divergence.logits.all.kl;
  const side = (key: string) => ({ key, label: key, like: new Set([key]) });
  return [{ ...side("A"), cost: a, kl: 0, typical: NONE }, { ...side("B"), cost: b, kl: typical.value, typical }];
}

/** Settings that no other one beats in both bytes and KL as measured. */
export function onFront(settings: readonly CostedSetting[]): ReadonlySet<CostedSetting> {
  const points = settings.flatMap((setting) =>
    setting.kl === null ? [] : [{ bytes: setting.cost.weight_bytes, kl: setting.kl, setting }]
  );
  return new Set(paretoFront(points).map(({ setting }) => setting));
}

/**
 * Settings than which no other one is surely better: with no more bytes and closer by a paired test, or with fewer and
 * as close to the last bit. Which of those that cannot be told apart is the closest is luck.
 */
export function notBeaten(settings: readonly CostedSetting[]): ReadonlySet<CostedSetting> {
  const known = settings.filter(({ kl }) => kl !== null);
  return new Set(known.filter((setting) =>
    !known.some(({ key, cost: { weight_bytes: bytes }, kl }) => {
      const closer = kl! < setting.kl! && !setting.like.has(key);
      return bytes <= setting.cost.weight_bytes && closer || bytes < setting.cost.weight_bytes && kl === setting.kl;
    })
  ));
}

/** A size with three digits, in decimal units. */
export function sizeText(bytes: number): string {
  const unit = [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]] as const;
  const [name, size] = unit.find(([, least]) => bytes >= least) ?? ["B", 1];
  const value = bytes / size;
  return `${value >= 100 || size === 1 ? value.toFixed(0) : value.toPrecision(3)} ${name}`;
}

/** One row for each setting. */
export function costTable(settings: readonly CostedSetting[], bandwidth: Bandwidth | null, medium: Medium): Table {
  const front = notBeaten(settings), compared = settings.filter(({ kl }) => kl !== null).length > 1;
  const columns: Column<CostedSetting>[] = [
    { head: "setting", cell: ({ label }) => label },
    { head: "weights", kind: "right", cell: ({ cost }) => sizeText(cost.weight_bytes) },
    { head: "bits per weight", short: "bits/w", kind: "right", cell: ({ cost }) => cost.bits_per_weight.toFixed(2) },
    { head: "KV per token", short: "KV/token", kind: "right", cell: ({ cost }) => sizeText(cost.kv_bytes_per_token) },
    {
      head: "read per token",
      short: "read/token",
      kind: "right",
      cell: ({ cost }) => sizeText(cost.active_bytes_per_token),
    },
  ];
  if (bandwidth !== null) {
    columns.push({
      head: `tokens/s at most, ${bandwidth.name}`,
      short: "tok/s",
      kind: "right",
      cell: ({ cost }) => rateText(tokensPerSecond(cost, bandwidth)),
    });
  }
  if (compared) {
    columns.push({ head: "typical KL", cell: ({ typical }) => typical === null ? "-" : measured(typical) });
    columns.push({ head: "front", cell: (setting) => front.has(setting) ? "*" : "" });
  }
  return makeTable(columns, settings, medium);
}

/** What must be known to read {@linkcode costTable}. */
export function costNotes(settings: readonly CostedSetting[], bandwidth: Bandwidth | null): string[] {
  return [
    ...(settings.some(({ kl }, i) => i > 0 && kl !== null)
      ? ["front *: no other setting has as few bytes of weights and is closer, as far as paired tests can tell"]
      : []),
    ...(bandwidth === null ? [] : [
      `tok/s: what ${
        sizeText(bandwidth.bytes_per_second)
      }/s (${bandwidth.name}) allow one sequence at its beginning, ` +
      "on all devices together",
    ]),
  ];
}
