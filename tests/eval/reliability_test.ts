/** How sure a model is of its replies, and how often it is right. */
import type { Answer } from "../../src/eval/answers.ts";
import { reliabilityBins } from "../../src/eval/reliability.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

/** Answers in no order: that of index i has this probability. */
const answers = (count: number, probability: (i: number) => number, correct: (i: number) => boolean) =>
  Array.from({ length: count }, (_, place) => place * 7 % count).map((index) =>
    ({ index, logProbability: Math.log(probability(index)), "flexible-extract": { correct: correct(index) } }) as Answer
  );

Deno.test("reliabilityBins() has as many bins of 20 problems as there are, the least sure first", () => {
  const count = (n: number) => reliabilityBins(answers(n, (i) => (i + 1) / n, () => true)).map((bin) => bin.problems);
  assertEquals([count(19), count(20), count(59), count(60)], [[], [20], [30, 29], [20, 20, 20]]);
  assertEquals(count(1000), Array(10).fill(100));

  const bins = reliabilityBins(answers(40, (i) => (i + 1) / 40, (i) => i >= 15 && i !== 39));
  // Of the first half the mean of 1 to 20 fortieths, and five right; of the second 21 to 40, and all right but one.
  bins.forEach(({ confidence }, i) => assertAlmostEquals(confidence, [10.5, 30.5][i]! / 40, 1e-12));
  assertEquals(bins.map(({ accuracy }) => accuracy), [5 / 20, 19 / 20]);
  // Clopper and Pearson's intervals, by SciPy's binomtest.
  bins.forEach(({ low, high }, i) => {
    const [from, to] = [[0.08657147, 0.49104587], [0.75126724, 0.99873491]][i]!;
    assertAlmostEquals(low, from!, 1e-7);
    assertAlmostEquals(high, to!, 1e-7);
  });
});

Deno.test("reliabilityBins() takes a reply without a probability for the least sure, and equals by their index", () => {
  const all = answers(40, () => 0.5, (i) => i < 20).map((one) => ({
    ...one,
    logProbability: one.index === 39 ? null : one.logProbability,
  }));
  const [first, second] = reliabilityBins(all as Answer[]);
  assertEquals([first!.accuracy, second!.accuracy], [19 / 20, 1 / 20]);
  assertAlmostEquals(first!.confidence, 0.5 * 19 / 20, 1e-12);
});

Deno.test("a bin's interval holds its mean probability 95 times of 100 where a model is right as often as sure", () => {
  // How sure a model may be of 20 to 39 problems, which are one bin.
  const shapes: readonly ((part: number) => number)[] = [
    (part) => part,
    (part) => part < 0.5 ? 0.02 : 0.98,
    (part) => part ** 8,
    (part) => 1 - part ** 8,
    (part) => 10 ** (-12 * part),
    (part) => part === 0 ? 0.02 : 1e-9,
    () => 0.9,
    () => 0.5,
  ];
  for (const count of [20, 27, 39]) {
    for (const [at, shape] of shapes.entries()) {
      const sure = (i: number) => shape(i / count);
      // How likely it is that so many are right, one problem after the other.
      let chances = [1];
      for (let i = 0; i < count; i++) {
        const p = sure(i);
        chances = [...chances, 0].map((stay, right) => stay * (1 - p) + (chances[right - 1] ?? 0) * p);
      }
      let held = 0;
      chances.forEach((chance, right) => {
        const [bin] = reliabilityBins(answers(count, sure, (i) => i < right));
        if (bin!.low <= bin!.confidence && bin!.confidence <= bin!.high) held += chance;
      });
      assert(held >= 0.95, `${count} problems of shape ${at}: ${held}`);
    }
  }
});
