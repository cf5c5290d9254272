/**
 * Sequences that one text was cut into, whose neighbours are of the same articles: intervals that take them for
 * independent are too narrow, and those that follow how alike neighbours are hold the truth.
 */
import {
  APART_TEXTS,
  CAUTIOUS,
  type Estimate,
  groupings,
  ONE_TEXT,
  type Origin,
  PLAIN,
  rareRatio,
  signedMean,
  TRUTH,
  widest,
} from "../../src/eval/intervals.ts";
import { pairedMean } from "../../src/eval/paired_mean.ts";
import { nllIncrease, perplexityOf } from "../../src/eval/perplexity.ts";
import type { SequencePredictions } from "../../src/eval/predictions.ts";
import { klGroups, summarizePredictions } from "../../src/eval/prediction_summary.ts";
import { pooledShares } from "../../src/eval/largest_places.ts";
import { QuantizedCounter } from "../../src/eval/quantized_tensors.ts";
import { quantileOf, shareOf } from "../../src/eval/shares.ts";
import { wilsonInterval } from "../../src/eval/statistics.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { compared, openSide, quantized, TWO_TURNS } from "./sides.ts";
import { Normal } from "./simulated.ts";

const ORIGINS: readonly Origin[] = [APART_TEXTS, ONE_TEXT];

/** Tokens of a sequence: one block. */
const TOKENS = 33;

/** How surprising tokens are, in sequences of articles each of which goes on with this probability. */
function text(normal: Normal, count: number, goesOn: number): Float64Array[] {
  let level = 1;
  return Array.from({ length: count }, () => {
    if (normal.random.fraction() >= goesOn) level = Math.exp(0.4 * normal.next() - 0.08);
    return Float64Array.from({ length: TOKENS }, () => level * Math.exp(normal.next() - 0.5));
  });
}

type Of = (sequences: Float64Array[], origin: Origin) => Estimate;

const MEASURES: Readonly<Record<string, readonly [of: Of, truth: number]>> = {
  perplexity: [(s, origin) => rareRatio(groupings(s, origin), TRUTH, "surprise"), 1],
  "typical KL": [(s, origin) => signedMean(s.map((values) => values.map(Math.log)), TRUTH, origin), -0.58],
  // Half of the tokens are more than what the logarithm is on average.
  share: [
    (s, origin) => shareOf(s.map((values) => values.map((x) => x > Math.exp(-0.58) ? 1 : 0)), TRUTH, origin),
    0.5,
  ],
  median: [(s, origin) => quantileOf(s, 0.5, origin), Math.exp(-0.58)],
};

/** Share of texts whose interval holds the truth, and the mean of the logarithm of its width. */
function coverage([of, truth]: readonly [Of, number], origin: Origin, count: number, goesOn: number) {
  const normal = new Normal(new Random(83n)), tries = dose(60, 1000);
  let held = 0, width = 0;
  for (let i = 0; i < tries; i++) {
    const { low, high } = of(text(normal, count, goesOn), origin);
    if (low <= truth && truth <= high) held++;
    width += Math.log(high - low) / tries;
  }
  return { held: held / tries, width };
}

for (const [what, measure] of Object.entries(MEASURES)) {
  Deno.test(`intervals of a text's ${what} hold the truth where neighbours are of one article`, () => {
    const [apart, one] = ORIGINS.map((origin) => coverage(measure, origin, 64, 0.75));
    assert(one!.held >= 0.9 && apart!.held < 0.75, `${one!.held}, and ${apart!.held} as independent ones`);
    // What it costs where neighbours are no more alike than others.
    const [plain, wider] = ORIGINS.map((origin) => coverage(measure, origin, 64, 0));
    assert(wider!.held >= 0.93 && wider!.width - plain!.width < 0.2, `${wider!.held}, ${wider!.width - plain!.width}`);
  });
}

