/** Intervals of shares and quantiles of tokens, against the textbook's. */
import { type Estimate, flatten, groupings, REPETITION, TRUTH } from "../../src/eval/intervals.ts";
import { quantileOf, quantileOfSorted, quantilesOf, shareOf, shareOfGroups } from "../../src/eval/shares.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { cubes, LENGTHS, population, RARE, sample } from "./simulated.ts";

const COUNT = 400, Z = 1.959963984540054;

/** Values as texts of one token each, in no order. */
const texts = (of: (place: number) => number) =>
  Array.from({ length: COUNT }, (_, i) => Float64Array.of(of(i * 7919 % COUNT)));

Deno.test("shareOf() gives Wilson's interval of independent tokens", () => {
  for (const successes of [0, 3, 40, 200, 397, 400]) {
    const { value, low, high } = shareOf(texts((i) => i < successes ? 1 : 0));
    assertEquals(value, successes / COUNT);
    // Its ends are the shares of which what was seen is 1.96 standard errors away.
    for (const end of [low, high]) {
      if (end === value) assert(end === 0 || end === 1);
      else assertAlmostEquals((value - end) ** 2, Z ** 2 * end * (1 - end) / COUNT, 1e-12);
    }
    assert(low <= value && value <= high && high > low);
  }
});

Deno.test("shareOf() has a trial for each token of two blocks that are equal, and one for a single block", () => {
  // statsmodels 0.15.0: proportion_confint(32, 64, method="wilson"), and of one half of one trial.
  for (const [length, low] of [[64, 0.38102094743947007], [32, 0.05462075552885198]] as const) {
    const found = shareOf([Float64Array.from({ length }, (_, i) => i % 2)]);
    assertAlmostEquals(found.low, low, 1e-12, `${length} tokens`);
    assertAlmostEquals(found.high, 1 - low, 1e-12, `${length} tokens`);
  }
});

Deno.test("quantileOf() of a single block knows no more than one trial does: no rank is ruled out", () => {
  const block = Float64Array.from({ length: 32 }, (_, i) => i * i);
  for (const p of [0.5, 0.9, 0.99]) {
    const { low, high } = quantileOf([block], p);
    assertEquals([low, high], [0, Infinity], `${p}`);
  }
});

Deno.test("shareOf() of none has a trial for each token of six texts, and for each block of fewer", () => {
  for (const [count, trials] of [[6, 6 * 64], [5, 5 * 2]] as const) {
    const { value, low, high } = shareOf(Array.from({ length: count }, () => new Float64Array(64)));
    assertEquals([value, low], [0, 0]);
    assertAlmostEquals(high, Z ** 2 / (trials + Z ** 2), 1e-12);
  }
});

Deno.test("shareOf() for a repetition ends where a test with one variance for two shares tells them apart", () => {
  const of = (successes: number) => shareOf(texts((i) => i < successes ? 1 : 0), REPETITION);
  const apart = (x: number, y: number) => (x - y) ** 2 * COUNT / (Z ** 2 * (x + y) * (1 - (x + y) / 2));
  for (const successes of [40, 200, 360]) {
    const { value, low, high } = of(successes);
    assertEquals(value, successes / COUNT);
    assertAlmostEquals(apart(value, low), 1, 1e-9);
    assertAlmostEquals(apart(value, high), 1, 1e-9);
    assert(low < value && value < high);
  }
  // Not even a share of none is told from three of 400.
  assert(apart(3 / COUNT, 0) < 1);
  assertEquals([of(3).low, of(397).high, of(0).low, of(400).high], [0, 1, 0, 1]);
  for (const [x, y] of [[3 / COUNT, of(3).high], [0, of(0).high], [1, of(400).low]] as const) {
    assertAlmostEquals(apart(x, y), 1, 1e-9);
  }
});

Deno.test("quantileOf() reaches over the ranks that the binomial distribution gives 95%", () => {
  // Of 399 trials (400, rounded down) so many succeed at least and at most, 2.5% beyond either, by exact fractions.
  const counts = { 0.5: [180, 219], 0.9: [29, 52], 0.99: [1, 8], 0.995: [0, 5], 0.999: [0, 2] } as const;
  for (const [p, [fewest, most]] of Object.entries(counts)) {
    const { value, low, high } = quantileOf(texts((i) => i), Number(p));
    assertAlmostEquals(value, Number(p) * 399, 1e-9);
    assertAlmostEquals(low, 399 - most - 1, 1e-9, p);
    // Nobody knows what lies above all.
    if (fewest === 0) assertEquals(high, Infinity);
    else assertAlmostEquals(high, 399 - fewest + 1, 1e-9, p);
  }
  assertEquals(quantileOf([Float64Array.of(5)], 0.5), { value: 5, low: 5, high: Infinity });
});

