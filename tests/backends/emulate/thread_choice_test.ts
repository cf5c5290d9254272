import { ThreadChoice, threadCounts } from "../../../src/backends/emulate/thread_choice.ts";
import { assert, assertEquals } from "../../assert.ts";

/** What else a machine does to steps. */
interface Noise {
  /** Standard deviation of a step's time, a part of it. */
  readonly deviation: number;
  /** Part of all steps that take 1.3 to 2.8 times as long. */
  readonly spikes: number;
  /** By how much the first step is longer where there were fewer threads before; a third is left after `wakes`. */
  readonly wake: number;
  readonly wakes: number;
}
const NONE: Noise = { deviation: 0, spikes: 0, wake: 0, wakes: 1 };
/** Quartiles 3% to either side of the median, as on 64 cores; threads that were asleep. */
const USUAL: Noise = { deviation: 0.045, spikes: 0.03, wake: 0.15, wakes: 4 };
/** As {@linkcode USUAL}, but that more threads need fifteen steps until they are as fast as they get. */
const WAKING: Noise = { ...USUAL, wake: 0.2, wakes: 8 };

/** Steps of a {@linkcode ThreadChoice} that take `time(threads)` and noise; the same for a seed. */
function machineOf(all: number, time: (threads: number) => number, noise = NONE, seed = 1) {
  let now = 0, state = seed, before = Infinity, since = Infinity;
  const random = () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ state >>> 15, state | 1);
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61);
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  };
  const choice = new ThreadChoice(threadCounts(all), () => now);
  /** Runs so many steps; their sum without noise, and how many threads computed each. */
  const run = (steps: number, started = all) => {
    const counts: number[] = [];
    let sum = 0;
    for (let i = 0; i < steps; i++) {
      const threads = choice.begin(started);
      since = threads > before ? 0 : threads < before ? Infinity : since + 1;
      before = threads;
      const luck = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
      const spike = random() < noise.spikes ? 1.3 + 1.5 * random() : 1;
      const waking = 1 + noise.wake * Math.exp(-since / noise.wakes);
      now += time(threads) * Math.exp(noise.deviation * luck) * spike * waking;
      sum += time(threads);
      counts.push(threads);
      choice.end();
    }
    return { sum, counts };
  };
  return { choice, run };
}

Deno.test("all of a few threads begin, and half of many, but 32 at least", () => {
  assertEquals([1, 2, 4, 7, 8, 9, 16, 32].map(threadCounts), [
    ...[[1], [2], [4], [7], [2, 4, 6, 8], [3, 5, 7, 9], [4, 8, 12, 16], [8, 16, 24, 32]],
  ]);
  assertEquals([33, 48, 64, 67, 128].map(threadCounts), [
    ...[[9, 25, 32, 33], [12, 32, 36, 48], [16, 32, 48, 64], [17, 34, 51, 67], [32, 64, 96, 128]],
  ]);
  for (const all of [1, 2, 4, 7]) assertEquals(new Set(machineOf(all, () => 1).run(3000).counts), new Set([all]));
  for (const [all, first] of [[8, 8], [16, 16], [32, 32], [33, 32], [40, 32], [64, 32], [128, 64]] as const) {
    const { counts } = machineOf(all, () => 1).run(all > 32 ? 6 : 32);
    assertEquals(new Set(counts), new Set([first]), `${all} threads`);
  }
});

/**
 * Milliseconds of a step by threads. The first two and that of 16 were measured; others are what machines may be like:
 * two threads a core, memory that is read faster the more threads ask for it.
 */
const CURVES: readonly (readonly [name: string, all: number, times: Readonly<Record<number, number>>])[] = [
  ["48 of 64 best", 64, { 16: 58.7, 32: 45.0, 48: 42.8, 64: 45.6 }],
  ["32 and 48 of 64 best", 64, { 16: 48.7, 32: 38.8, 48: 38.9, 64: 42.5 }],
  ["32 of 64 best", 64, { 16: 60, 32: 42, 48: 48, 64: 52 }],
  ["16 of 64 best", 64, { 16: 40, 32: 44, 48: 52, 64: 60 }],
  ["64 of 64 best", 64, { 16: 70, 32: 48, 48: 43.5, 64: 40 }],
  ["16 of 16 best", 16, { 4: 130, 8: 72, 12: 59, 16: 48.3 }],
  ["12 of 16 best", 16, { 4: 110, 8: 56, 12: 48, 16: 53 }],
  ["8 of 16 best", 16, { 4: 75, 8: 48, 12: 52, 16: 56 }],
  ["8 of 8 best", 8, { 2: 155, 4: 82, 6: 60, 8: 48 }],
  ["6 of 8 best", 8, { 2: 120, 4: 62, 6: 48, 8: 54 }],
  ["64 of 128 best", 128, { 32: 50, 64: 40, 96: 43, 128: 47 }],
  ["128 of 128 best", 128, { 32: 80, 64: 50, 96: 44, 128: 40 }],
];
const SEEDS = 40;

