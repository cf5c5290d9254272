/** Where columns lie of rows that matrix kernels read. */

/** By order; see kernels/common/columns.h. */
export const PLACES = [
  (c: number) => c,
  (c: number) => (c & ~7) + 2 * (c & 3) + (c >> 2 & 1),
  (c: number) => (c & ~63) + (c & 8) * 4 + (c >> 3 & 6) + 8 * (c & 3) + (c >> 2 & 1),
] as const;

/** The bits of a float32 number, of which the upper half are those of a bf16 one. */
export const bitsOf = (v: number): number => new Uint32Array(Float32Array.of(v).buffer)[0]!;
