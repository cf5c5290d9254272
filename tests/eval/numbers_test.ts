import { measured, measuredShare } from "../../src/eval/report/numbers.ts";
import { assertEquals } from "../assert.ts";

Deno.test("measured() writes the digits that the interval leaves sure", () => {
  const expected: [value: number | null, low: number | null, high: number | null, text: string][] = [
    [1.26e-3, 6.29e-4, 2.21e-3, "0.0013 [0.0006, 0.0022]"],
    [1.0423e-10, 9.99e-11, 1.09e-10, "1.04e-10 [1.00e-10, 1.09e-10]"],
    [0.123456, 0.1234, 0.1235, "0.1235 [0.1234, 0.1235]"],
    [6.8e-5, 0, 1.13e-3, "7e-5 [0, 1.13e-3]"],
    [12.3, 4, 30, "10 [0, 30]"],
    [123456, 118000, 131000, "1.23e+5 [1.18e+5, 1.31e+5]"],
    [-0.00107, -0.00188, -0.000273, "-0.0011 [-0.0019, -0.0003]"],
    [0.02, 0.01, null, "0.02 [0.01, -]"],
    [0, 0, 0, "0"],
    [0.25, 0.25, 0.25, "0.2500"],
    [0, 0, null, "0 (none seen)"],
    [0, null, null, "0 (none seen)"],
    [0.01234, null, null, "0.01 [-, -]"],
    [4.567891, 4.56789, 4.567892, "4.567891 [4.567890, 4.567892]"],
    [0, -0.004, 0.004, "0 [-0.004, 0.004]"],
    [6e-5, 2e-5, 3, "6e-5 [2e-5, 3.0e+0]"],
    [null, null, null, "- [-, -]"],
  ];
  for (const [value, low, high, text] of expected) assertEquals(measured({ value, low, high }), text);
  assertEquals(measuredShare({ value: 0.9978, low: 0.9921, high: 0.9993 }), "99.8% [99.2, 99.9]");
  assertEquals(measuredShare({ value: 1, low: 0.9921, high: 1 }), "100.0% [99.2, 100.0]");
  assertEquals(measuredShare({ value: 1, low: 0.999928, high: 1 }), "100.00% [99.99, 100.00]");
});
