import type { Pair } from "../../src/eval/lockstep.ts";
import { RouterFlips, type RouterSummary } from "../../src/eval/router_flips.ts";
import { Random } from "../../src/session/random.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";
import { dose } from "../soak.ts";
import { Normal, sample } from "./simulated.ts";

/** Routing of tokens in one layer, under both settings. */
function pairOf(layer: number, a: readonly number[][], b: readonly number[][]): Pair {
  const [expertsA, expertsB] = [a, b].map((tokens) => Int32Array.from(tokens.flat()));
  const nothing = new Float32Array(0);
  return { layer, operation: "route", rows: a.length, width: 0, start: 0, a: nothing, b: nothing, expertsA, expertsB };
}

Deno.test("RouterFlips counts tokens whose set of experts differs, and how near a tie they were", () => {
  const flips = new RouterFlips({ layers: 2, topK: 3, experts: 6 });
  const logits = Float32Array.of(
    ...[9, 8, 7, 6, 5, 4], // in another order
    ...[0, 5, 3, 4, 2, 1], // one of three
    ...[6, 5, 4, 3.5, 3, 1], // two of three: the nearest pair is 5 of the lost and 3.5 of the gained
  );
  const at = { sequence: 2, start: 10, tokens: Int32Array.from({ length: 20 }, (_, i) => 100 + i) };
  flips.add(
    pairOf(1, [[0, 1, 2], [1, 3, 2], [0, 1, 2]], [[2, 0, 1], [1, 3, 4], [2, 3, 4]]),
    logits,
    at,
  );
  const { decisions, flipped, perLayer, perLayerIntervals, flips: listed } = flips.summary();
  assertEquals([decisions, flipped, perLayer], [3, 2, [0, 2 / 3]]);
  assertEquals(perLayerIntervals[0], null);
  assert(perLayerIntervals[1]!.low < 2 / 3 && perLayerIntervals[1]!.high > 2 / 3);
  assertEquals(listed, [
    { layer: 1, sequence: 2, position: 11, token: 111, lost: [2], gained: [4], margin: 1 },
    { layer: 1, sequence: 2, position: 12, token: 112, lost: [0, 1], gained: [3, 4], margin: 1.5 },
  ]);
});

Deno.test("RouterFlips lists the first 1,000 flips and counts all of them", () => {
  const flips = new RouterFlips({ layers: 1, topK: 1, experts: 2 }), length = 700;
  const tokens = Int32Array.from({ length }, (_, i) => i), logits = new Float32Array(2 * length);
  const pair = pairOf(0, Array.from(tokens, () => [0]), Array.from(tokens, () => [1]));
  for (const sequence of [0, 1]) flips.add(pair, logits, { sequence, start: 0, tokens });
  const { decisions, flipped, perLayer, flips: listed } = flips.summary();
  assertEquals([decisions, flipped, perLayer, listed.length], [1400, 1400, [1], 1000]);
  assertEquals(listed.slice(698, 702).map(({ sequence, position }) => [sequence, position]), [
    ...[[0, 698], [0, 699], [1, 0], [1, 1]],
  ]);
  assertEquals([listed.at(-1)!.sequence, listed.at(-1)!.position], [1, 299]);
});

/** Which layers of each token of a sequence choose other experts. */
type Text = readonly (readonly boolean[])[];

function summaryOf(texts: readonly Text[], layers: number): RouterSummary {
  const flips = new RouterFlips({ layers, topK: 1, experts: 2 });
  texts.forEach((text, sequence) => {
    const tokens = new Int32Array(text.length), logits = new Float32Array(2 * text.length);
    for (let layer = 0; layer < layers; layer++) {
      const pair = pairOf(layer, text.map(() => [0]), text.map((flipped) => [Number(flipped[layer])]));
      flips.add(pair, logits, { sequence, start: 0, tokens });
    }
  });
  return flips.summary();
}

/** Texts of 40 to 160 tokens: some have more flips than others, neighbours are alike, and so are layers. */
function texts(count: number, layers: number, threshold: number): Text[] {
  const random = new Random(17n), normal = new Normal(random);
  return Array.from({ length: count }, () => {
    const level = 0.4 * normal.next();
    let state = normal.next();
    return Array.from({ length: 40 + Math.floor(120 * random.fraction()) }, () => {
      state = 0.5 * state + Math.sqrt(0.75) * normal.next();
      return Array.from({ length: layers }, () => 0.8 * state + 0.6 * normal.next() + level > threshold);
    });
  });
}

Deno.test("intervals of router flips hold the share of all texts, also where no flip was seen", () => {
  let none = 0;
  for (const threshold of [1.5, 2.9, 3.7]) {
    const all = texts(300, 4, threshold), flat = all.flat(2), truth = flat.filter(Boolean).length / flat.length;
    for (const count of [2, 5, 8]) {
      const random = new Random(23n), tries = dose(100, 1000);
      let held = 0;
      for (let i = 0; i < tries; i++) {
        const { flipped, interval } = summaryOf(sample(all, count, random), 4);
        if (flipped === 0) none++;
        if (interval!.low <= truth && truth <= interval!.high) held++;
      }
      assert(held / tries >= 0.93, `${count} texts with flips of ${truth}: ${held} of ${tries}`);
    }
  }
  assert(none > 50, `${none} samples without any flip`);
});

Deno.test("where no router decision changed, tokens bound the share: few texts by blocks, more by their tokens", () => {
  // n / (n + z^2) of Wilson's interval keeps what it has.
  const z2 = 1.959963984540054 ** 2, end = (trials: number) => z2 / (trials + z2);
  const unchanged = (count: number, length: number) =>
    Array.from({ length: count }, () => Array.from({ length }, () => [false, false]));
  for (const [count, length, trials] of [[1, 20, 1], [1, 100, 3], [5, 70, 10], [6, 70, 420]] as const) {
    const { flipped, decisions, interval } = summaryOf(unchanged(count, length), 2);
    assertEquals([flipped, decisions, interval!.low], [0, 2 * count * length, 0]);
    assertAlmostEquals(interval!.high, end(trials), 1e-12);
  }
  assertEquals(summaryOf([], 2).interval, null);
});
