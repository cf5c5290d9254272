/** The numbers by which TypeScript and the kernels know formats: each is in the sources, and others trap. */
import { STORED_FORMATS } from "../../src/formats/format.ts";
import { kindNumber, MX_INPUT, type MxInputElement, ruleNumber } from "../../src/formats/input.ts";
import { assertEquals, assertThrows } from "../assert.ts";
import { scratchBytes } from "./linear.ts";
import { Machine } from "./module.ts";

/** Constants of a Rust source, by name. */
function constants(file: string, from = ""): Record<string, number> {
  const source = Deno.readTextFileSync(new URL(`../../wasm/src/${file}`, import.meta.url));
  const part = source.slice(Math.max(0, source.indexOf(from))).split("\n}")[0]!;
  return Object.fromEntries(
    Array.from(part.matchAll(/const (\w+): usize = (\d+);/g), ([, name, number]) => [name!, Number(number)]),
  );
}

Deno.test("the kernels know the number of every stored format", () => {
  const known = constants("record.rs", "pub mod format {");
  const expected = Object.entries(STORED_FORMATS).map(([name, { wasm }]) => [
    name === "fp8_e4m3" ? "FP8_E4M3FN" : name.toUpperCase(),
    wasm as number,
  ]);
  assertEquals(Object.fromEntries(expected), known);
});

Deno.test("the kernels know the number of the QDQ of every MX format", () => {
  const known = constants("element.rs", "pub mod kind {");
  for (const element of Object.keys(MX_INPUT) as MxInputElement[]) {
    const input = { kind: "mx", element, rule: "even" } as const;
    assertEquals(known[element.replace("fn", "").toUpperCase()], kindNumber(input), element);
  }
  assertEquals(known["Q8_0"], kindNumber({ kind: "q8_0" }));
  assertEquals((["even", "floor", "rceil"] as const).map(ruleNumber), [0, 1, 2]);
});

/** Words of one small unit of each kernel, by their place; the others are 0. */
const UNIT: Readonly<Record<string, Readonly<Record<number, number>>>> = {
  // One matrix of 8 rows and no columns, and one pair of rows, which are not packed.
  linear: { 0: 1, 3: 8, 13: 32, 16: 1 },
  store: { 6: 1 },
  attention: { 9: 1, 11: 1, 12: 1, 22: 1 },
};

/**
 * The numbers of lists that kernels read: the word that holds one, the last that is known, and some that are not, the
 * next one where none are named.
 */
const LISTS: Readonly<Record<string, readonly (readonly [word: number, last: number, ...unknown: number[]])[]>> = {
  embed: [[4, 2]],
  rms_norm: [[5, 2]],
  prepare: [[5, 9, 6, 7, 10], [5, 5, 6], [6, 2]],
  qdq: [[4, 9, 6, 7, 10], [4, 5, 6], [5, 2]],
  encode: [[2, 5]],
  encode_blocks: [[3, 8, 0, 4, 5, 6, 7, 9], [3, 3, 4], [4, 2]],
  decode: [[2, 7], [10, 3]],
  linear: [[1, 7], [9, 3], [11, 2]],
  store: [[3, 3, 2, 4]],
  attention: [[6, 3, 2, 4], [17, 2]],
};

const listed = Object.entries(LISTS).flatMap(([kernel, words]) => words.map((list) => [kernel, ...list] as const));
for (const [kernel, word, last, ...unknown] of listed) {
  const run = (number: number, more: Readonly<Record<number, number>> = {}) => {
    const words = Array.from({ length: 25 }, (_, i) => UNIT[kernel]?.[i] ?? more[i] ?? 0);
    words[word] = number;
    new Machine().run(kernel, words, 1, [], 4096);
  };
  // Where another word of the kernel has no 0 in its list.
  const others = kernel === "encode_blocks" ? { 3: 1 } : {};

  Deno.test(`${kernel}() traps on a number in word ${word} that its list lacks, after ${last}`, () => {
    run(last, others);
    for (const number of [...(unknown.length === 0 ? [last + 1] : unknown), 0xffff_ffff]) {
      assertThrows(() => run(number, others), WebAssembly.RuntimeError, "unreachable", `${number}`);
    }
  });
}

Deno.test("matrices that are stored transposed have a format without blocks, or the kernels trap", () => {
  const { bf16, f32, f16, ...others } = STORED_FORMATS;
  const words = (first: number, format: number, unit: Readonly<Record<number, number>>) =>
    Array.from({ length: 25 }, (_, i) => i === first ? format : i === first + 1 ? 1 : unit[i] ?? 0);
  const decode = (format: number) => new Machine().run("decode", words(2, format, {}), 1, [], 4096);
  // Some columns, so that there are blocks to bring into order.
  const linear = (format: number) =>
    new Machine().run("linear", words(1, format, { ...UNIT["linear"], 4: 32 }), 1, [], scratchBytes(32));
  for (const run of [decode, linear]) {
    for (const { wasm } of [bf16, f32, f16]) run(wasm);
    for (const { wasm } of Object.values(others)) {
      assertThrows(() => run(wasm), WebAssembly.RuntimeError, "unreachable", `${wasm}`);
    }
  }
});
