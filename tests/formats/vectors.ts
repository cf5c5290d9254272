/** Blocks worked out by hand with a table of values: inputs, what is stored, and what comes back. */
import type { MxInputElement } from "../../src/formats/input.ts";

/** Expected results of one block in one format, by the rules `even` and `rceil`. */
export interface Expected {
  readonly byte: number;
  readonly codes: readonly number[];
  readonly packed: string;
  readonly values: readonly number[];
}

// deno-fmt-ignore
/** A block with every kind of tie; the last number is a negative zero. */
export const TIES = [
  0, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5,
  6, 6.5, -.25, -.75, -1.25, -1.75, -2.5, -3.5, -5, -6.5, -6.9375, .125, .2578125, .7421875, .7578125, -0,
];

const hex = (text: string): number[] => text.split(/[\s|]+/).map((code) => parseInt(code, 16));

// deno-fmt-ignore
export const TIES_EXPECTED: Record<MxInputElement, Expected> = {
  e2m1: {
    byte: 127,
    codes: hex("0 0 1 2 2 2 3 4 | 4 4 5 6 6 6 6 7 | 7 7 8 a a c c e | e f f 0 1 1 2 8"),
    packed: "00 21 22 43 44 65 66 76 77 a8 ca ec fe 0f 11 82",
    values: [
      0, 0, .5, 1, 1, 1, 1.5, 2, 2, 2, 3, 4, 4, 4, 4, 6,
      6, 6, -0, -1, -1, -2, -2, -4, -4, -6, -6, 0, .5, .5, 1, -0,
    ],
  },
  e3m2: {
    byte: 125,
    codes: hex(
      "00 0c 10 12 14 15 16 17 | 18 19 1a 1b 1c 1c 1d 1e | 1e 1e 2c 32 35 37 39 3b | 3d 3e 3f 08 0c 12 12 20",
    ),
    packed: "00 03 49 54 65 5d 58 a6 6d 1c d7 79 9e c7 ca f5 9d ef bd ff 23 8c 24 81",
    values: [
      0, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4, 5, 6,
      6, 6, -.25, -.75, -1.25, -1.75, -2.5, -3.5, -5, -6, -7, .125, .25, .75, .75, -0,
    ],
  },
  e2m3: {
    byte: 127,
    codes: hex(
      "00 02 04 06 08 0a 0c 0e | 10 12 14 16 18 19 1a 1b | 1c 1d 22 26 2a 2e 32 36 | 3a 3d 3e 01 02 06 06 20",
    ),
    packed: "80 40 18 88 c2 38 90 44 59 58 a6 6d 5c 27 9a aa 2b db 7a ef 07 82 61 80",
    values: [
      0, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5,
      6, 6.5, -.25, -.75, -1.25, -1.75, -2.5, -3.5, -5, -6.5, -7, .125, .25, .75, .75, -0,
    ],
  },
  e4m3fn: {
    byte: 121,
    codes: hex(
      "00 58 60 64 68 6a 6c 6e | 70 72 74 76 78 79 7a 7b | 7c 7d d8 e4 ea ee f2 f6 | fa fd fe 50 58 64 64 80",
    ),
    packed: "00 58 60 64 68 6a 6c 6e 70 72 74 76 78 79 7a 7b 7c 7d d8 e4 ea ee f2 f6 fa fd fe 50 58 64 64 80",
    values: [
      0, .25, .5, .75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5,
      6, 6.5, -.25, -.75, -1.25, -1.75, -2.5, -3.5, -5, -6.5, -7, .125, .25, .75, .75, -0,
    ],
  },
};

/** 7 and then multiples of 0.4375. */
export const STEPS = [7, ...Array.from({ length: 31 }, (_, i) => 0.4375 * (i + 1))];

// deno-fmt-ignore
export const STEPS_EXPECTED: Record<MxInputElement, { readonly byte: number; readonly values: readonly number[] }> = {
  e2m1: {
    byte: 128,
    values: [
      8, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 6, 6, 6, 6, 8, 8, 8, 8, 8, 8, 8, 12, 12, 12, 12, 12, 12, 12, 12, 12,
    ],
  },
  e3m2: {
    byte: 126,
    values: [
      7, .4375, .875, 1.25, 1.75, 2, 2.5, 3, 3.5, 4, 4, 5, 5, 6, 6, 7,
      7, 7, 8, 8, 8, 10, 10, 10, 10, 10, 12, 12, 12, 12, 14, 14,
    ],
  },
  e2m3: {
    byte: 128,
    values: [
      7, .5, 1, 1.25, 1.75, 2.25, 2.5, 3, 3.5, 4, 4.5, 5, 5, 5.5, 6, 6.5,
      7, 7.5, 8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 13, 14,
    ],
  },
  e4m3fn: {
    byte: 122,
    values: [
      7, .4375, .875, 1.25, 1.75, 2.25, 2.5, 3, 3.5, 4, 4.5, 5, 5, 5.5, 6, 6.5,
      7, 7.5, 8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 13, 14,
    ],
  },
};
