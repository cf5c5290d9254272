/** Reproducible numbers for tests. */

/**
 * A stream of 32-bit integers: the multiplicative hash that tests/goldens/quant/make_blocks.py also computes, of a
 * counter.
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

/** Normal distributions that were drawn before: tests ask for the same ones hundreds of times. */
const drawn = new Map<string, Float32Array>();

/** Numbers of a normal distribution, float32. */
export function normals(seed: number, count: number, deviation = 1): Float32Array {
  const name = `${seed} ${count} ${deviation}`;
  let numbers = drawn.get(name);
  if (numbers === undefined) {
    const next = integers(seed);
    const uniform = () => (next() + 0.5) / 2 ** 32;
    numbers = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      numbers[i] = deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
    }
    drawn.set(name, numbers);
  }
  return numbers.slice();
}
