/** Random products for `linear`: shapes that no tile divides, and numbers of all kinds. */
import { encodePlain } from "../../src/formats/encode.ts";
import { type InputFormat, kindNumber, NO_QDQ, ruleNumber } from "../../src/formats/input.ts";
import { bytesOf, isMxFormat, isPlain, type WeightFormat } from "../../src/formats/format.ts";
import { integers, normals } from "../formats/seeded.ts";
import type { StoredRows } from "./exact.ts";
import { F32 } from "./module.ts";

/** Random choices. */
export class Choices {
  readonly #next: () => number;
  constructor(readonly seed: number) {
    this.#next = integers(seed);
  }

  /** 0 to n - 1. */
  below(n: number): number {
    return this.#next() % n;
  }

  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** Once in n times. */
  once(n: number): boolean {
    return this.below(n) === 0;
  }

  numbers(count: number, deviation = 1): Float32Array {
    return normals(this.#next(), count, deviation);
  }
}

/** Scale bytes of a matrix: ordinary ones, those that no float32 path scales alike, and any. */
const PALETTES: readonly (readonly number[])[] = [
  [118, 120, 125, 127, 128, 135],
  [118, 125, 127, 127, 0],
  [120, 127, 255, 126, 125, 124, 123, 122, 121, 127, 126],
  [0, 1, 2],
  [252, 253, 254],
  [66, 67, 68, 127, 186, 187, 188],
  [101, 102, 103, 104, 127, 150, 151, 152],
  Array.from({ length: 256 }, (_, byte) => byte),
  Array.from({ length: 254 }, (_, byte) => byte + 1),
];

const SPECIALS = [NaN, Infinity, -Infinity, 3.4e38, -3e38, 2 ** -149, -(2 ** -149), -(2 ** -127), 2 ** -126, 0, -0];

/** What is done to the numbers of a block, so that most such blocks have one to three digits, or no such digits. */
const KINDS: readonly ((x: number, i: number) => number)[] = [
  (x) => x,
  (x, i) => x * 2 ** -(i * 5 % 23),
  (x) => Math.trunc(x * 4) / 4,
  (x) => Math.trunc(x * 512) / 512,
  (x, i) => i % 32 < 8 ? 1.5 : (Math.trunc(x * 32) * 2 + 1) / 2 ** 16,
  (x) => x < 0 ? -0 : 0,
  (x) => x * 2 ** -140,
  (x) => x * 2 ** 60,
];

/** An input row. */
export function randomRow(c: Choices, cols: number): Float32Array {
  const kinds = c.once(3) ? [c.of(KINDS)] : c.once(2) ? KINDS.slice(0, 5) : KINDS;
  const blocks = Array.from({ length: Math.ceil(cols / 32) }, () => c.of(kinds));
  const size = c.once(4) ? 2 ** c.between(-120, 100) : 1;
  const row = c.numbers(cols).map((v, i) => blocks[i >> 5]!(v, i) * size);
  if (c.once(6)) { for (let k = c.between(1, 3); k > 0; k--) row[c.below(cols)] = c.of(SPECIALS); }
  return row;
}

/** A stored matrix of a format. */
export function randomMatrix(c: Choices, format: WeightFormat, rows: number, cols: number): StoredRows {
  const blocks = Math.ceil(cols / 32), bytes = bytesOf(format, cols);
  const scales = isMxFormat(format) ? Array.from({ length: rows }, () => new Uint8Array(blocks)) : null;
  const palette = c.once(3) ? PALETTES[0]! : c.of(PALETTES), size = c.once(4) ? 2 ** c.between(-120, 100) : 1;
  const special = c.once(8), any = c.once(12), nan = format === "fp8_e4m3" ? [0x7f, 0xff] : [0x80];
  const codes = Array.from({ length: rows }, (_, r) => {
    if (isPlain(format) && !any) {
      const row = c.numbers(cols, format === "f16" ? 1 : size);
      if (special && c.once(3)) row[c.below(cols)] = c.of(SPECIALS);
      return encodePlain(row, format);
    }
    const row = Uint8Array.from({ length: bytes }, () => c.below(256));
    if (!isPlain(format) && !isMxFormat(format) && !any) {
      row.forEach((code, i) => row[i] = nan.includes(code) ? 1 : code);
    }
    for (let b = 0; scales && b < blocks; b++) {
      scales[r]![b] = c.of(palette);
      if (c.once(10)) row.fill(c.of([0, 0x88, 0x80]), b * bytesOf(format, 32), (b + 1) * bytesOf(format, 32));
    }
    return row;
  });
  return { format, cols, codes, scales };
}

/** What `prepare` does to the rows of a product, and the words `kind, rule, scale` for it. */
export function randomInput(c: Choices): { input: InputFormat; words: (number | F32)[] } {
  const scale = Math.fround(0.01 + c.below(100) / 37);
  const element = c.of(["e2m1", "e2m3", "e3m2", "e4m3fn"] as const);
  const mx: InputFormat = { kind: "mx", element, rule: c.of(["even", "floor", "rceil"]) };
  const none = NO_QDQ, fp8: InputFormat = c.once(2) ? { kind: "fp8_static", scale } : { kind: "fp8_token" };
  const q8: InputFormat = { kind: "q8_0" };
  const input = c.of([mx, mx, none, none, none, fp8, q8]);
  return { input, words: [kindNumber(input), input.kind === "mx" ? ruleNumber(input.rule) : 0, new F32(scale)] };
}

/** Rows, columns and pairs of a product, of no more than so many multiply-adds. */
export function randomShape(c: Choices, most: number): { rows: number; cols: number; pairs: number } {
  while (true) {
    const cols = c.once(24)
      ? c.of([2880, 16384, 16416, 4096])
      : c.once(2)
      ? 32 * c.between(1, 40)
      : c.once(2)
      ? c.between(1, 70)
      : c.between(1, 1300);
    const rows = c.once(3) ? c.between(60, 430) : c.between(1, 44);
    const pairs = c.once(12)
      ? c.between(25, 140)
      : c.of([1, 1, 1, c.between(2, 4), c.between(2, 26), c.between(7, 24)]);
    if (rows * cols * pairs <= most) return { rows, cols, pairs };
  }
}
