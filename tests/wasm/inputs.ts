/** Inputs for the tests of `qdq` and `prepare`. */
import type { InputFormat } from "../../src/formats/input.ts";
import { integers, normals } from "../formats/seeded.ts";
import { F32 } from "./module.ts";

/** Input formats, and the words `kind, rule, scale` that name them. */
export const INPUTS: readonly (readonly [string, InputFormat, readonly (number | F32)[]])[] = [
  ["none", { kind: "none" }, [0, 0, 0]],
  ["e2m1 even", { kind: "mx", element: "e2m1", rule: "even" }, [1, 0, 0]],
  ["e3m2 even", { kind: "mx", element: "e3m2", rule: "even" }, [2, 0, 0]],
  ["e2m3 even", { kind: "mx", element: "e2m3", rule: "even" }, [3, 0, 0]],
  ["e2m1 floor", { kind: "mx", element: "e2m1", rule: "floor" }, [1, 1, 0]],
  ["e3m2 floor", { kind: "mx", element: "e3m2", rule: "floor" }, [2, 1, 0]],
  ["e2m3 floor", { kind: "mx", element: "e2m3", rule: "floor" }, [3, 1, 0]],
  ["e2m1 rceil", { kind: "mx", element: "e2m1", rule: "rceil" }, [1, 2, 0]],
  ["e3m2 rceil", { kind: "mx", element: "e3m2", rule: "rceil" }, [2, 2, 0]],
  ["e2m3 rceil", { kind: "mx", element: "e2m3", rule: "rceil" }, [3, 2, 0]],
  ["e4m3fn even", { kind: "mx", element: "e4m3fn", rule: "even" }, [8, 0, 0]],
  ["e4m3fn floor", { kind: "mx", element: "e4m3fn", rule: "floor" }, [8, 1, 0]],
  ["e4m3fn rceil", { kind: "mx", element: "e4m3fn", rule: "rceil" }, [8, 2, 0]],
  ["fp8 static", { kind: "fp8_static", scale: Math.fround(0.0371) }, [4, 0, new F32(0.0371)]],
  ["fp8 token", { kind: "fp8_token" }, [5, 0, 0]],
  ["q8_0", { kind: "q8_0" }, [9, 0, 0]],
];

/**
 * Rows of a width that try every rounding: normal numbers of many sizes, bf16 values near ties, and what is not
 * ordinary.
 */
export function awkwardRows(width: number): Float32Array[] {
  const next = integers(width);
  const rows = Array.from({ length: 60 }, (_, i) => normals(i, width, 2 ** (i < 30 ? i % 7 - 3 : next() % 250 - 125)));
  // Multiples of 1/32 hit the ties of all formats.
  for (let i = 0; i < 60; i++) {
    rows.push(Float32Array.from({ length: width }, () => (next() % 512 - 256) / 32 * 2 ** (i % 9 - 4)));
  }
  const special = [
    0,
    -0,
    NaN,
    Infinity,
    -Infinity,
    2 ** -149,
    2 ** -126,
    -(2 ** -127),
    3.4e38,
    -3e38,
    1.75,
    448,
    464,
    1e-30,
  ];
  for (const value of special) {
    rows.push(new Float32Array(width).fill(value));
    const one = normals(rows.length, width);
    one[next() % width] = value;
    rows.push(one);
  }
  return rows;
}
