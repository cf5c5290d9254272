/** Whether a model is right as often as it thinks it is. */
import type { Answer } from "./answers.ts";
import { exactInterval } from "./statistics.ts";

/** Problems that the model was about equally sure of. */
export interface ReliabilityBin {
  readonly problems: number;
  /**
   * Mean probability that the model gave its own reply, 0 to 1. It is of just these problems, and known: it is what
   * their share of right ones is expected to be where the model is right as often as it is sure. So it has no interval;
   * that of `accuracy` then holds it 95 times of 100 or more, as right replies of several probabilities vary less than
   * as many of the mean one (W. Hoeffding, "On the distribution of the number of successes in independent trials",
   * 1956).
   */
  readonly confidence: number;
  /** Share of them that the flexible filter finds right, with its exact 95% interval. */
  readonly accuracy: number;
  readonly low: number;
  readonly high: number;
}

/** Fewest problems of a bin: fewer say nothing about a share. */
const FEWEST = 20;
const MOST_BINS = 10;

/**
 * Bins of equal size, from the least to the most probable replies; none where there are too few problems.
 *
 * @param answers Of a run that kept log probabilities: one without is of a reply whose sum was not finite.
 */
export function reliabilityBins(answers: readonly Answer[]): ReliabilityBin[] {
  const bins = Math.min(MOST_BINS, Math.floor(answers.length / FEWEST));
  const sorted = answers
    .map((answer) => ({
      index: answer.index,
      probability: Math.exp(answer.logProbability ?? -Infinity),
      right: answer["flexible-extract"].correct ? 1 : 0,
    }))
    .sort((a, b) => a.probability - b.probability || a.index - b.index);
  return Array.from({ length: bins }, (_, i) => {
    const part = sorted.slice(
      Math.round(i * sorted.length / bins),
      Math.round((i + 1) * sorted.length / bins),
    );
    const mean = (of: (entry: (typeof part)[number]) => number) =>
      part.reduce((sum, entry) => sum + of(entry), 0) / part.length;
    const problems = part.length, right = part.reduce((sum, entry) => sum + entry.right, 0);
    const accuracy = right / problems;
    return { problems, confidence: mean((e) => e.probability), accuracy, ...exactInterval(right, problems) };
  });
}
