/** Predictions and rankings as results hold them: numbers that are not finite become null. */
import { finite } from "./finite.ts";
import { type Estimate, missesRare } from "./intervals.ts";
import {
  klGroups,
  logKlGroups,
  mapped,
  type PartName,
  type PredictionPart,
  type PredictionSummary,
  rangeOf,
} from "./prediction_summary.ts";
import type { SequencePredictions } from "./predictions.ts";
import type { Estimated, PredictionsPart, PredictionsResult, RankingResult } from "./predictions_schema.ts";
import { rank, type Ranking } from "./ranking.ts";

/** What a summary is in results. */
export function predictionsResult({ sequences, tokens, all, reply, prompt }: PredictionSummary): PredictionsResult {
  return {
    sequences,
    tokens,
    all: partResult(all),
    reply: reply && partResult(reply),
    prompt: prompt && partResult(prompt),
  };
}

function partResult({ positions, kl, sameTop, repetition, predicted, next }: PredictionPart): PredictionsPart {
  const [median, p90, p95, p99, p999] = kl.quantiles.map(estimatedResult);
  return {
    positions,
    kl: {
      mean: estimatedResult(kl.mean),
      log_mean: estimatedResult(kl.logMean),
      median: median!,
      p90: p90!,
      p95: p95!,
      p99: p99!,
      p99_9: p999!,
      max: finite(kl.most),
      max_at: { ...kl.mostAt },
      max_share: finite(kl.mostShare),
    },
    same_top: estimatedResult(sameTop),
    repetition: {
      mean: rangeResult(repetition.mean),
      log_mean: rangeResult(repetition.logMean),
      same_top: rangeResult(repetition.sameTop),
      nll_increase: next && rangeResult(next.nllIncreaseAgain),
    },
    predicted,
    next: next && {
      probability_change: estimatedResult(next.change),
      probability_change_rms: estimatedResult(next.changeRms),
      nll_increase: estimatedResult(next.nllIncrease),
      perplexity_a: finite(next.perplexityA.value),
      perplexity_b: finite(next.perplexityB.value),
      perplexity_a_interval: rangeResult(next.perplexityA),
      perplexity_b_interval: rangeResult(next.perplexityB),
      perplexity_ratio: estimatedResult(next.perplexityRatio),
    },
  };
}

/** An estimate in results. */
export function estimatedResult({ value, low, high }: Estimate): Estimated {
  return { value: finite(value), low: finite(low), high: finite(high) };
}

/** The interval of an estimate in results. */
export function rangeResult({ low, high }: Estimate): { low: number | null; high: number | null } {
  return { low: finite(low), high: finite(high) };
}

/** A setting's predictions. */
export interface KeyedPredictions {
  readonly key: string;
  readonly sequences: readonly SequencePredictions[];
}

/** Both orders of some settings. */
export interface Rankings {
  readonly part: "reply" | "all";
  readonly typical: Ranking;
  readonly mean: Ranking;
}

/** Ranks settings by typical and by mean divergence, of reply tokens where there are replies. */
export function rankPredictions(settings: readonly KeyedPredictions[]): Rankings {
  const part: PartName & ("reply" | "all") = settings[0]!.sequences.some(({ replyFrom }) => replyFrom !== null)
    ? "reply"
    : "all";
  const by = (groups: typeof klGroups, rare: boolean) =>
    rank(settings.map(({ key, sequences }) => ({ key, values: groups(sequences, part) })), rare);
  const mean = by(klGroups, true);
  const few = missesRare(klGroups(settings[0]!.sequences, part));
  return { part, typical: by(logKlGroups, false), mean: few ? notApart(mean) : mean };
}

/** An order in which nothing is told from anything else. */
function notApart({ order, pairs }: Ranking): Ranking {
  const open = { low: -Infinity, high: Infinity, p: 1, error: Infinity, tests: [] };
  return {
    order,
    groups: order.length < 2 ? [] : [order],
    pairs: pairs.map((pair) => ({
      ...pair,
      difference: { ...pair.difference, ...open },
      pHolm: 1,
      tokensToSeparate: null,
    })),
  };
}

/** Both orders as results have them; null where there are not two settings to compare. */
export function rankingOf(settings: readonly KeyedPredictions[]): RankingResult | null {
  if (settings.length < 2) return null;
  const rankings = rankPredictions(settings), [first] = settings;
  const tokens = first!.sequences.map((sequence) => rangeOf(sequence, rankings.part));
  return rankingResult(rankings, tokens.reduce((sum, [start, end]) => sum + end - start, 0));
}

/** Both orders in results. */
export function rankingResult({ part, typical, mean }: Rankings, tokens: number): RankingResult {
  const means = new Map(mean.pairs.map((pair) => [`${pair.a} ${pair.b}`, pair]));
  return {
    part,
    tokens,
    typical: { order: [...typical.order], groups: typical.groups.map((group) => [...group]) },
    mean: { order: [...mean.order], groups: mean.groups.map((group) => [...group]) },
    pairs: typical.pairs.map(({ a, b, difference, pHolm, tokensToSeparate }) => {
      // The order by means may be another one.
      const same = means.get(`${a} ${b}`), other = same ?? means.get(`${b} ${a}`)!;
      return {
        a,
        b,
        typical_ratio: estimatedResult(mapped(turned(difference), Math.exp)),
        typical_p: finite(pHolm),
        typical_tokens: tokensToSeparate,
        mean_difference: estimatedResult(same === undefined ? other.difference : turned(other.difference)),
        mean_p: finite(other.pHolm),
        mean_tokens: other.tokensToSeparate,
      };
    }),
  };
}

/** The second minus the first, of the first minus the second. */
function turned({ value, low, high }: Estimate): Estimate {
  return { value: -value, low: -high, high: -low };
}
