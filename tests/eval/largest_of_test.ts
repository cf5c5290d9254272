/** Where the most is: simulated layers whose largest is known, which layer is named, and what is said of it. */
import { type Candidate, largestOf } from "../../src/eval/largest_of.ts";
import { groupings, positiveRatio, skewedRatio, TRUTH } from "../../src/eval/intervals.ts";
import { TAIL } from "../../src/eval/statistics.ts";
import { shareOfGroups } from "../../src/eval/shares.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { Normal } from "./simulated.ts";

const bound = (groups: Candidate["groups"], choices: number) => ({
  low: positiveRatio(groups, TRUTH, TAIL / choices).low,
  high: skewedRatio(groups).high,
});

/** Layers of these errors on texts of 40 tokens; a text is as hard for all layers, but for a part of its own. */
function layers(truths: readonly number[], texts: number, own: number, normal: Normal): Candidate[] {
  const shared = Array.from({ length: texts }, () => normal.next());
  return truths.map((truth, layer) => {
    const values = shared.map((hard) => {
      const level = truth * Math.max(0, 1 + 0.1 * hard + own * normal.next());
      return Float64Array.from({ length: 40 }, (_, i) => level * (1 + i % 5 / 10 - 0.2));
    });
    return { layer, operation: "o_proj", groups: groupings(values) };
  });
}

Deno.test("the largest of layers that are alike is not as large as the one that luck made so", () => {
  const normal = new Normal(new Random(43n)), truths = new Array<number>(24).fill(1), tries = dose(60, 1000);
  for (const texts of [8, 96]) {
    let held = 0, alone = 0, told = 0;
    for (let i = 0; i < tries; i++) {
      const candidates = layers(truths, texts, 0.2, normal),
        { layer, interval, others } = largestOf(candidates, bound)!;
      if (interval.low <= 1 && 1 <= interval.high) held++;
      const own = skewedRatio(candidates[layer]!.groups);
      if (own.low <= 1 && 1 <= own.high) alone++;
      // Any of them is the largest: one that is left out is one told apart.
      if (others.length < 23) told++;
    }
    assert(held >= 0.95 * tries, `${texts} texts: ${held} of ${tries}`);
    assert(texts < 96 || alone < 0.85 * tries, `${texts} texts, by its own interval: ${alone} of ${tries}`);
    assert(told <= 0.3 * tries, `${texts} texts: ${told} of ${tries}`);
  }
});

Deno.test("the true largest is among those that are named, and its error in the interval", () => {
  const normal = new Normal(new Random(47n)),
    tries = dose(100, 1000),
    truths = [1, 1.1, 0.5, 0.4, 0.95, 1.05, 0.3, 0.2];
  for (const texts of [3, 8, 24]) {
    let named = 0, right = 0, held = 0, far = 0;
    for (let i = 0; i < tries; i++) {
      const { layer, interval, others } = largestOf(layers(truths, texts, 0.1, normal), bound)!;
      const set = [layer, ...others.map((other) => other.layer)];
      if (layer === 1) right++;
      if (set.includes(1)) named++;
      if (interval.low <= Math.min(1.1, truths[layer]!) && 1.1 <= interval.high) held++;
      far += set.filter((one) => truths[one]! < 0.6).length / tries;
    }
    assert(named >= 0.95 * tries && held >= 0.95 * tries, `${texts} texts: ${named} and ${held} of ${tries}`);
    assert(texts > 3 || right < 0.9 * tries, `${right} of ${tries}`);
    assert(texts === 3 || far < 0.2, `${texts} texts: ${far} that are half as large`);
  }
});

Deno.test("largestOf() names what is largest, whatever each is relative to, and nothing of what is not finite", () => {
  const candidate = (layer: number, error: number, signal: number): Candidate => {
    const values = Array.from({ length: 8 }, (_, i) => Float64Array.from({ length: 64 }, () => 1 + i % 3 / 10));
    const groups = groupings(values).map((group) =>
      group.map(({ sum }, i) => ({ sum: error * signal * sum * (1 + i % 2 / 50), weight: signal * sum }))
    );
    return { layer, operation: "q_proj", groups };
  };
  const all = [candidate(0, 0, 1), candidate(1, 0.1, 1e6), candidate(2, 0.3, 1e-3), candidate(3, 0.1, 1)];
  const found = largestOf(all, bound)!;
  assertEquals([found.layer, found.operation, found.others], [2, "q_proj", []]);
  assertEquals(found.interval, { low: bound(all[2]!.groups, 1).low, high: bound(all[2]!.groups, 1).high });
  assertEquals(largestOf([all[0]!], bound), null);
  assertEquals(largestOf([all[1]!, candidate(4, Infinity, 1)], bound), null);
  // Twins cannot be told apart.
  assertEquals(largestOf([all[1]!, all[3]!], bound)!.others.length, 1);
});

