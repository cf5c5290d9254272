/**
 * Q8_0 of llama.cpp: blocks of 32 numbers with a float16 scale and int8 codes, as ggml's processor kernels quantize
 * inputs that are multiplied by MXFP4 or Q8_0 weights.
 */
import { BLOCK } from "./format.ts";
import { largestMagnitude } from "./scales.ts";

/** Largest code; -128 is not used. */
const MAX_CODE = 127;
/** Adding and subtracting it leaves an integer, rounded as float64 addition rounds: to nearest, ties to even. */
const ROUNDER = 1.5 * 2 ** 52;

/**
 * Quantizes a block by the rule of ggml's x86 code: scale max|x| / 127, codes x * (127 / max|x|), each operation in
 * float32, codes to nearest even. Other code of ggml multiplies by the reciprocal of the scale (ARM) or rounds ties
 * away from zero (its reference, CUDA's kernels); tests/goldens/quant/README.md counts what that changes.
 *
 * @param values Float32 numbers, of which `start` to `end` - 1 are the block.
 * @param codes Gets the codes, at the places of the numbers; NaN where the scale is.
 * @returns The scale, a float16 number: 0 where it underflows; NaN where it overflows (max|x| from 127 * 65520 on), or
 *   a number is NaN or infinite: no code times an infinite scale is a number.
 */
export function quantizeQ8(values: Float32Array, start: number, end: number, codes: Float32Array): number {
  const amax = largestMagnitude(values, start, end), scale = Math.f16round(Math.fround(amax / MAX_CODE));
  if (!Number.isFinite(scale)) {
    codes.fill(NaN, start, end);
    return NaN;
  }
  const quotient = Math.fround(MAX_CODE / amax);
  // Where 127 / max|x| is beyond float32, the scale is 0 by far.
  const inverse = Number.isFinite(quotient) ? quotient : 0;
  for (let i = start; i < end; i++) codes[i] = Math.fround(values[i]! * inverse) + ROUNDER - ROUNDER;
  return scale;
}

/**
 * Quantizes a row and dequantizes it: a code times its block's scale, exactly. The results have up to 19 significant
 * bits, and stay float32 in a model of bfloat16, too, as ggml multiplies the codes themselves.
 *
 * @param values One row, changed in place; the last block may be shorter than 32.
 */
export function qdqQ8(values: Float32Array): void {
  for (let start = 0; start < values.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, values.length), scale = quantizeQ8(values, start, end, values);
    for (let i = start; i < end; i++) values[i]! *= scale;
  }
}