Deno.test("settings that are as far on average are told apart by a text's articles as seldom as promised", () => {
  const normal = new Normal(new Random(89n)), tries = dose(100, 1000), wrong = [0, 0];
  for (let i = 0; i < tries; i++) {
    const [a, b] = [text(normal, 64, 0.75), text(normal, 64, 0.75)];
    ORIGINS.forEach((origin, at) => {
      if (pairedMean(groupings(a, origin), groupings(b, origin)).p < 0.05) wrong[at]!++;
    });
  }
  assert(wrong[1]! <= 0.1 * tries && wrong[0]! > 0.2 * tries, `${wrong} of ${tries}`);
});

/** Sequences of a token each. */
const single = (values: readonly number[]) => values.map((x) => Float64Array.of(x));

Deno.test("neighbours count by the autocorrelations before the first that is not positive, and never as more", () => {
  const spread = (values: readonly number[], origin: Origin, caution: number) => {
    const [whole] = groupings(single(values), origin);
    return widest([whole!], caution);
  };
  // Autocorrelations are 1/8 and 0, and then not looked at: 1 + 2/8 times the variance.
  const alike = [3, 3, 3, 1, 1, 1, 3, 1], times = 1.25;
  const [plain, one] = ORIGINS.map((origin) => spread(alike, origin, PLAIN));
  assertAlmostEquals(plain!.error, Math.sqrt(1 / 7), 1e-12);
  assertAlmostEquals(one!.error, Math.sqrt(times / 7), 1e-12);
  assertEquals([plain!.freedom, one!.freedom], [7, 7 / times]);
  assertAlmostEquals(spread(alike, ONE_TEXT, CAUTIOUS).freedom, 4 / times, 1e-12);
  const turns = [3, 1, 3, 1, 3, 1, 3, 1];
  assertEquals(spread(turns, ONE_TEXT, PLAIN), spread(turns, APART_TEXTS, PLAIN));
});

Deno.test("a share has as many trials at least as sequences would be if those that are alike were one", () => {
  const of = (origin: Origin) =>
    shareOf(Array.from({ length: 8 }, (_, s) => new Float64Array(40).fill(s < 4 ? 1 : 0)), TRUTH, origin);
  // Autocorrelations are 5/8 and 2/8, and then -1/8.
  for (const [origin, trials] of [[APART_TEXTS, 8], [ONE_TEXT, 8 / (1 + 2 * 7 / 8)]] as const) {
    const { low, high } = wilsonInterval(trials / 2, trials), found = of(origin);
    assertAlmostEquals(found.low, low, 1e-12, origin);
    assertAlmostEquals(found.high, high, 1e-12, origin);
  }
});

/** Sequences of a text of which one half is unlike the other, in its order, or in turns. */
function halves(inTurns: boolean): Float64Array[] {
  return Array.from({ length: 64 }, (_, s) => {
    const level = (inTurns ? s % 2 === 0 : s < 32) ? 0.4 : 0.2;
    return Float64Array.from({ length: 64 }, (_, i) => level * (1 + (7 * i + s) % 5));
  });
}

const widthOf = ({ low, high }: { low: number; high: number }) => high - low;

Deno.test("perplexities of a text follow how alike its neighbours are, and so do their changes", () => {
  const measured = [false, true].map((inTurns) => {
    const entries = halves(inTurns).map((nll, index) => ({ index, nll: [...nll] }));
    const third = entries.map(({ index, nll }) => ({ index, nll: nll.map((x) => 1.3 * x) }));
    const { nll, perplexity, bitsPerByte } = perplexityOf(entries, { bytes: 9000, tokens: 64 * 64 });
    return [nll, perplexity, bitsPerByte, nllIncrease(entries, third)].map(widthOf);
  });
  measured[0]!.forEach((inOrder, i) => assert(inOrder > 2 * measured[1]![i]!, `${inOrder} ${measured[1]![i]}`));
});

