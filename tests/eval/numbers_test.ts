import {
  bracketed,
  estimateText,
  measured,
  measuredShare,
  noticeable,
  percent,
  pointsText,
  pValue,
  roughPercent,
} from "../../src/eval/report/numbers.ts";
import { atPlace, unitsOf } from "../../src/rounding.ts";
import { assert, assertEquals } from "../assert.ts";
import { integers } from "../formats/seeded.ts";

Deno.test("measured() writes the digits that the interval leaves sure", () => {
  const expected: [value: number | null, low: number | null, high: number | null, text: string][] = [
    [1.26e-3, 6.29e-4, 2.21e-3, "0.0013 [0.0006, 0.0023]"],
    [1.0423e-10, 9.99e-11, 1.09e-10, "1.04e-10 [9.9e-11, 1.09e-10]"],
    [0.123456, 0.1234, 0.1235, "0.1235 [0.1234, 0.1235]"],
    [6.8e-5, 0, 1.13e-3, "7e-5 [0, 1.2e-3]"],
    [12.3, 4, 30, "10 [4, 30]"],
    [1.2e7, 1.3e6, 5e7, "1e+7 [1e+6, 5e+7]"],
    [-0.5, -0.9, -0.04, "-0.5 [-0.9, -0.04]"],
    [123456, 118000, 131000, "1.23e+5 [1.18e+5, 1.31e+5]"],
    [-0.00107, -0.00188, -0.000273, "-0.0011 [-0.0019, -0.0002]"],
    [0.02, 0.01, null, "0.02 [0.01, -]"],
    [0, 0, 0, "0"],
    [0.25, 0.25, 0.25, "0.2500"],
    [0, 0, null, "0 (none seen)"],
    [0, null, null, "0 (none seen)"],
    [0.01234, null, null, "0.01 [-, -]"],
    [4.567891, 4.56789, 4.567892, "4.567891 [4.567890, 4.567892]"],
    [0, -0.004, 0.004, "0 [-0.004, 0.004]"],
    [6e-5, 2e-5, 3, "6e-5 [2e-5, 3]"],
    [1e6, 300, 4.125e9, "1e+6 [3e+2, 5e+9]"],
    [0.003, 2.3e-20, 3.6e14, "0.003 [2e-20, 4e+14]"],
    [12, 4, 4125, "10 [4, 5000]"],
    [0.06, 0.01, 31.4, "0.06 [0.01, 40]"],
    [-2e-5, -0.0712, 1e-5, "-2e-5 [-8e-2, 1e-5]"],
    [2e-5, null, 0.0712, "2e-5 [-, 8e-2]"],
    // What tells the ends of a large number apart is written of them, too.
    [45678910, 45678900, 45678920, "4.567891e+7 [4.567890e+7, 4.567892e+7]"],
    [99990, 99985, 100005, "9.999e+4 [9.998e+4, 1.0001e+5]"],
    // One digit is one also where rounding brings it to the next power of ten.
    [9.96e5, 2.1e5, 4.9e6, "1e+6 [2e+5, 5e+6]"],
    [-0.098, -0.36, 0.17, "-0.1 [-0.4, 0.2]"],
    [0.0097, null, null, "0.01 [-, -]"],
    [-0.02, -5, 0.0961, "-0.02 [-5, 0.1]"],
    [0.0996, 0.08, 0.13, "0.10 [0.08, 0.13]"],
    [null, null, null, "- [-, -]"],
    // Less than a float's smallest power of ten with all digits.
    [3e-310, 1e-310, 8e-310, "3e-310 [1e-310, 8e-310]"],
    [3.14e-312, 3.11e-312, 3.17e-312, "3.14e-312 [3.11e-312, 3.17e-312]"],
    [5e-324, 0, 3e-323, "5e-324 [0, 3e-323]"],
  ];
  for (const [value, low, high, text] of expected) assertEquals(measured({ value, low, high }), text);
  assertEquals(measuredShare({ value: 0.9978, low: 0.9921, high: 0.9993 }), "99.8% [99.2, 99.93]");
  assertEquals(measuredShare({ value: 1, low: 0.9921, high: 1 }), "100.0% [99.2, 100.0]");
  assertEquals(measuredShare({ value: 1, low: 0.999928, high: 1 }), "100.00% [99.99, 100.00]");
});

/** Power of ten of the last digit that is written. */
function lastPlace(text: string): number {
  const [mantissa = "", power = "0"] = text.split("e"), [whole = "", fraction = ""] = mantissa.split(".");
  const zeros = power === "0" && fraction === "" ? /0*$/.exec(whole)![0].length : 0;
  return Number(power) - fraction.length + zeros;
}

