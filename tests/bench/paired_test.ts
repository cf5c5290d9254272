import { pairedRatio } from "../../bench/paired.ts";
import { median } from "../../src/median.ts";
import { assertEquals, assertThrows } from "../assert.ts";

Deno.test("a ratio of values in turns is of pairs: what slows both sides is not in it", () => {
  // The machine becomes ten times slower; each pair says 2.
  const theirs = [1, 2, 4, 8, 10, 10, 10], ours = theirs.map((value) => 2 * value);
  const { median, low, high, runs } = pairedRatio(ours, theirs);
  assertEquals([median, low, high, runs], [2, 2, 2, 7]);
  assertThrows(() => pairedRatio([1, 2], [1]), RangeError, "2 values beside 1");
});

Deno.test("a median of an even number of values is the mean of the two in the middle", () => {
  assertEquals([median([3]), median([4, 1]), median([5, 1, 2]), median([10, 1, 3, 2])], [3, 2.5, 2, 2.5]);
  const values = [2, 1];
  median(values);
  assertEquals(values, [2, 1]);
});
