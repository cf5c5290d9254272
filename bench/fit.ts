/**
 * Counts blocks of normally distributed numbers that are not integers of few bits times a power of two: bf16 numbers
 * not of 16 bits, FP8 ones (e4m3) not of 7, MXFP8 ones not of 16.
 *
 *     deno run bench/fit.ts
 */
import { roundToBf16 } from "../src/formats/bf16.ts";
import { decodeRow } from "../src/formats/decode.ts";
import { ELEMENTS } from "../src/formats/elements.ts";
import { encodeFp8 } from "../src/formats/encode.ts";
import { qdqMx } from "../src/formats/qdq.ts";

const BLOCKS = 20_000;
/** Standard deviation of what is rounded to FP8: far from its limits. */
const DEVIATION = 16;

/** Whether the numbers are multiples of the largest one's power of two, less all bits but one and the sign. */
function fits(numbers: readonly number[], bits: number): boolean {
  const exponent = Math.floor(Math.log2(Math.max(...numbers.map(Math.abs))));
  return numbers.every((number) => Number.isInteger(number * 2 ** (bits - 1 - exponent)));
}

const toFp8 = (numbers: readonly number[]): number[] => {
  const codes = encodeFp8(Float32Array.from(numbers, (number) => DEVIATION * number), 1, ELEMENTS.e4m3fn);
  return [...decodeRow("fp8_e4m3", codes, numbers.length, 1)];
};
const toMxfp8 = (numbers: readonly number[]): number[] => {
  const row = Float32Array.from(numbers);
  qdqMx(row, "e4m3fn", "rceil");
  return [...row];
};
const KINDS = [
  { name: "bf16, 16 bits", bits: 15, round: (numbers: readonly number[]) => numbers.map(roundToBf16) },
  { name: "e4m3, 7 bits", bits: 6, round: toFp8 },
  { name: "MXFP8, 16 bits", bits: 15, round: toMxfp8 },
];

const share = (part: number, of: number) => `${(100 * part / of).toFixed(1)}%`;
for (const { name, bits, round } of KINDS) {
  let blocks = 0, lanes = 0;
  for (let i = 0; i < BLOCKS; i++) {
    const numbers = round(Array.from(
      { length: 32 },
      () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
    ));
    if (!fits(numbers, bits)) blocks++;
    for (let lane = 0; lane < 4; lane++) if (!fits(numbers.slice(8 * lane, 8 * lane + 8), bits)) lanes++;
  }
  const [whole, quarters] = [share(blocks, BLOCKS), share(lanes, 4 * BLOCKS)];
  console.log(`${name}: of ${BLOCKS} blocks ${whole} do not fit, of their quarters ${quarters}`);
}
