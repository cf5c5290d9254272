import { ErrorSums, relativeErrorOf } from "../../src/eval/error_sums.ts";
import { assertAlmostEquals, assertEquals } from "../assert.ts";

Deno.test("ErrorSums gives relative error, SQNR and largest error over all rows", () => {
  const sums = new ErrorSums(2);
  const a = Float32Array.of(9, 3, 4, 0, 0), b = Float32Array.of(3, 4.5, 0, 2);
  assertAlmostEquals(relativeErrorOf(sums.add(a, 1, b, 0)), 0.1, 1e-12);
  assertEquals(relativeErrorOf(sums.add(a, 3, b, 2)), Infinity);
  const { rows, relativeError, sqnrDb, maxError, nonFinite } = sums.summary();
  assertEquals([rows, maxError, nonFinite], [2, 2, 0]);
  assertAlmostEquals(relativeError, Math.sqrt(4.25 / 25), 1e-12);
  assertAlmostEquals(sqnrDb, 10 * Math.log10(25 / 4.25), 1e-12);
});

Deno.test("ErrorSums is 0 for equal tensors, zeros among them", () => {
  const sums = new ErrorSums(3);
  const zeros = new Float32Array(3);
  assertEquals(relativeErrorOf(sums.add(zeros, 0, zeros, 0)), 0);
  assertEquals(sums.summary().relativeError, 0);
  assertEquals(sums.summary().sqnrDb, Infinity);
});

Deno.test("ErrorSums counts NaN and infinities that are not in both", () => {
  const sums = new ErrorSums(5);
  const a = Float32Array.of(1, Infinity, NaN, 4, 5), b = Float32Array.of(1, Infinity, NaN, NaN, -Infinity);
  assertEquals(relativeErrorOf(sums.add(a, 0, b, 0)), Infinity);
  const { nonFinite, nonFiniteIn, relativeError, maxError } = sums.summary();
  assertEquals([nonFinite, relativeError, maxError], [2, Infinity, 0]);
  assertEquals(nonFiniteIn, { a: 0, b: 2 });
  // One is enough for a ratio that is not finite.
  const single = new ErrorSums(2);
  single.add(Float32Array.of(1, 1), 0, Float32Array.of(1, NaN), 0);
  assertEquals([single.summary().relativeError, single.summary().sqnrDb], [Infinity, -Infinity]);
});

Deno.test("ErrorSums holds any difference of two numbers, and takes none for one that is not finite", () => {
  const most = 3.4028234663852886e38, sums = new ErrorSums(1);
  assertEquals(sums.add(Float32Array.of(-most), 0, Float32Array.of(most), 0), {
    signal: most ** 2,
    error: (2 * most) ** 2,
  });
  assertEquals([sums.summary().nonFinite, sums.summary().relativeError, sums.summary().maxError], [0, 2, 2 * most]);
  for (const [x, y] of [[-Infinity, 1], [1, -Infinity], [-Infinity, Infinity], [NaN, NaN + 1], [NaN, -Infinity]]) {
    const bad = Object.is(x, y) ? 0 : 1;
    const { error } = sums.add(Float32Array.of(x!), 0, Float32Array.of(y!), 0);
    assertEquals(error, bad === 0 ? 0 : Infinity, `${x} ${y}`);
  }
});

Deno.test("ErrorSums.outliers() names loud channels and channels that bear the error", () => {
  const width = 64;
  const a = new Float32Array(width).fill(1), b = a.slice();
  a[7] = b[7] = 100;
  b[20] = 1.5;
  const sums = new ErrorSums(width);
  for (let i = 0; i < 4; i++) sums.add(a, 0, b, 0);
  const outliers = sums.outliers();
  assertEquals(outliers.map((o) => o.channel), [20, 7]);
  assertEquals(outliers[0]!.errorShare, 1);
  assertAlmostEquals(outliers[1]!.magnitude, 100 / Math.sqrt((63 + 10000) / 64), 1e-9);
  assertEquals(new ErrorSums(width).outliers(), []);
  // A tensor of zeros has no loud channel, whatever the other one holds.
  const silent = new ErrorSums(width);
  silent.add(new Float32Array(width), 0, b, 0);
  assertEquals(silent.outliers()[0], { channel: 7, magnitude: 0, errorShare: 10_000 / (10_000 + 62 + 1.5 ** 2) });
});

Deno.test("ErrorSums finds the largest error below as well as above, and what is not finite of either side", () => {
  const sums = new ErrorSums(2);
  assertEquals(sums.add(Float32Array.of(1, 1), 0, Float32Array.of(0.25, 1.5), 0), { signal: 2, error: 0.8125 });
  assertEquals(sums.summary().maxError, 0.75);
  sums.add(Float32Array.of(1, 1), 0, Float32Array.of(1.25, 0.5), 0);
  assertEquals(sums.summary().maxError, 0.75);
  assertEquals(sums.add(Float32Array.of(NaN, 1), 0, Float32Array.of(1, 1), 0), { signal: 1, error: Infinity });
  sums.add(Float32Array.of(2, -Infinity), 0, Float32Array.of(2, NaN), 0);
  const { rows, nonFinite, nonFiniteIn, relativeError, sqnrDb, maxError } = sums.summary();
  assertEquals([rows, nonFinite, relativeError, sqnrDb, maxError], [4, 2, Infinity, -Infinity, 0.75]);
  assertEquals(nonFiniteIn, { a: 2, b: 1 });
});

Deno.test("channels stand out from four times the size of the tensor, or by their part of the error", () => {
  const found = (width: number, part: number) => {
    const a = new Float32Array(width).fill(1), sums = new ErrorSums(width);
    sums.add(a, 0, a.map((x, i) => x + Math.sqrt(i === 3 ? part : (1 - part) / (width - 1))), 0);
    return sums.outliers().map(({ channel }) => channel);
  };
  // Eight times what each channel has, and a twentieth at least.
  assertEquals([found(400, 0.0525), found(400, 0.0475), found(64, 0.13), found(64, 0.12)], [[3], [], [3], []]);
  const loud = (times: number) => {
    const a = new Float32Array(10_000).fill(1), sums = new ErrorSums(10_000);
    a[7] = times;
    sums.add(a, 0, a, 0);
    return sums.outliers().map(({ channel, errorShare }) => [channel, errorShare]);
  };
  assertEquals([loud(4.02), loud(3.98)], [[[7, 0]], []]);
  // Four times the size and a twentieth are enough: 16^2 of a mean square of 16, and each of twenty equal errors.
  const four = Float32Array.from({ length: 17 }, (_, i) => i === 2 ? 16 : 1), edge = new ErrorSums(17);
  edge.add(four, 0, four, 0);
  assertEquals(edge.outliers(), [{ channel: 2, magnitude: 4, errorShare: 0 }]);
  const equal = new Float32Array(160).fill(1), twenty = new ErrorSums(160);
  twenty.add(equal, 0, equal.map((x, i) => i < 20 ? x + 1 : x), 0);
  assertEquals(twenty.outliers().length, 8);
  // Eight of ten, the loudest first where none has an error.
  const a = Float32Array.from({ length: 400 }, (_, i) => i < 10 ? 10 + (i * 7 % 10) : 0), sums = new ErrorSums(400);
  sums.add(a, 0, a, 0);
  assertEquals(sums.outliers().map(({ channel }) => channel), [7, 4, 1, 8, 5, 2, 9, 6]);
});
