/**
 * Differences of two settings on the same tokens. Expected decimals are from SciPy 1.17.1 and NumPy 2.4.6: means
 * without one observation each, Student's t, and Hall's cubic of it, whose inverse is found by Brent's method, as are
 * the sizes of samples: where these begin to show what they show from there on.
 */
import { groupings } from "../../src/eval/intervals.ts";
import { type PairedMean, pairedMean, type Statistic, timesNeeded } from "../../src/eval/paired_mean.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { cubes, LENGTHS } from "./simulated.ts";

/** A setting, and one that has less of the same values, each at another token. */
function pair(lengths: readonly number[]): [Float64Array[], Float64Array[]] {
  const first = cubes(lengths);
  const second = first.map((values, s) => values.map((_, i) => values.at(i - 7)! * (0.5 + 0.1 * (s % 4))));
  return [first, second];
}

/**
 * The difference, its interval, its p-value and its error; the p-value where rare values may own the means; times the
 * tokens at hand that show it at 5% and 0.5%, and where rare values may own the means.
 */
const EXPECTED: readonly (readonly [what: string, lengths: readonly number[], expected: readonly number[]])[] = [
  ["nine", LENGTHS.nine, [
    ...[0.204035207826, -0.124403184501, 1.20736863465, 0.0307808911345, 0.0513102411728, 0.0964616081923],
    ...[1.03342864475, 1.86239094281, 1.49751016487, 2.71670017793],
  ]],
  ["two", LENGTHS.two, [
    ...[0.16728894799, -0.349391125499, 0.893732258458, 0.151801719464, 0.0406636036659, 0.151801719464],
    ...[1.82666829826, 3.32017444214, 1.82666829826, 3.32017444214],
  ]],
  ["few", LENGTHS.few, [
    ...[0.147575716695, -0.268144706214, 0.731331021622, 0.0552333776795, 0.0327179068448, 0.138893650789],
    ...[1.1807986896, 2.14245600805, 1.71513830072, 3.11878141185],
  ]],
  ["sixty", Array.from({ length: 60 }, (_, s) => 33 + s % 5), [
    ...[0.180441965851, 0.151835747754, 0.211766063512, 2.56457423169e-12, 0.012984122695, 2.78211522193e-8],
    ...[0.108197674773, 0.195979923324, 0.164804238812, 0.299586828594],
  ]],
];

Deno.test("pairedMean() and timesNeeded() give what SciPy does, in either direction", () => {
  for (const [what, lengths, expected] of EXPECTED) {
    const [a, b] = pair(lengths).map((sequences) => groupings(sequences));
    for (const [first, second, sign] of [[a!, b!, 1], [b!, a!, -1]] as const) {
      const plain = pairedMean(first, second), rare = pairedMean(first, second, true);
      const found = [
        ...[sign * plain.value, ...(sign > 0 ? [plain.low, plain.high] : [-plain.high, -plain.low])],
        ...[plain.p, plain.error, rare.p],
        ...[plain, rare].flatMap((one) => [0.05, 0.005].map((level) => timesNeeded(one, level)!)),
      ];
      found.forEach((x, i) =>
        assertAlmostEquals(x, expected[i]!, (i < 6 ? 1e-9 : 1e-7) * Math.abs(expected[i]!), `${what}, number ${i}`)
      );
      assertEquals([rare.value, rare.low, rare.high, rare.error], [plain.value, plain.low, plain.high, plain.error]);
    }
  }
});

Deno.test("pairedMean() of next to no difference has SciPy's p-value, 1 where skewness takes it past 0", () => {
  const first = cubes(LENGTHS.nine);
  for (const [factor, p] of [[0.9, 0.90202908752], [0.892, 0.974820788672], [0.894, 1]] as const) {
    const second = first.map((values, s) => values.map((_, i) => values.at(i - 7)! * factor * (1 + 0.1 * (s % 4))));
    assertAlmostEquals(pairedMean(groupings(first), groupings(second), true).p, p, 1e-9);
  }
});

Deno.test("pairedMean() tells nothing by one sequence, and equal differences by their signs alone", () => {
  const [a, b] = pair([700]).map((sequences) => groupings(sequences)),
    one = pairedMean(a!, b!),
    same = pairedMean(a!, a!);
  assert(one.low < one.value && one.value < one.high);
  assertEquals([one.p, one.error, one.tests], [1, Infinity, []]);
  assertEquals([same.value, same.p, same.tests], [0, 1, []]);
  // Of six sequences, of however many blocks each.
  const alike = [2, 64].map((length) => {
    const filled = (x: number) => groupings(Array.from({ length: 6 }, () => new Float64Array(length).fill(x)));
    return pairedMean(filled(3), filled(1));
  });
  for (const { value, p, error, tests } of alike) assertEquals([value, p, error, tests], [2, 2 ** -5, 0, []]);
  assertEquals([one, same, ...alike].map((none) => timesNeeded(none, 0.05)), [null, null, null, null]);
});

Deno.test("pairedMean() tells one that is the reference everywhere by signs, and nothing of two that are", () => {
  const none = groupings(Array.from({ length: 7 }, () => new Float64Array(40)));
  const other = groupings(Array.from({ length: 7 }, (_, s) => new Float64Array(40).fill(s === 3 ? 90 : 1 + s / 9)));
  for (const [first, second] of [[none, other], [other, none]] as const) {
    const rare = pairedMean(first, second, true), plain = pairedMean(first, second);
    assertEquals([rare.p, rare.tests, timesNeeded(rare, 0.05)], [2 ** -6, [], null]);
    // One text owns the mean, by which Student's t tells nothing.
    assert(plain.p > 0.3 && plain.tests.length === 1, `${plain.p}`);
  }
  for (const rare of [false, true]) {
    for (const same of [none, other]) assertEquals(pairedMean(same, same, rare).p, 1);
  }
});

const statistics = (...tests: [t: number, freedom: number, skewness: number][]): PairedMean => ({
  ...{ value: 1, low: 0, high: 2, p: 1, error: 1 },
  tests: tests.map(([t, freedom, skewness]): Statistic => ({ t, freedom, skewness })),
});

Deno.test("timesNeeded() finds how often all tests need the tokens, less than once too, as SciPy does", () => {
  const expected: [times: number, tests: PairedMean][] = [
    [2.51538190856, statistics([2, 3, 0], [-2.5, 8, 0.4])],
    [2.51538190856, statistics([-2.5, 8, 0.4], [2, 3, 0])],
    [78502.0917281, statistics([0.01, 40, 0])],
    [0.346589799572, statistics([30, 2, 0.1])],
    [8.12379867816, statistics([1.5, 20, -1.2])],
    // Where skewness takes it to the other side of 0, it shows nothing, however far that is.
    [157.593747620, statistics([0.5, 40, -15])],
    [7.44789078661, statistics([1, 40, -15])],
  ];
  for (const [times, tests] of expected) assertAlmostEquals(timesNeeded(tests, 0.05)!, times, 1e-7 * times);
  // What is not finite shows nothing, nor does what no number of tokens does.
  for (const none of [statistics([2, 3, 0], [NaN, 3, 0]), statistics([1e-200, 3, 0]), statistics()]) {
    assertEquals(timesNeeded(none, 0.05), null);
  }
});
