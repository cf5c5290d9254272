/** The form of what is said of predictions in `results.json`; see `results_schema.ts`. */
import { z } from "zod";
import { count, number } from "./schema_fields.ts";

/** A number with its 95% interval. */
export function estimated(what: string) {
  return z.strictObject({
    value: number("the estimate"),
    low: number("lower end of the 95% interval; null where there is none"),
    high: number("upper end; null where the data do not bound it"),
  }).describe(what);
}

/** What a number with its interval is in results. */
export type Estimated = z.infer<ReturnType<typeof estimated>>;

/** An interval of a number that stands elsewhere. */
export const range = (what: string) =>
  z.strictObject({
    low: number("lower end; null where there is none"),
    high: number("upper end; null where the data do not bound it"),
  }).describe(what);

const PART = {
  positions: count("positions compared"),
  kl: z.strictObject({
    mean: estimated("mean of KL(A || B), in nats"),
    log_mean: estimated(
      "e to the mean of log KL, below 1e-12 taken for that: the divergence of a typical token, which no single one " +
        "decides",
    ),
    median: estimated("median"),
    p90: estimated("what 90% do not exceed"),
    p95: estimated("95%"),
    p99: estimated("99%"),
    p99_9: estimated("99.9%"),
    max: number("largest"),
    max_at: z.strictObject({ sequence: count("sequence or problem"), position: count("position in it") }).describe(
      "where it is",
    ),
    max_share: number("part of the sum of all that the largest holds"),
  }).describe("divergence of the predictions"),
  same_top: estimated("share of positions where both hold the same token for the likeliest"),
  repetition: z.strictObject({
    mean: range("of kl.mean"),
    log_mean: range("of kl.log_mean"),
    same_top: range("of same_top"),
    nll_increase: range("of next.nll_increase").nullable().describe("of next.nll_increase; null where next is"),
  }).optional().describe(
    "what as much other text would give 95 times of 100: wider than the intervals, which are for the truth; files of " +
      "earlier versions have none",
  ),
  predicted: count("positions whose next token is known, which the following is about"),
  next: z.strictObject({
    probability_change: estimated("probability of the next token, B minus A, mean"),
    probability_change_rms: estimated("root of its mean square"),
    nll_increase: estimated("negative log probability of the next token, B minus A, in nats"),
    perplexity_a: number("perplexity under A"),
    perplexity_b: number("perplexity under B"),
    perplexity_a_interval: range("95% interval of perplexity_a").optional(),
    perplexity_b_interval: range("of perplexity_b").optional(),
    perplexity_ratio: estimated("perplexity under B over that under A"),
  }).nullable().describe("probability of the token that follows; of a reply, the one that A chose"),
};

/** Predictions of one setting beside those of the first. */
export const PredictionsResult = z.strictObject({
  sequences: count("sequences computed"),
  tokens: count("tokens computed"),
  all: z.strictObject(PART).describe("all tokens"),
  reply: z.strictObject(PART).nullable().describe("those that predict tokens of replies, fields as under all; or null"),
  prompt: z.strictObject(PART).nullable().describe("those that predict tokens of prompts, likewise"),
});
/** Predictions of one setting beside those of the first. */
export type PredictionsResult = z.infer<typeof PredictionsResult>;
/** What they are for some of the tokens. */
export type PredictionsPart = PredictionsResult["all"];

const order = (by: string) => z.array(z.string()).describe(`keys by ${by}, the least first`);
const groups = z.array(z.array(z.string())).describe(
  "runs of neighbours in this order no two of which can be told apart; a setting may be in several",
);

/** Why no more sequences were computed. */
export const Stopped = z.enum(["asked", "settled", "precise", "spent"]).describe(
  "why there are not more sequences: so many were asked for, or runs that were joined have so many in common; all " +
    "settings are told apart; intervals are as narrow as wanted; there are no more",
);
/** Why no more sequences were computed. */
export type Stopped = z.infer<typeof Stopped>;

/** How settings compare with one another. */
export const RankingResult = z.strictObject({
  part: z.enum(["reply", "all"]).describe("tokens that are looked at"),
  tokens: count("how many"),
  typical: z.strictObject({ order: order("log_mean"), groups }).describe("by the divergence of a typical token"),
  mean: z.strictObject({ order: order("mean"), groups }).describe("by mean divergence"),
  pairs: z.array(z.strictObject({
    a: z.string().describe("key of the setting with the smaller log_mean"),
    b: z.string().describe("key of the other"),
    typical_ratio: estimated("log_mean of b over that of a, on the same tokens"),
    typical_p: number("p-value of their being equal, corrected for the number of pairs (Holm)"),
    typical_tokens: number(
      "tokens that tell them apart four times in five if they differ by typical_ratio; null where nothing differs",
    ),
    mean_difference: estimated("mean divergence of b minus that of a, on the same tokens"),
    mean_p: number("p-value, corrected likewise"),
    mean_tokens: number("tokens, likewise; null also where one has no divergence at all"),
  })).describe("any two of the settings but the first"),
});
/** How settings compare with one another. */
export type RankingResult = z.infer<typeof RankingResult>;