/** What so many steps after so many took beyond the best number's time, a part of that; of each seed, ascending. */
function losses([, all, times]: typeof CURVES[number], noise: Noise, after: number, steps: number): number[] {
  const best = Math.min(...Object.values(times));
  return Array.from({ length: SEEDS }, (_, i) => {
    const { run } = machineOf(all, (threads) => times[threads]!, noise, i + 1);
    run(after);
    return run(steps).sum / (steps * best) - 1;
  }).sort((a, b) => a - b);
}
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value) / values.length;

for (const curve of CURVES) {
  const [name, all, times] = curve, best = Math.min(...Object.values(times));

  Deno.test(`${name}: found in 200 steps, at little cost`, () => {
    const [early, whole, later, waking] = [
      losses(curve, USUAL, 0, 128),
      losses(curve, USUAL, 0, 512),
      losses(curve, USUAL, 200, 312),
      // Once there were three long trials.
      losses(curve, WAKING, 800, 800),
    ];
    // Nine of ten, trials included.
    for (const found of [later, waking]) assert(found[35]! < 0.03, `${name}: ${found}`);
    assert(later.at(-1)! < 0.06, `${name}: ${later}`);
    const first = times[machineOf(all, () => 1).run(1).counts[0]!]! / best - 1;
    if (first === 0) {
      // Nothing is to be gained, so that all of it is the cost of trials.
      assert(mean(early) < 0.03 && early.at(-1)! < 0.04, `${name}: ${early}`);
      assert(mean(whole) < 0.017 && whole.at(-1)! < 0.025, `${name}: ${whole}`);
    } else assert(mean(early) < first && mean(whole) < 0.25 * first + 0.012, `${name}: ${early}; ${whole}`);
  });
}

Deno.test("of numbers that are equally fast none is exchanged for another by luck alone", () => {
  let exchanged = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { counts } = machineOf(64, () => 30, { ...NONE, deviation: 0.02 }, seed).run(4000);
    // The number between two trials is the one that the trial before has left.
    if (counts.filter((threads) => threads !== 32).length > 500) exchanged++;
  }
  assert(exchanged <= SEEDS / 10, `${exchanged} times`);
});

Deno.test("of each turn the last steps count, as the first ones wake threads", () => {
  // More threads are faster, but for the first steps after there were fewer; short turns show nothing of it.
  let before = 0, since = 0;
  const { run } = machineOf(64, (threads) => {
    since = threads === before ? since + 1 : 0;
    before = threads;
    return threads < 48 ? 960 / threads : since < 10 ? 60 : 900 / threads;
  });
  assertEquals(run(60).counts.at(-1), 32);
  run(400);
  assertEquals(new Set(run(50).counts), new Set([64]));
});

Deno.test("short trials take only threads that are there; long ones start some, and are given up after a while", () => {
  const { choice, run } = machineOf(64, (threads) => 1280 / threads);
  assertEquals(run(5, 20).counts, [32, 32, 32, 32, 32]);
  const short = run(60, 40).counts;
  assertEquals(new Set(short), new Set([32, 16]));
  const { counts } = run(200, 40), many = counts.filter((threads) => threads === 48).length;
  assertEquals([many, counts.at(-1)], [65, 32]);
  run(2000);
  assertEquals(new Set(run(200).counts), new Set([64]));
  // A step without logits says nothing.
  assertEquals(choice.begin(64), choice.begin(64));
});

Deno.test("another number is found when the machine has become another one", () => {
  let best = 48;
  const { run } = machineOf(64, (threads) => 30 + Math.abs(threads - best) / 4);
  for (const now of [48, 64, 32, 16, 48]) {
    best = now;
    run(5000);
    const { counts } = run(1000);
    assert(counts.filter((threads) => threads === now).length > 900, `${now}: ${new Set(counts)}`);
  }
});