Deno.test("an interval for so many choices leaves the truth out as seldom, and reaches farther", () => {
  const normal = new Normal(new Random(53n)), [{ groups }] = layers([0.02], 12, 0.3, normal) as [Candidate];
  const share = [1, 2, 10].map((choices) => shareOfGroups(groups, TRUTH, choices));
  const error = [1, 2, 10].map((choices) => positiveRatio(groups, TRUTH, TAIL / choices));
  for (const [one, two, ten] of [share, error]) {
    assert(ten!.low < two!.low && two!.low < one!.low && one!.high < two!.high && two!.high < ten!.high);
  }
});

Deno.test("where nothing of one was compared, the largest of the others is found all the same", () => {
  const [first, second] = layers([1, 3], 8, 0.1, new Normal(new Random(59n))) as [Candidate, Candidate];
  const nothing = first.groups.map((observations) => observations.map(() => ({ sum: 0, weight: 0 })));
  const among = [first, { layer: 2, operation: "experts.down_proj", groups: nothing }, second];
  assertEquals(largestOf(among, bound), largestOf([first, second], bound));
  assertEquals(largestOf(among, bound)?.layer, 1);
  // A difference from what is nothing on the other side is no ratio, and none is the largest then.
  const infinite = nothing.map((observations) => observations.map(() => ({ sum: 1, weight: 0 })));
  assertEquals(largestOf([first, { ...second, groups: infinite }], bound), null);
});

Deno.test("the next largest is told from the largest where a jackknife by SciPy tells their ratios apart", () => {
  // Each text has a signal of its own in either layer. Of ratios without one text each come p-values of
  // 0.145, 0.091, 0.023 and 0.010.
  const observations = (layer: number, lift: number) =>
    Array.from({ length: 12 }, (_, s) => {
      const weight = 50 + (7919 * (s + 1) + 31 * layer * s) % 37;
      return { sum: weight * (1 + (104729 * (s + 1) + 997 * layer * (s + 2)) % 101 / 100 + lift), weight };
    });
  const sumOf = (all: ReturnType<typeof observations>) =>
    all.reduce((a, b) => ({ sum: a.sum + b.sum, weight: a.weight + b.weight }));
  for (const single of [false, true]) {
    const others = [0.2, 0.25, 0.4, 0.5].map((lift) => {
      const [first, second] = ([[1, lift], [2, 0]] as const).map(([layer, by]): Candidate => {
        const own = observations(layer, by);
        // Of a single text blocks are what there is.
        return { layer, operation: "o_proj", groups: single ? [[sumOf(own)], own] : [own, own] };
      });
      const found = largestOf([second!, first!], bound)!;
      assertEquals(found.layer, 1);
      return found.others.length;
    });
    assertEquals(others, [1, 1, 0, 0]);
  }
  // However often its tokens say the same, a text says it once.
  const texts = ([[1, 0.5], [2, 0]] as const).map(([layer, lift]): Candidate => {
    const own = observations(layer, lift).slice(0, 4);
    const blocks = own.flatMap(({ sum, weight }) => new Array(9).fill({ sum: sum / 9, weight: weight / 9 }));
    return { layer, operation: "o_proj", groups: [own, blocks] };
  });
  assertEquals(largestOf(texts, bound)!.others.length, 1);
  const [bare, other] = texts.map((one) => ({ ...one, groups: [one.groups[1]!, one.groups[1]!] }));
  assertEquals(largestOf([bare!, other!], bound)!.others.length, 0);
  // The upper end is the highest of those that may be the largest.
  const uncertain = { layer: 3, operation: "o_proj", groups: groupings([[1], [40], [1], [2], [3]]) };
  const wide = { layer: 4, operation: "o_proj", groups: groupings([[9.9], [9.8], [10], [9.7], [9.9]]) };
  const { layer, others, interval } = largestOf([uncertain, wide], bound)!;
  assertEquals([layer, others.length, interval.high], [4, 1, bound(uncertain.groups, 1).high]);
  assert(interval.high > bound(wide.groups, 1).high && interval.low === bound(wide.groups, 2).low);
});
