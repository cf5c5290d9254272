/** bfloat16: the upper half of a float32. */

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/**
 * The bfloat16 nearest to a float32 number, ties to even. Numbers beyond the largest bfloat16 become infinite; a NaN
 * stays a NaN and keeps its sign.
 *
 * @param value Rounded to float32 first, if it is not one.
 * @returns The 16 bits.
 */
export function float32ToBf16(value: number): number {
  float[0] = value;
  const bits = word[0]!;
  // Rounding could carry a NaN's payload into the sign, and cutting it could leave an infinity.
  if (value !== value) return (bits >>> 16) | 0x0040;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The number that 16 bits of bfloat16 stand for; exact. */
export function bf16ToFloat32(bits: number): number {
  word[0] = bits << 16;
  return float[0]!;
}

/** A float32 number rounded to bfloat16, nearest, ties to even, as a number again. */
export function roundToBf16(value: number): number {
  return bf16ToFloat32(float32ToBf16(value));
}

/** Rounds float32 values to bfloat16 in place. */
export function roundAllToBf16(values: Float32Array): void {
  for (let i = 0; i < values.length; i++) values[i] = roundToBf16(values[i]!);
}
