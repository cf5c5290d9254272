import { ThreadChoice, threadCounts } from "../../../src/backends/emulate/thread_choice.ts";
import { assert, assertEquals } from "../../assert.ts";

/** What a machine does with steps of a {@linkcode ThreadChoice}. */
interface Machine {
  readonly choice: ThreadChoice;
  /** Milliseconds of so many steps, and how many threads computed each. */
  readonly run: (steps: number, started?: number) => { time: number; counts: number[] };
}

/** Steps take `time(threads)`, up to `noise` of it more or less. */
function machineOf(all: number, time: (threads: number) => number, noise = 0): Machine {
  let now = 0, random = 12345;
  const choice = new ThreadChoice(threadCounts(all), () => now);
  const luck = () => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 30 - 1;
  const run = (steps: number, started = all) => {
    const from = now, counts: number[] = [];
    for (let i = 0; i < steps; i++) {
      counts.push(choice.begin(started));
      now += time(counts[i]!) * (1 + noise * luck());
      choice.end();
    }
    return { time: now - from, counts };
  };
  return { choice, run };
}

Deno.test("steps have all threads where these are few, else at first three quarters of them", () => {
  assertEquals([1, 8, 32].map(threadCounts), [[1], [8], [32]]);
  assertEquals([33, 48, 64, 67, 128].map(threadCounts), [[32, 33], [32, 36, 48], [32, 48, 64], [34, 51, 67], [
    64,
    96,
    128,
  ]]);
  for (const all of [1, 8, 32]) assertEquals(new Set(machineOf(all, () => 1).run(3000).counts), new Set([all]));
  for (const [all, first] of [[33, 32], [40, 32], [64, 48], [128, 96]] as const) {
    assertEquals(new Set(machineOf(all, () => 1).run(FIRST).counts), new Set([first]));
  }
});

Deno.test("the fastest number of threads is found and kept, and trials cost little", () => {
  for (const all of [33, 64, 128]) {
    for (const best of threadCounts(all)) {
      // A tenth slower for each number that lies between, and up to a tenth of luck.
      const place = (threads: number) => threadCounts(all).indexOf(threads);
      const time = (threads: number) => 30 * (1 + 0.1 * Math.abs(place(threads) - place(best)));
      const { run } = machineOf(all, time, 0.1), which = `${best} of ${all} threads`;
      run(FIRST + 2 * REST);
      const { counts, time: taken } = run(5 * REST);
      const others = counts.filter((threads) => threads !== best).length;
      assert(others <= 5 * TRIAL / 2, `${which}: ${others} steps of others`);
      assert(taken < 1.01 * 30 * 5 * REST, which);
    }
  }
});

Deno.test("of numbers that are equally fast none is exchanged for another by luck alone", () => {
  const { counts } = machineOf(64, () => 30, 0.02).run(6 * REST);
  assert(counts.filter((threads) => threads !== 48).length <= 6 * TRIAL / 2);
});

Deno.test("of each turn the last steps count, as the first ones wake threads", () => {
  // More threads are faster, but for the first steps after there were fewer.
  let before = 0, since = 0;
  const { run } = machineOf(64, (threads) => {
    since = threads === before ? since + 1 : 0;
    before = threads;
    return threads < 64 ? 30 : since < 12 ? 60 : 25;
  });
  run(FIRST + TRIAL);
  assertEquals(new Set(run(REST).counts), new Set([64]));
});

Deno.test("a trial starts threads, does not count those steps, and gives up after some", () => {
  const { choice, run } = machineOf(64, (threads) => threads === 64 ? 20 : 30);
  assertEquals(new Set(run(FIRST + TRIAL / 4, 50).counts), new Set([48]));
  const { counts } = run(80, 50);
  assertEquals([counts.filter((threads) => threads === 64).length, counts.at(-1)], [65, 48]);
  // The next but one looks at more threads again, which are there now.
  run(3 * REST + 3 * TRIAL);
  assertEquals(new Set(run(REST / 2).counts), new Set([64]));
  // A step without logits says nothing.
  assertEquals(choice.begin(64), choice.begin(64));
});

Deno.test("another number is found when the machine has become another one", () => {
  let best = 48;
  const { run } = machineOf(64, (threads) => 30 + Math.abs(threads - best) / 4);
  for (const now of [48, 64, 32, 48]) {
    best = now;
    assertEquals(run(6 * REST).counts.at(-1), now);
  }
});

/** Steps before the first trial, of a trial, and between two at least. */
const FIRST = 100, TRIAL = 96, REST = 1000;