Deno.test("quantilesOf() has no end that falls where quantiles rise, and holds them as often as without that", () => {
  const all = population(dose(1000, 4000), RARE).map(({ a }) => a), ps = [0.5, 0.9, 0.95, 0.99, 0.999];
  const sorted = flatten(all).sort(), truths = ps.map((p) => quantileOfSorted(sorted, p));
  const rises = (ends: readonly number[]) => ends.every((end, i) => i === 0 || end >= ends[i - 1]!);
  for (const count of [5, 16, 32]) {
    const random = new Random(7n), tries = dose(60, 600), held = ps.map(() => 0);
    let bent = 0, alone = 0;
    for (let i = 0; i < tries; i++) {
      const drawn = sample(all, count, random), found = quantilesOf(drawn, ps);
      assert(rises(found.map(({ low }) => low)) && rises(found.map(({ high }) => high)));
      const own = ps.map((p) => quantileOf(drawn, p));
      if (!rises(own.map(({ low }) => low)) || !rises(own.map(({ high }) => high))) bent++;
      found.forEach(({ value, low, high }, k) => {
        assert(low <= value && value <= high, `${low} ${value} ${high}`);
        if (low <= truths[k]! && truths[k]! <= high) held[k]!++;
        if (own[k]!.low <= truths[k]! && truths[k]! <= own[k]!.high) alone++;
      });
    }
    assert(bent > 0, `${bent} of ${tries} were bent`);
    assertEquals(held.reduce((sum, n) => sum + n), alone);
    assert(Math.min(...held) >= 0.93 * tries, `${count} sequences: ${held} of ${tries}`);
  }
});

/**
 * Shares whose tokens depend on one another: what was seen; the ends for the truth, and those that leave it out a
 * seventh as often; the ends for a repetition. From NumPy (the error of means without one text each), SciPy 1.17.1 and
 * statsmodels 0.15 (Wilson's interval of as many trials as would have that error).
 */
const DEPENDENT: readonly (readonly [what: string, sequences: readonly Float64Array[], expected: readonly number[]])[] =
  [
    ["nine", above(cubes(LENGTHS.nine), 0.2), [
      ...[0.526570048309, 0.444966722491, 0.606778173442, 0.378433613297, 0.670171950613],
      ...[0.410688815296, 0.641037521404],
    ]],
    ["nine, near 1", below(cubes(LENGTHS.nine), 1.9), [
      ...[0.933574879227, 0.763465487744, 0.983922366764, 0.459653759585, 0.9957119603],
      ...[0.719128272445, 1],
    ]],
    // No fewer trials than tokens if these are less alike.
    ["one", above(cubes(LENGTHS.one), 0.2), [
      ...[0.425714285714, 0.389588811911, 0.462650639607, 0.376452427494, 0.476496377937],
      ...[0.374389274025, 0.477852396377],
    ]],
    // No more trials than texts if these are as different as can be.
    ["two", above(cubes(LENGTHS.two), 0.2), [
      ...[0.4875, 0.0863167077784, 0.905461703971, 0.0520329539927, 0.942806545326],
      ...[0, 1],
    ]],
    ["two, near 1", below(cubes(LENGTHS.two), 1.9), [
      ...[0.983333333333, 0.338053124868, 0.99985331217, 0.199610998444, 0.999928361214],
      ...[0.0187753586188, 1],
    ]],
    ["few", above(cubes(LENGTHS.few), 0.2), [
      ...[0.5, 0.354261814181, 0.645738185819, 0.19098822953, 0.80901177047],
      ...[0.289372895767, 0.710627104233],
    ]],
    // One text has the error: as many degrees of freedom as a quarter of the others goes, 1 to 2.
    ["odd of 4", odd(4), [
      ...[0.583333333333, 0.200843373089, 0.886348761612, 0.130398212318, 0.92893124414],
      ...[0, 1],
    ]],
    ["odd of 7", odd(7), [
      ...[0.547619047619, 0.287177212501, 0.784357645528, 0.167729235902, 0.879098130638],
      ...[0.158552867167, 0.909613078558],
    ]],
    ["odd of 12", odd(12), [
      ...[0.527777777778, 0.410028676492, 0.642515308292, 0.245825399115, 0.793057319763],
      ...[0.359569765987, 0.692890318732],
    ]],
    // Blocks of the only text.
    ["one odd block", [Float64Array.from({ length: 96 }, (_, i) => i < 32 || i >= 64 ? 1 : 0)], [
      ...[0.666666666667, 0.207659600802, 0.93850805528, 0.135347604899, 0.962340228912],
      ...[0, 1],
    ]],
    // A single observation is worth one trial, equal ones their tokens.
    ["one block", [Float64Array.of(1, 0, 1, 1, 0)], [
      ...[0.6, 0.0771193585074, 0.964190504368, 0.0446139903151, 0.979667610397],
      ...[0, 1],
    ]],
    ["equal", Array.from({ length: 8 }, () => Float64Array.from({ length: 32 }, (_, i) => i % 2)), [
      ...[0.5, 0.439205558589, 0.560794441411, 0.417097666153, 0.582902333847],
      ...[0.413704138437, 0.586295861563],
    ]],
  ];

