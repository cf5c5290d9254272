/** How fast a generation was, for `--stats` and `--json`. */
import { counted, rateText } from "../amounts.ts";
import { float } from "../json_numbers.ts";
import type { FinishReason, Timings } from "../session/generate.ts";

/** How a generation ended: by itself, or by Ctrl-C. */
export type Ending = FinishReason | "interrupted";

/** Tokens per second of a generation's two parts; null where one was not, or not all of it, computed. */
export interface Speeds {
  readonly prefill: number | null;
  readonly decode: number | null;
}

/**
 * How fast a generation was. The first token of a reply comes out of the prefill: without it nobody knows that an
 * interrupted prompt was computed.
 */
export function speeds(timings: Timings, ending: Ending): Speeds {
  const { promptTokens, prefillMilliseconds, generatedTokens, decodeMilliseconds } = timings;
  return {
    prefill: ending === "interrupted" && generatedTokens === 0 ? null : promptTokens / prefillMilliseconds * 1000,
    decode: generatedTokens > 1 ? (generatedTokens - 1) / decodeMilliseconds * 1000 : null,
  };
}

/** What `--json` says of a generation's times. */
export function timingsJson(timings: Timings, { prefill, decode }: Speeds, loadMilliseconds: number) {
  const rate = (value: number | null) => value === null ? null : float(value);
  return {
    load_ms: float(loadMilliseconds),
    prompt_tokens: timings.promptTokens,
    prefill_ms: float(timings.prefillMilliseconds),
    prefill_tokens_per_second: rate(prefill),
    generated_tokens: timings.generatedTokens,
    decode_ms: float(timings.decodeMilliseconds),
    decode_tokens_per_second: rate(decode),
  };
}

/** The line of `--stats`; `more` is what it ends with. */
export function statistics(
  timings: Timings,
  { prefill, decode }: Speeds,
  loadMilliseconds: number,
  more: readonly string[],
): string {
  const rate = (value: number | null) => value === null ? "-" : `${rateText(value)} tok/s`;
  return [
    `load ${loadMilliseconds.toFixed(0)} ms`,
    `prefill ${counted(timings.promptTokens, "token")}, ${rate(prefill)}`,
    `decode ${counted(timings.generatedTokens, "token")}, ${rate(decode)}`,
    ...more,
  ].join("; ");
}