Deno.test("predictions of a text follow how alike its neighbours are, and those of replies do not", () => {
  const summary = (replyFrom: number | null) => {
    const sequences = halves(false).map((kl, index): SequencePredictions => ({
      ...{ index, replyFrom, kl: [...kl], agrees: Array.from(kl, (x) => x < 0.5 ? 1 : 0).join("") },
      nllA: Array.from(kl, (x) => x / 2),
      nllB: Array.from(kl, (x) => 2 * x),
    }));
    const { kl, sameTop, repetition, next } = summarizePredictions(sequences).all;
    const { change, changeRms, nllIncrease, nllIncreaseAgain, perplexityA, perplexityB, perplexityRatio } = next!;
    const follows = klGroups(sequences, "all")[0]!.map((one) => one.follows === true);
    assertEquals(follows, new Array(64).fill(replyFrom === null));
    return [
      ...[kl.mean, kl.logMean, kl.quantiles[0]!, sameTop, repetition.mean, repetition.logMean, repetition.sameTop],
      ...[change, changeRms, nllIncrease, nllIncreaseAgain, perplexityA, perplexityB, perplexityRatio],
    ].map(widthOf);
  };
  const [ofText, ofReplies] = [summary(null), summary(0)];
  ofText.forEach((one, i) => assert(one > ofReplies[i]!, `number ${i}: ${one} ${ofReplies[i]}`));
});

/** The ends of all intervals in a result, with where they are. */
function intervalsIn(result: unknown, at = ""): [at: string, width: number][] {
  if (typeof result !== "object" || result === null) return [];
  const { low, high } = result as { low?: unknown; high?: unknown };
  if (typeof low === "number" && typeof high === "number") return [[at, high - low]];
  return Object.entries(result).flatMap(([key, value]) => intervalsIn(value, `${at}/${key}`));
}

Deno.test("errors, shares and flips of a text's layers follow how alike its neighbours are", async () => {
  // Half of the sequences are the same few tokens, and so are all of the other half.
  const sequences = [20, 60].flatMap((from) => new Array<Int32Array>(4).fill(TWO_TURNS.subarray(from, from + 11)));
  const found = async (replyFrom: number | null) => {
    const sides = [openSide(), openSide(quantized(() => ({ kind: "mx", element: "e2m1", rule: "even" })))] as const;
    const { operations, router, tensors, largest, pooled } = await compared(...sides, sequences, {}, replyFrom);
    return intervalsIn({ operations, router, tensors, largest, pooled });
  };
  const [ofText, ofReplies] = [await found(null), await found(0)], wider = new Set<string>();
  assertEquals(ofText.map(([at]) => at), ofReplies.map(([at]) => at));
  ofText.forEach(([at, inOrder], i) => {
    assert(inOrder >= ofReplies[i]![1], `${at}: ${inOrder} ${ofReplies[i]![1]}`);
    if (inOrder > ofReplies[i]![1]) wider.add(at.replace(/[0-9]+/g, ""));
  });
  assertEquals([...wider], [
    ...["/operations//total/interval", "/operations//own/interval", "/router/perLayerIntervals/"],
    ...["/tensors//b/errorInterval", "/largest//interval"],
  ]);
});

Deno.test("shares of a text's inputs follow how alike its neighbours are, of a layer and of all together", () => {
  const format = { kind: "fp8_static", scale: 1 } as const, width = 8;
  const found = ORIGINS.map((origin) => {
    const counter = new QuantizedCounter({ name: "x", layer: 0, operation: "inputNorm", format }, origin);
    for (let sequence = 0; sequence < 16; sequence++) {
      // Half of what the first half of the text has becomes zero.
      const row = Float32Array.from({ length: width }, (_, i) => sequence < 8 && i % 2 === 0 ? 1e-9 : 1);
      const rows = Float32Array.from({ length: 64 * width }, (_, i) => row[i % width]!);
      counter.add(rows, width, { sequence, start: 0, perToken: 1 });
    }
    const tensor = { name: "x.input", layer: 0, a: null, b: counter, changes: null };
    const pooled = pooledShares([tensor, { ...tensor, layer: 1 }]).find(({ what }) => what === "to_zero")!;
    return [counter.counts().intervals.flushed!, pooled].map(widthOf);
  });
  found[1]!.forEach((inOrder, i) => assert(inOrder > 1.3 * found[0]![i]!, `${inOrder} ${found[0]![i]}`));
});
