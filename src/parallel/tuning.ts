/** How ranks sum: by the library, or from memory to memory where that is faster, by measurement. */
import type { SumTimes } from "../backends/gpu/membership.ts";
import { median } from "../median.ts";
import { atPlace, type Rounding, unitsOf } from "../rounding.ts";
import type { RankReply } from "./messages.ts";
import type { Ranks } from "./ranks.ts";

/** Numbers of tokens whose sums are measured. */
const TOKENS = [1, 4, 16, 64, 256, 1024];

/** What was chosen. */
export interface Tuning {
  /** Sums of up to so many tokens go from memory to memory. */
  readonly tokens: number;
  /** In words, for `--stats`. */
  readonly text: string;
}

/**
 * Lets ranks that have joined find out how they sum fastest.
 *
 * @param perProcess So many ranks are threads of each process.
 * @param most Most tokens of a batch.
 * @param library Name of the collective library.
 * @param measured False: from memory to memory wherever that can be.
 */
export async function tune(
  ranks: Ranks,
  perProcess: number,
  most: number,
  library: string,
  measured: boolean,
): Promise<Tuning> {
  const places = { perProcess }, abroad = perProcess < ranks.count;
  const offered = await ranks.all(() => ({ kind: "offer", abroad }));
  const offers = offered.flatMap((reply) => reply.kind === "offered" ? [reply.memory] : []);
  const answers = await ranks.all(() => ({ kind: "exchange", offers, places }));
  const able = Math.min(most, ...answers.map((reply) => reply.kind === "exchanges" ? reply.tokens : 0));
  const by = `sums by ${library}`;
  if (able === 0) return { tokens: 0, text: by };
  // The largest batch as well: what is not measured goes by the library.
  const tokens = [...TOKENS.filter((n) => n < able), able];
  const tuned = await ranks.all(() => ({ kind: "tune", tokens }));
  const times = slowest(tuned), chosen = measured ? fasterUpTo(times) : able;
  await ranks.all(() => ({ kind: "choose", tokens: chosen }));
  if (chosen === 0) return { tokens: 0, text: by };
  const { library: by1, exchange } = times[0]!;
  const others = chosen < most ? `, others by ${library}` : "";
  const one = `${spreadText(exchange)} for one instead of ${spreadText(by1)} by ${library}`;
  const text = `sums of up to ${chosen} tokens from memory to memory (${one})${others}`;
  return { tokens: chosen, text };
}

/** The slowest rank's time counts: the others wait for it. */
function slowest(replies: readonly RankReply[]): SumTimes[] {
  const all = replies.flatMap((reply) => reply.kind === "tuned" ? [reply.times] : []);
  const most = (of: (times: readonly SumTimes[]) => readonly number[]) =>
    of(all[0]!).map((_, replay) => Math.max(...all.map((times) => of(times)[replay]!)));
  return all[0]!.map(({ tokens }, i) => ({
    tokens,
    library: most((times) => times[i]!.library),
    exchange: most((times) => times[i]!.exchange),
  }));
}

/**
 * The median of some times with the least and the largest of them, in two digits; those are rounded outward, so that
 * what is written holds all times.
 */
export function spreadText(microseconds: readonly number[]): string {
  const text = (value: number, to: Rounding) => {
    const place = value > 0 ? Math.floor(Math.log10(value)) - 1 : 0;
    return `${atPlace(unitsOf(value, place, to), place)}`;
  };
  const least = text(Math.min(...microseconds), Math.floor), most = text(Math.max(...microseconds), Math.ceil);
  return `${text(median(microseconds), Math.round)} us [${least}, ${most}]`;
}

/** The largest number of tokens up to which it is never slower from memory to memory, by medians; 0: for none. */
function fasterUpTo(times: readonly SumTimes[]): number {
  const slower = times.findIndex(({ library, exchange }) => median(exchange) > median(library));
  return slower < 0 ? times.at(-1)?.tokens ?? 0 : times[slower - 1]?.tokens ?? 0;
}
