/** What a request took, as OpenAI reports it. */
import { z } from "zod";
import type { Outcome } from "../engine/job.ts";

/** Tokens of a request. */
export const Usage = z.strictObject({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.strictObject({ cached_tokens: z.int() }),
});
/** Tokens of a request. */
export type Usage = z.infer<typeof Usage>;

/** The usage of so many tokens; `cached` are some of the prompt's. */
export function usage(prompt: number, completion: number, cached: number): Usage {
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

/**
 * The usage of several sequences.
 *
 * @param replies Replies to each prompt, whose tokens count once.
 */
export function usageOf(outcomes: readonly Outcome[], replies: number): Usage {
  const sum = (of: (outcome: Outcome) => number, every: number) =>
    outcomes.reduce((all, outcome, i) => i % every === 0 ? all + of(outcome) : all, 0);
  return usage(
    sum(({ promptTokens }) => promptTokens, replies),
    sum(({ generatedTokens }) => generatedTokens, 1),
    sum(({ cachedTokens }) => cachedTokens, replies),
  );
}

/** What of the outcomes stands in the log; see {@linkcode usageOf}. */
export function logFields(outcomes: readonly Outcome[], replies: number) {
  const { prompt_tokens, completion_tokens, prompt_tokens_details: { cached_tokens } } = usageOf(outcomes, replies);
  const longest = (of: (outcome: Outcome) => number) => Math.round(Math.max(0, ...outcomes.map(of)));
  return {
    prompt_tokens,
    cached_tokens,
    completion_tokens,
    finish: [...new Set(outcomes.map(({ reason }) => reason))].join(" "),
    queued_ms: longest(({ timings }) => timings.queued),
    prefill_ms: longest(({ timings }) => timings.prefill),
    decode_ms: longest(({ timings }) => timings.decode),
  };
}
