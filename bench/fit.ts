/**
 * Counts blocks of normally distributed bf16 numbers that are not integers of 16 bits times a power of two.
 *
 *     deno run bench/fit.ts
 */
import { roundToBf16 } from "../src/formats/bf16.ts";

const BLOCKS = 20_000, BITS = 15;

/** Whether the numbers are multiples of the largest one's power of two, less 14 bits. */
function fits(numbers: readonly number[]): boolean {
  const exponent = Math.floor(Math.log2(Math.max(...numbers.map(Math.abs))));
  return numbers.every((number) => Number.isInteger(number * 2 ** (BITS - 1 - exponent)));
}

let blocks = 0, lanes = 0;
for (let i = 0; i < BLOCKS; i++) {
  const numbers = Array.from(
    { length: 32 },
    () => roundToBf16(Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())),
  );
  if (!fits(numbers)) blocks++;
  for (let lane = 0; lane < 4; lane++) if (!fits(numbers.slice(8 * lane, 8 * lane + 8))) lanes++;
}
const share = (part: number, of: number) => `${(100 * part / of).toFixed(1)}%`;
console.log(`of ${BLOCKS} blocks ${share(blocks, BLOCKS)} do not fit, of their quarters ${share(lanes, 4 * BLOCKS)}`);
