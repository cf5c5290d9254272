/**
 * Comparisons that break formulas: hardly any tokens, all alike, ties, a setting that is the reference. Nothing that is
 * printed may be NaN, and no interval may be a point, which would claim certainty.
 */
import { summarizePredictions } from "../../src/eval/prediction_summary.ts";
import { predictionsResult, rankingOf } from "../../src/eval/predictions_result.ts";
import type { SequencePredictions } from "../../src/eval/predictions.ts";
import { PredictionsResult, RankingResult } from "../../src/eval/predictions_schema.ts";
import { stopsAt } from "../../src/eval/prediction_run.ts";
import {
  predictionLines,
  predictionRows,
  predictionTable,
  promptLines,
  rankingText,
  repetitionTable,
} from "../../src/eval/report/prediction_tables.ts";
import { flatten, groupings, rareRatio, rareSignedMean } from "../../src/eval/intervals.ts";
import { Random } from "../../src/session/random.ts";
import type { NamedDivergence } from "../../src/eval/report/plot_parts.ts";
import { fewTextsNote } from "../../src/eval/summary.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { dose } from "../soak.ts";
import { population, RARE, sample } from "./simulated.ts";

/** A sequence with these divergences, whose likeliest token is the same where they are small. */
function sequence(index: number, kl: readonly (number | null)[], replyFrom: number | null = null): SequencePredictions {
  return {
    index,
    replyFrom,
    kl: [...kl],
    agrees: kl.map((x) => x !== null && x < 0.1 ? "1" : "0").join(""),
    nllA: kl.slice(1).map(() => 0.25),
    nllB: kl.slice(1).map((x) => x === null ? null : 0.25 + x),
  };
}

const alike = (count: number, tokens: number, kl: number, replyFrom: number | null = null) =>
  Array.from({ length: count }, (_, i) => sequence(i, new Array<number>(tokens).fill(kl), replyFrom));

const CASES: readonly [what: string, sequences: SequencePredictions[]][] = [
  ["one token", alike(1, 1, 0.01)],
  ["two tokens, the second one's next unknown", alike(1, 2, 0.01)],
  ["one block", [sequence(0, [1e-3, 0.2, 0, 1e-9, 0.3])]],
  ["one sequence of equal divergences", alike(1, 640, 0.01)],
  ["16 sequences of equal divergences", alike(16, 64, 0.01)],
  ["the reference itself", alike(16, 64, 0)],
  ["the reference itself, with replies", alike(16, 64, 0, 20)],
  ["one prompt whose reply is one token", [sequence(0, [0.1, 0.02, 0.3], 2)]],
  ["replies without a token", alike(3, 20, 0.01, 20)],
  ["prompts without a token", alike(3, 20, 0.01, 0)],
  ["divergences too small to square", alike(4, 64, 1e-200)],
  ["one token of many", [...alike(15, 64, 0), sequence(15, [...new Array<number>(63).fill(0), 5])]],
  ["every likeliest token another one", alike(8, 64, 2)],
  [
    "half of the likeliest tokens in every block",
    alike(8, 64, 0).map(({ index, kl }) => sequence(index, kl.map((_, i) => i % 2))),
  ],
  ["a token that is not finite", [...alike(3, 40, 0.01), sequence(3, [0.1, null, 0.2])]],
  ["no token that is finite", [sequence(0, [null, null, null]), sequence(1, [null, null])]],
];

/** Intervals that are printed as points, and what is no number. */
function untrue(text: string): string[] {
  const points = [...text.matchAll(/\[(\S+), (\S+)\]/g)].filter(([, low, high]) => low === high && low !== "-");
  return [...points.map(([interval]) => interval), ...(text.match(/NaN|undefined|Infinity/g) ?? [])];
}

const named = (label: string, sequences: SequencePredictions[]): NamedDivergence => ({
  label,
  predictions: PredictionsResult.parse(predictionsResult(summarizePredictions(sequences))),
  divergence: null as never,
});

for (const [what, sequences] of CASES) {
  Deno.test(`nothing is certain or NaN of ${what}`, () => {
    const setting = named("B", sequences), { predictions } = setting;
    const tables = [
      predictionLines([setting]),
      predictionTable([setting]),
      repetitionTable([setting]),
      promptLines([setting]),
    ];
    const text = JSON.stringify([tables, predictionRows(predictions.all)]);
    assertEquals(untrue(text), []);
    for (const part of [predictions.all, predictions.reply, predictions.prompt]) {
      if (part === null) continue;
      for (const { value, low, high } of [part.kl.mean, part.kl.log_mean, part.same_top]) {
        if (value === null) continue;
        assert(low === null || low <= value && (high === null || value <= high), `${low} <= ${value} <= ${high}`);
        assert(low === null || high === null || low < high, "an interval of no width");
      }
    }
  });
}

