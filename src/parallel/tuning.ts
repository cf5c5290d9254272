/** How ranks of one process sum: by the library, or from memory to memory where that is faster, by measurement. */
import type { SumTimes } from "../backends/gpu/membership.ts";
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
 * @param devices Ordinals, by rank.
 * @param most Most tokens of a batch.
 * @param library Name of the collective library.
 * @param measured False: from memory to memory wherever that can be.
 */
export async function tune(
  ranks: Ranks,
  devices: readonly number[],
  most: number,
  library: string,
  measured: boolean,
): Promise<Tuning> {
  const offered = await ranks.all(() => ({ kind: "offer" }));
  const offers = offered.flatMap((reply) => reply.kind === "offered" ? [reply.memory] : []);
  const able = await ranks.all(() => ({ kind: "exchange", offers, devices }));
  const by = `sums by ${library}`;
  if (!able.every((reply) => reply.kind === "exchanges" && reply.able)) return { tokens: 0, text: by };
  const tokens = TOKENS.filter((n) => n <= most);
  const tuned = await ranks.all(() => ({ kind: "tune", tokens }));
  const times = slowest(tuned), chosen = measured ? fasterUpTo(times) : most;
  await ranks.all(() => ({ kind: "choose", tokens: chosen }));
  if (chosen === 0) return { tokens: 0, text: by };
  const { library: by1, exchange } = times[0]!;
  const others = chosen < most ? `, others by ${library}` : "";
  const one = `${exchange.toFixed(1)} us for one instead of ${by1.toFixed(1)} us by ${library}`;
  const text = `sums of up to ${chosen} tokens from memory to memory (${one})${others}`;
  return { tokens: chosen, text };
}

/** The slowest rank's time counts: the others wait for it. */
function slowest(replies: readonly RankReply[]): SumTimes[] {
  const all = replies.flatMap((reply) => reply.kind === "tuned" ? [reply.times] : []);
  return all[0]!.map(({ tokens }, i) => ({
    tokens,
    library: Math.max(...all.map((times) => times[i]!.library)),
    exchange: Math.max(...all.map((times) => times[i]!.exchange)),
  }));
}

/** The largest number of tokens up to which it is never slower from memory to memory; 0: for none. */
export function fasterUpTo(times: readonly SumTimes[]): number {
  const slower = times.findIndex(({ library, exchange }) => exchange > library);
  return slower < 0 ? times.at(-1)?.tokens ?? 0 : times[slower - 1]?.tokens ?? 0;
}