function above(sequences: readonly Float64Array[], line: number): Float64Array[] {
  return sequences.map((values) => values.map((x) => x > line ? 1 : 0));
}

function below(sequences: readonly Float64Array[], line: number): Float64Array[] {
  return sequences.map((values) => values.map((x) => x < line ? 1 : 0));
}

/** Texts of 30 tokens, half of them 1; in one text 25. */
function odd(texts: number): Float64Array[] {
  return Array.from(
    { length: texts },
    (_, s) => Float64Array.from({ length: 30 }, (_, i) => s === 3 && i < 20 ? 1 : i % 2),
  );
}

Deno.test("shares of tokens that depend on one another have as many trials as SciPy finds by their error", () => {
  for (const [what, sequences, expected] of DEPENDENT) {
    const { value, low, high } = shareOf(sequences), rarer = shareOfGroups(groupings(sequences), TRUTH, 7);
    const again = shareOf(sequences, REPETITION);
    assertEquals([rarer.value, again.value], [value, value]);
    [value, low, high, rarer.low, rarer.high, again.low, again.high].forEach((x, i) =>
      assertAlmostEquals(x, expected[i]!, 1e-10, `${what}, number ${i}`)
    );
    const others = shareOf(sequences.map((values) => values.map((x) => 1 - x)));
    assertAlmostEquals(others.low, 1 - high, 1e-12, what);
    assertAlmostEquals(others.high, 1 - low, 1e-12, what);
  }
  // Two equal blocks of the only text are worth their tokens as well.
  const half = (length: number) => Float64Array.from({ length }, (_, i) => i % 2);
  assertEquals(shareOf([half(64)]), shareOf(Array.from({ length: 2 }, () => half(32))));
  // Nothing on one side of a few blocks.
  const all = shareOf(below(cubes(LENGTHS.one), 1.9));
  assertEquals([all.value, all.high], [1, 1]);
  assertAlmostEquals(all.low, 0.845360981075, 1e-10);
});

Deno.test("quantileOf() reaches over the ranks of as many trials as a share of dependent tokens has", () => {
  // SciPy's binom.ppf and NumPy's quantiles.
  const expected = [
    ["nine", 0.5, 0.2343858525, 0.0857680292857, 0.498292174286],
    ["nine", 0.9, 1.6198506399, 0.656833743294, Infinity],
    ["nine", 0.99, 2.80400217561, 1.6198506399, Infinity],
    ["one", 0.5, 0.1314843705, 0.100894734667, 0.160511914387],
    ["one", 0.9, 0.7463897099, 0.688766186944, 0.807155299797],
    ["one", 0.99, 1.00604215819, 0.946853715588, Infinity],
    ["two", 0.99, 1.91489787982, 0.175649509, Infinity],
    ["few", 0.5, 0.2015393805, 2.7e-8, Infinity],
    ["few", 0.99, 2.33732438382, 0.053140328, Infinity],
  ] as const;
  const check = ({ value, low, high }: Estimate, numbers: readonly number[], what: string) =>
    [value, low, high].forEach((x, i) => {
      if (x !== numbers[i]) assertAlmostEquals(x, numbers[i]!, 1e-10, `${what}, number ${i}`);
    });
  for (const [name, p, ...numbers] of expected) check(quantileOf(cubes(LENGTHS[name]), p), numbers, `${name} ${p}`);
  // Values that are equal to the quantile are no larger than it.
  const zeros = cubes(LENGTHS.nine).map((values, s) => values.map((x) => x < 0.2 * (1 + s % 3) ? 0 : x));
  check(quantileOf(zeros, 0.5), [0, 0, 0], "half of them 0");
  check(quantileOf(zeros, 0.6), [0.2812691832, 0, 0.458466537338], "less than 0.6 of them 0");
});

Deno.test("quantileOf() counts tokens equal to the quantile as no larger, where texts differ in larger ones", () => {
  // Two of eight texts have all that is larger than 1, each has as many zeros: a trial for each text, not token.
  const sequences = Array.from(
    { length: 8 },
    (_, s) => Float64Array.from({ length: 50 }, (_, i) => i < 20 ? 0 : s < 2 ? 2 : 1),
  );
  assertEquals(quantileOf(sequences, 0.7), { value: 1, low: 0, high: Infinity });
});

Deno.test("quantilesOf() takes what is not a number for more than any, and does not lose its order to it", () => {
  const ps = [0.5, 0.9, 0.98, 0.999], values = texts((i) => i < 396 ? i : NaN);
  const all = quantilesOf(texts((i) => i), ps), found = quantilesOf(values, ps);
  assertEquals(found.slice(0, 2), all.slice(0, 2));
  // The 98% may be among those 1%, and the 99.9% is.
  assertEquals([found[2]!.value, found[2]!.high, found[3]!.value], [all[2]!.value, Infinity, NaN]);
});
