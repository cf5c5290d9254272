import { Random } from "../../src/session/random.ts";
import { assertEquals } from "../assert.ts";

Deno.test("Random gives xoshiro128** seeded by SplitMix64, as a separate implementation in Python does", () => {
  // That implementation also gives the published outputs: SplitMix64 of 1234567 begins 6457827717110365317,
  // xoshiro128** from the state 1, 2, 3, 4 begins 11520, 0, 5927040.
  const cases: [bigint, number[]][] = [
    [0n, [3737715805, 2584255861, 2876756834, 3286328325]],
    [1n, [1695105466, 1423115009, 634581793, 1068227753]],
    [42n, [1776835114, 4165204688, 17111135, 2317295270]],
    [2n ** 64n - 1n, [477689756, 2493998634, 555695776, 607808419]],
  ];
  for (const [seed, words] of cases) {
    const a = new Random(seed), b = new Random(seed);
    assertEquals(words.map(() => a.word()), words);
    // Fractions are the upper 24 bits, which float32 holds.
    const fractions = words.map((word) => Math.floor(word / 256) / 2 ** 24);
    assertEquals(words.map(() => b.fraction()), fractions);
    assertEquals(fractions.map(Math.fround), fractions);
  }
});

Deno.test("Random.clone() gives the same numbers and leaves the first where it was", () => {
  const random = new Random(3n);
  random.word();
  const other = random.clone(), words = [other.word(), other.word()];
  assertEquals([random.word(), random.word()], words);
});
