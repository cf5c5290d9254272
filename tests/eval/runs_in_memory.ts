/** Finished runs of four sequences of a text that are held in memory, for tests of what is made of runs made apart. */
import type { FinishedRun } from "../../src/eval/finished_run.ts";
import type { SequenceNll } from "../../src/eval/perplexity.ts";
import { summarizePredictions } from "../../src/eval/prediction_summary.ts";
import type { SequencePredictions } from "../../src/eval/predictions.ts";
import { predictionsResult } from "../../src/eval/predictions_result.ts";
import type { PerplexityResults } from "../../src/eval/results_schema.ts";
import { type AnsweredCell, headsOf } from "../../src/eval/task.ts";
import { PERPLEXITY } from "../../src/eval/tasks/perplexity.ts";
import { COST, divergence, SETTING } from "./results.ts";

/** Sequences of the text, and tokens of each. */
const SEQUENCES = 4, LENGTH = 3;

/** A number that is another one for every setting, sequence and token. */
const measure = (scheme: string, index: number, token: number) =>
  (scheme.charCodeAt(0) % 7 + 1) * (1 + index) * (1 + token / 8) / 64;

export const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);
const answer = (scheme: string, index: number): SequenceNll => ({
  index,
  nll: [0, 1].map((token) => 1 + measure(scheme, index, token)),
});
const prediction = (scheme: string, index: number, length = LENGTH): SequencePredictions => ({
  index,
  replyFrom: null,
  kl: upTo(length).map((token) => measure(scheme, index, token)),
  agrees: "1".repeat(length),
  nllA: upTo(length - 1).map(() => 1),
  nllB: upTo(length - 1).map((token) => 1 + measure(scheme, index, token)),
});

/** What of a run is not as it usually is. */
export interface Unusual {
  /** Indices of the sequences in the order in which they are in a cell's journal, by scheme. */
  readonly answered?: Readonly<Record<string, readonly number[]>>;
  readonly predicted?: Readonly<Record<string, readonly number[]>>;
  /** Sequences on which predictions are compared. */
  readonly sequences?: number;
  /** Token ids of a cell's first answer, as those of problems have them, by scheme. */
  readonly replied?: Readonly<Record<string, readonly number[]>>;
  /** Tokens of a compared sequence, by scheme. */
  readonly length?: Readonly<Record<string, number>>;
  /** By scheme. */
  readonly calibratedOn?: Readonly<Record<string, string>>;
}

/** A finished run under some schemes, all compared with the first. */
export function run(dir: string, schemes: readonly string[], unusual: Unusual = {}): FinishedRun<PerplexityResults> {
  const { answered = {}, predicted = {}, sequences = SEQUENCES, replied = {}, length = {}, calibratedOn = {} } =
    unusual;
  const heads = headsOf(schemes.map((scheme) => ({
    asked: { model: null, scheme, kvCacheDtype: "auto" as const, tp: 1, ep: 1 },
    protocol: { ...SETTING, scheme, calibrated_on: calibratedOn[scheme] ?? null },
    cost: COST,
  })));
  const cells = heads.map((cell): AnsweredCell<SequenceNll> => ({
    cell,
    entries: upTo(SEQUENCES).map((index) => answer(cell.asked.scheme!, index)),
  }));
  const text = {
    ...{ name: "text", sha256: "d".repeat(64), bytes: 40 },
    ...{ tokens: SEQUENCES * LENGTH, sequence_length: LENGTH, repeated: 0 },
  };
  const results = PERPLEXITY.summarize({ text }, cells, {
    mxoss: "1",
    bandwidth: null,
    divergences: heads.slice(1).map(({ key, asked }) => ({
      key,
      predictions: predictionsResult(
        summarizePredictions(upTo(sequences).map((index) => prediction(asked.scheme!, index, length[asked.scheme!]))),
      ),
      stopped: "asked",
      divergence: divergence(0.1),
    })),
    ranking: null,
  });
  const kept = new Map<string, readonly unknown[]>(heads.flatMap(({ key, asked: { scheme } }) => [
    [
      `nll.${key}`,
      (answered[scheme!] ?? upTo(SEQUENCES)).map((index) => ({
        ...answer(scheme!, index),
        ...(replied[scheme!] === undefined ? {} : { ids: index === 0 ? replied[scheme!] : [7] }),
      })),
    ],
    [
      `predictions.${key}`,
      (predicted[scheme!] ?? upTo(sequences)).map((index) => prediction(scheme!, index, length[scheme!])),
    ],
  ]));
  return {
    dir,
    path: `${dir}/results.json`,
    results,
    has: (name) => kept.has(name),
    read: (name, _header, read) => new Map(kept.get(name)!.map(read).map((entry) => [entry.index, entry])),
  };
}