Deno.test("settings with the same divergences, or of one sequence, are never told apart", () => {
  for (const [what, sequences] of CASES) {
    const twice = ["x", "y"].map((key) => ({ key, sequences }));
    const ranking = RankingResult.parse(rankingOf(twice));
    assertEquals(ranking.pairs.map(({ typical_p, mean_p }) => [typical_p, mean_p]), [[1, 1]], what);
    assertEquals(untrue(rankingText(ranking, "asked", (key) => key).join("\n")), [], what);
    assert(stopsAt(twice, 0.2) !== "settled", what);
  }
  // However long it is: all its blocks may differ as those of no other text do.
  const one = [["x", 0.01], ["y", 0.02]] as const;
  for (const tokens of [20, 2000]) {
    const of = (kl: number) => [sequence(0, Array.from({ length: tokens }, (_, i) => kl * (1 + i % 7 / 100)))];
    const ranking = rankingOf(one.map(([key, kl]) => ({ key, sequences: of(kl) })))!;
    assertEquals([ranking.pairs[0]!.typical_p, ranking.pairs[0]!.typical_tokens], [1, null]);
  }
});

Deno.test("differences that are all the same are worth their signs, not certainty", () => {
  const pair = (count: number) =>
    rankingOf([["x", 0.01], ["y", 0.02]].map(([key, kl]) => ({
      key: key as string,
      sequences: alike(count, 64, kl as number),
    })))!.pairs[0]!;
  assertEquals([pair(2).typical_p, pair(16).mean_p, pair(8).typical_p], [0.5, 2 ** -15, 2 ** -7]);
  // Six blocks say nothing of rare tokens, which may own a mean.
  assertEquals([pair(3).typical_p, pair(3).mean_p], [0.25, 1]);
  const { mean_difference: { value, low, high }, mean_tokens: tokens } = pair(3);
  assertEquals([value! > 0, low, high, tokens], [true, null, null, null]);
});

Deno.test("intervals of a few long texts hold means that rare tokens own, of some texts more", () => {
  const random = new Random(47n), made = population(1200, { ...RARE, unsure: 0.01 }, 11n), tries = dose(60, 400);
  // Ten sequences in a row are one text, and in one text of six the tokens that diverge do so ten times as much.
  const texts = Array.from(
    { length: 120 },
    (_, i) => made.slice(10 * i, 10 * i + 10).flatMap(({ a }) => Array.from(a, (x) => i % 6 === 0 ? 10 * x : x)),
  );
  const truth = texts.flat().reduce((sum, x) => sum + x, 0) / texts.flat().length;
  for (const count of [2, 3, 5, 8]) {
    const held = Array.from({ length: tries }, () => rareRatio(groupings(sample(texts, count, random))))
      .filter(({ low, high }) => low <= truth && truth <= high).length;
    assert(held >= 0.93 * tries, `${count} texts: ${held} of ${tries}`);
  }
});

Deno.test("intervals of one to eight sequences hold means that rare tokens own", () => {
  const random = new Random(9n);
  for (const shape of [RARE, { ...RARE, median: 0.01, spread: 2 }]) {
    const all = population(1000, shape, 5n);
    const measures = [
      [all.map(({ a }) => a), (values: Float64Array[]) => rareRatio(groupings(values))],
      [all.map(({ change }) => change), (values: Float64Array[]) => rareSignedMean(values)],
    ] as const;
    for (const [sequences, estimate] of measures) {
      const values = flatten(sequences), truth = values.reduce((sum, x) => sum + x, 0) / values.length;
      for (const count of [1, 2, 4, 8]) {
        const tries = dose(100, 1000);
        const held = Array.from({ length: tries }, () => estimate(sample(sequences, count, random)))
          .filter(({ low, high }) => low <= truth && truth <= high).length;
        assert(held >= 0.93 * tries, `${count} sequences: ${held} of ${tries}`);
      }
    }
  }
});

Deno.test("a line says of fewer than six sequences what their intervals leave open, and of more nothing", () => {
  const kl = Array.from({ length: 1024 }, (_, i) => 1 / (1 + i % 7));
  const high = (count: number) => rareRatio(groupings(new Array<number[]>(count).fill(kl))).high;
  assertEquals([1, 2, 5, 6].map((count) => Number.isFinite(high(count))), [false, false, false, true]);
  assertMatch(fewTextsNote(1).join(), /^one sequence: /);
  assertMatch(fewTextsNote(2).join(), /^2 sequences: .* 6 or more bound them$/);
  assertMatch(fewTextsNote(5).join(), /^5 sequences: /);
  assertEquals([fewTextsNote(6), fewTextsNote(0)], [[], []]);
});