Deno.test("an end far away has no more digits than its interval allows, and no interval becomes a point", () => {
  const next = integers(7), random = () => next() / 2 ** 32, draw = () => (random() - 0.3) * 10 ** (16 * random() - 8);
  for (let i = 0; i < 20_000; i++) {
    const [low, value, high] = [draw(), draw(), draw()].sort((a, b) => a - b) as [number, number, number];
    const text = measured({ value, low, high }), [number, ...ends] = text.replace(/[[\],]/g, "").split(" ");
    const sure = Math.floor(Math.log10((high - low) / 2));
    assert(ends[0] !== ends[1], text);
    for (const [at, end] of [low, high].entries()) {
      const most = Math.min(sure, Math.floor(Math.log10(Math.abs(end)))), written = lastPlace(ends[at]!);
      assert(written >= Math.min(most, lastPlace(number!)), `${text}: ${end}`);
      // What is written is the end, rounded at one of its digits or at the last one of the number.
      const coarsest = Math.max(written, Math.min(lastPlace(number!), most));
      assert(Math.abs(Number(ends[at]) - end) <= 1.001 * 10 ** coarsest, `${text}: ${end}`);
      // Ends are rounded outward, so that what is written holds the interval that was computed.
      const beyond = at === 0 ? end - Number(ends[at]) : Number(ends[at]) - end;
      assert(beyond >= -1e-8 * 10 ** coarsest, `${text}: ${end}`);
    }
  }
});

Deno.test("no share is written as all where some differ, nor as none where some are", () => {
  assertEquals(measuredShare({ value: 0.996, low: 0.97, high: 1 }), "99.6% [97.0, 100.0]");
  assertEquals(measuredShare({ value: 0.999, low: 0.94, high: 0.99999 }), "99.9% [94.0, 99.999]");
  assertEquals(measuredShare({ value: 0.999992, low: 0.9, high: 1 }), "99.9992% [90.0000, 100.0000]");
  assertEquals(measuredShare({ value: 0.004, low: 0, high: 0.03 }), "0.4% [0, 3]");
  assertEquals(measuredShare({ value: 1, low: 0.97, high: 1 }), "100% [97, 100]");
  assertEquals(measuredShare({ value: 0.9996, low: null, high: null }), "99.96% [-, -]");
  assertEquals(measuredShare({ value: 0.25, low: 0.25, high: 0.25 }), "25.00%");
  assertEquals(measuredShare({ value: 4e-7, low: 2e-7, high: 6e-7 }), "4e-5% [2e-5, 6e-5]");
  assertEquals(measuredShare({ value: null, low: null, high: null }), "- [-, -]");
  assertEquals(estimateText({ kind: "points", value: 0.996, low: 0.9, high: 1 }), "+100");
  assertEquals(pointsText({ value: 0.004, low: 0.0004, high: 0.009 }), "+0.4");
  assertEquals(bracketed({ kind: "points", value: 0.004, low: 0.0004, high: 0.009 }), "[+0.04, +0.9]");
  const rough = [0.9949, 0.996, 0.99999, 1, 1.5, 1 - 1e-16, 4e-5, 0].map((share) => roughPercent(share));
  assertEquals(rough.join(" "), "99% 99.6% 99.999% 100% 150% 100% 0.0040% 0.0%");
  const counted = [0, 4e-5, 6e-5, 0.99996, 1].map((share) => percent(share));
  assertEquals(counted.join(" "), "0.00% <0.01% 0.01% >99.99% 100.00%");
  assertEquals([0.0004, 0.0312, 0.04996, 0.05, 1].map(pValue).join(" "), "<0.001 0.031 0.04996 0.050 1.000");
  assertEquals([1, 0.15, 0.0996, 0.034, 0.0003].map(noticeable).join(" "), "any 15 10 3.4 0.03");
  assertEquals([0.004, 0.996].map((share) => percent(share, 0)).join(" "), "<1% >99%");
});

Deno.test("unitsOf() forgives what floats miss of a decimal, and no more, so that ends are rounded outward", () => {
  // 0.1 + 0.2 is more than 0.3, and 1.1 * 1.1 more than 1.21.
  assertEquals([unitsOf(0.1 + 0.2, -1, Math.ceil), unitsOf(1.1 * 1.1, -2, Math.ceil)], [3, 121]);
  assertEquals([unitsOf(0.3 + 1e-8, -1, Math.ceil), unitsOf(0.3 - 1e-8, -1, Math.floor)], [4, 2]);
  assertEquals([unitsOf(1500, 3, Math.floor), atPlace(3, -1), atPlace(7, 3)], [1, 0.3, 7000]);
});
