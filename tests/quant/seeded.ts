/** Reproducible numbers for tests. */

/**
 * A stream of 32-bit integers: the multiplicative hash that tests/goldens/quant/make_blocks.py also computes, of a counter.
 *
 * @returns A function whose every call gives the next integer, 0 to 2^32 - 1.
 */
export function integers(seed: number): () => number {
  let counter = 0;
  return () => mix(seed, counter++);
}

/** Integer number `counter` of the stream `seed`. */
export function mix(seed: number, counter: number): number {
  let x = (Math.imul(seed, 0x9e3779b1) ^ counter) >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** Numbers of a normal distribution, float32. */
export function normals(seed: number, count: number, deviation = 1): Float32Array {
  const next = integers(seed);
  const uniform = () => (next() + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}
