import { assert, assertEquals, assertNotEquals, assertThrows } from "../assert.ts";
import { dose } from "../soak.ts";
import { FailureError, InputError } from "../../src/errors.ts";
import { weightOf } from "../../src/session/probability.ts";
import { Random } from "../../src/session/random.ts";
import { Sampler, type SamplerOptions } from "../../src/session/sampler.ts";

const draws = (options: SamplerOptions, logits: Float32Array, n: number): number[] => {
  const sampler = new Sampler(options);
  return Array.from({ length: n }, () => sampler.sample(logits));
};
/** Logits whose softmax is in proportion to these weights. */
const logitsOf = (...weights: number[]) => Float32Array.from(weights, Math.log);
/** The tokens that occur, ascending. */
const set = (tokens: number[]) => [...new Set(tokens)].sort((a, b) => a - b);

// ---------------------------------------------------------------- greedy

Deno.test("sample() at temperature 0 takes the largest logit, of several the lowest id", () => {
  const greedy = new Sampler();
  assertEquals(greedy.sample(Float32Array.of(1, 3, 2)), 1);
  assertEquals(greedy.sample(Float32Array.of(1, 3, 3, 2, 3)), 1);
  assertEquals(greedy.sample(Float32Array.of(-5, -5)), 0);
  assertEquals(greedy.sample(Float32Array.of(-Infinity, -7)), 1);
  assertEquals(greedy.sample(Float32Array.of(-0, 0)), 0);
  // Whatever the random number.
  assertEquals([0, 0.5, 0.999].map((uniform) => greedy.pick(Float32Array.of(1, 3, 3, 2, 3), uniform)), [1, 1, 1]);
});

Deno.test("sample() takes the token that is known to be the likeliest just where that is the answer", () => {
  const logits = Float32Array.of(1, 3, 2, 2.5), options = { temperature: 0.7, seed: 9 };
  // Logits that nobody computed are not read.
  assertEquals(new Sampler().sample(new Float32Array(4).fill(NaN), 2), 2);
  const drawn = new Sampler(options), tokens = Array.from({ length: 50 }, () => drawn.sample(logits, 1));
  assertEquals(tokens, draws(options, logits, 50));
  assert(tokens.some((token) => token !== 1));
  // A bias decides otherwise than the logits alone.
  assertEquals(new Sampler({ logitBias: new Map([[0, 5]]) }).sample(logits, 1), 0);
});

Deno.test("sample() with top-k 1 is greedy at any temperature", () => {
  assertEquals(set(draws({ temperature: 9, topK: 1, seed: 3 }, Float32Array.of(1, 2, 2), 50)), [1]);
});

Deno.test("sample() fails on logits that a computation should not give", () => {
  for (const options of [{}, { temperature: 1, seed: 0 }, { temperature: 1, topK: 2, topP: 0.5, seed: 0 }]) {
    const sampler = new Sampler(options);
    const fails = (logits: number[], message: string) =>
      assertThrows(() => sampler.sample(Float32Array.from(logits)), FailureError, message);
    fails([NaN, 1], "got NaN for token 0");
    fails([1, 0, NaN], "got NaN for token 2");
    fails([1, Infinity], "got Infinity for token 1");
    fails([-Infinity, -Infinity], "got 2 times -Infinity");
    fails([], "got 0 times -Infinity");
  }
});

// ---------------------------------------------------------------- distribution

/**
 * Upper 0.1% point of chi-square by degrees of freedom (from tables). A right sampler exceeds it for one seed in a
 * thousand.
 */
const CHI_SQUARE_999: Record<number, number> = { 1: 10.828, 2: 13.816, 3: 16.266, 7: 24.322 };

function fits(options: SamplerOptions, logits: Float32Array, expected: number[]): void {
  const n = 20_000;
  const counts = expected.map(() => 0);
  for (const token of draws(options, logits, n)) counts[token]!++;
  let chiSquare = 0;
  let degrees = -1;
  expected.forEach((p, token) => {
    if (p === 0) return assertEquals(counts[token], 0);
    chiSquare += (counts[token]! - n * p) ** 2 / (n * p);
    degrees++;
  });
  const bound = CHI_SQUARE_999[degrees]!;
  assert(chiSquare < bound, `chi-square ${chiSquare}, expected below ${bound}; counts ${counts}`);
}

Deno.test("sample() draws tokens with their softmax probabilities", () => {
  fits({ temperature: 1, seed: 1 }, logitsOf(1, 2, 3, 4, 5, 6, 7, 8), [1, 2, 3, 4, 5, 6, 7, 8].map((w) => w / 36));
});

Deno.test("sample() divides logits by the temperature", () => {
  // At temperature 1/2 weights are squared, at 2 their roots are taken.
  fits({ temperature: 0.5, seed: 2 }, logitsOf(1, 2, 3, 4), [1, 4, 9, 16].map((w) => w / 30));
  fits({ temperature: 2, seed: 3 }, logitsOf(1, 4, 9, 16), [1, 2, 3, 4].map((w) => w / 10));
});

Deno.test("sample() renormalises over what top-k and top-p leave", () => {
  const logits = logitsOf(10, 40, 5, 30, 15);
  fits({ temperature: 1, topK: 3, seed: 4 }, logits, [0, 40 / 85, 0, 30 / 85, 15 / 85]);
  fits({ temperature: 1, topP: 0.9, seed: 5 }, logits, [10 / 95, 40 / 95, 0, 30 / 95, 15 / 95]);
  // top-p is a share of what top-k leaves: 70 of 85 suffice for 0.8, though 70 of 100 would not.
  fits({ temperature: 1, topK: 3, topP: 0.8, seed: 6 }, logits, [0, 40 / 70, 0, 30 / 70, 0]);
  fits({ temperature: 1, topK: 3, topP: 0.9, seed: 7 }, logits, [0, 40 / 85, 0, 30 / 85, 15 / 85]);
});

Deno.test("sample() never draws a token whose logit is -Infinity", () => {
  fits({ temperature: 1, seed: 8 }, logitsOf(1, 0, 2, 1), [0.25, 0, 0.5, 0.25]);
});

// ---------------------------------------------------------------- sets

Deno.test("sample() keeps exactly top-k tokens, of equal ones the lowest ids", () => {
  const logits = Float32Array.of(2, 5, 2, 4, 2, 2, 3);
  const kept = (topK: number) => set(draws({ temperature: 50, topK, seed: 9 }, logits, 400));
  assertEquals(kept(2), [1, 3]);
  assertEquals(kept(3), [1, 3, 6]);
  assertEquals(kept(4), [0, 1, 3, 6]);
  assertEquals(kept(5), [0, 1, 2, 3, 6]);
  assertEquals(kept(7), [0, 1, 2, 3, 4, 5, 6]);
  assertEquals(kept(0), kept(7));
  assertEquals(kept(1000), kept(7));
});

Deno.test("sample() keeps the smallest set that reaches top-p, of equal tokens the lowest ids", () => {
  const kept = (topP: number, logits: Float32Array) => set(draws({ temperature: 1, topP, seed: 10 }, logits, 600));
  const even = new Float32Array(8);
  assertEquals(kept(1e-9, even), [0]);
  assertEquals(kept(0.125, even), [0]);
  assertEquals(kept(0.1251, even), [0, 1]);
  assertEquals(kept(0.5, even), [0, 1, 2, 3]);
  assertEquals(kept(0.9, even), [0, 1, 2, 3, 4, 5, 6, 7]);
  // Where the bound is met exactly no further token is kept.
  assertEquals([0.25, 0.375, 0.625, 0.875].map((topP) => kept(topP, even)), [
    ...[[0, 1], [0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 6]],
  ]);
  const uneven = logitsOf(5, 40, 10, 30, 15);
  assertEquals(kept(0.39, uneven), [1]);
  assertEquals(kept(0.41, uneven), [1, 3]);
  assertEquals(kept(0.84, uneven), [1, 3, 4]);
  assertEquals(kept(0.86, uneven), [1, 2, 3, 4]);
  assertEquals(kept(0.96, uneven), [0, 1, 2, 3, 4]);
});

Deno.test("pick() gives the bound between two tokens to the second", () => {
  const sampler = new Sampler({ temperature: 1, seed: 0 });
  const picks = (logits: Float32Array, ...uniforms: number[]) => uniforms.map((u) => sampler.pick(logits, u));
  const below = 2 ** -24;
  assertEquals(picks(new Float32Array(4), 0, 0.25 - below, 0.25, 0.5 - below, 0.5, 0.75, 1 - below), [
    ...[0, 0, 1, 1, 2, 3, 3],
  ]);
  // A token without weight is never drawn, wherever it stands.
  const gaps = Float32Array.of(-Infinity, 0, -Infinity, -Infinity, 0, -Infinity);
  assertEquals(picks(gaps, 0, 0.5 - below, 0.5, 1 - below), [1, 1, 4, 4]);
});

Deno.test("sample() stays greedy where the inverse of a temperature is beyond float32", () => {
  const logits = Float32Array.of(1, 3, 2.999, 3, -Infinity);
  for (const temperature of [1e-38, 3e-39, 1e-40, 1e-45]) {
    assertEquals(set(draws({ temperature, seed: 4 }, logits, 60)), [1, 3], `temperature ${temperature}`);
  }
});

/** The definition, by sorting and in integers of any size: what sample() must do for one random number. */
function reference(
  logits: Float32Array,
  { temperature = 1, topK = 0, topP = 1 }: SamplerOptions,
  random: Random,
): number {
  const f = Math.fround, largest = logits.reduce((a, b) => Math.max(a, b)), inverse = f(1 / f(temperature));
  const weights = Array.from(logits, (logit) => BigInt(weightOf(f(f(logit - largest) * inverse))));
  const sum = (ids: readonly number[]) => ids.reduce((total, id) => total + weights[id]!, 0n);
  const part = (total: bigint, u: number) => (total * BigInt(Math.floor(u * 2 ** 24))) >> 24n;
  let ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (topK > 0) ids = ids.slice(0, topK);
  if (f(topP) < 1) {
    const target = part(sum(ids), f(topP)), kept: number[] = [];
    for (let total = 0n; kept.length === 0 || total < target; total += weights[kept.at(-1)!]!) {
      kept.push(ids[kept.length]!);
    }
    ids = kept;
  }
  ids.sort((a, b) => a - b);
  const left = part(sum(ids), random.fraction());
  let running = 0n;
  return ids.find((id) => (running += weights[id]!) > left)!;
}

Deno.test("pick() begins with each token at the very number that its weight and the temperature's inverse say", () => {
  const choose = new Random(21n), f = Math.fround;
  for (const temperature of [0.05, 0.3, 0.7, 1, 1.3, 3, 70]) {
    const sampler = new Sampler({ temperature, seed: 0 }), inverse = f(1 / f(temperature));
    for (let round = 0; round < 40; round++) {
      const logits = Float32Array.from({ length: 6 }, () => 4 * temperature * choose.fraction());
      const largest = Math.max(...logits), weights = Array.from(logits, (l) => weightOf(f(f(l - largest) * inverse)));
      const mass = weights.reduce((a, b) => a + b);
      for (let id = 1, before = 0; id < logits.length; id++) {
        before += weights[id - 1]!;
        // The first of 2^24 numbers whose part of all weights, rounded down, is not below those before the token.
        const first = Number((BigInt(before) * 2n ** 24n + BigInt(mass) - 1n) / BigInt(mass));
        assertEquals([first - 1, first].map((n) => sampler.pick(logits, n / 2 ** 24)), [id - 1, id]);
      }
    }
  }
});

Deno.test("sample() agrees with sorting on random logits, sizes and options, through one sampler's buffers", () => {
  const choose = new Random(77n);
  const pick = <T>(values: readonly T[]): T => values[choose.word() % values.length]!;
  for (let round = 0; round < 60; round++) {
    const options = {
      temperature: pick([0.05, 0.7, 1, 3, 1e6]),
      topK: pick([0, 0, 2, 5, 40]),
      topP: pick([1, 0.999, 0.9, 0.5, 0.1]),
      seed: round,
    };
    const sampler = new Sampler(options);
    const random = new Random(BigInt(round));
    for (let i = 0; i < 12; i++) {
      const length = 2 + choose.word() % 300;
      // Few different values, so that ties lie on the bounds.
      const steps = pick([3, 20, 1e6]);
      const logits = Float32Array.from({ length }, () => Math.round((choose.fraction() - 0.5) * steps) * (12 / steps));
      assertEquals(
        sampler.sample(logits),
        reference(logits, options, random),
        JSON.stringify({ ...options, length, steps }),
      );
    }
  }
});

Deno.test("sample() agrees with sorting on a vocabulary of 201,088", () => {
  const choose = new Random(5n);
  const logits = Float32Array.from(
    { length: 201_088 },
    () => (choose.fraction() + choose.fraction() + choose.fraction()) * 8,
  );
  for (const options of [{}, { topP: 0.95 }, { topK: 50 }, { topK: 50, topP: 0.6 }, { topK: 3000, topP: 0.99 }]) {
    const random = new Random(11n);
    const count = dose(1, 3);
    const expected = Array.from({ length: count }, () => reference(logits, { ...options, temperature: 1 }, random));
    assertEquals(draws({ ...options, temperature: 1, seed: 11 }, logits, count), expected);
  }
});

// ---------------------------------------------------------------- seeds and options

Deno.test("sample() gives the same tokens for the same seed, others for another", () => {
  const logits = new Float32Array(1000);
  const of = (seed: number | bigint | string) => draws({ temperature: 1, seed }, logits, 20);
  assertEquals(of(7), of(7));
  assertEquals(of("7"), of(7));
  assertEquals(of("0x7"), of(7n));
  assertNotEquals(of(8), of(7));
  assertNotEquals(of("18446744073709551615"), of("4294967295"));
});

Deno.test("upcoming() tells the numbers that the next tokens take, and skip() takes them", () => {
  const logits = Float32Array.from({ length: 1000 }, (_, id) => id % 7);
  for (const temperature of [0.3, 1, 2]) {
    const options = { temperature, topK: 900, seed: 5 };
    const expected = draws(options, logits, 6), sampler = new Sampler(options);
    assertEquals(sampler.sample(logits), expected[0]);
    const uniforms = sampler.upcoming(5);
    assertEquals(Array.from(uniforms.subarray(0, 3), (u) => sampler.pick(logits, u)), expected.slice(1, 4));
    assertEquals(sampler.upcoming(5), uniforms);
    sampler.skip(3);
    assertEquals([sampler.sample(logits), sampler.sample(logits)], expected.slice(4));
  }
  assertEquals(new Sampler().upcoming(5), new Float32Array(0));
});

Deno.test("Sampler gives engines numbers that float32 holds, and never 0 or infinity for what is neither", () => {
  const { temperature, topP } = new Sampler({ temperature: 1e300, topP: 1e-300 });
  assertEquals([temperature, topP], [(2 - 2 ** -23) * 2 ** 127, 2 ** -149]);
  const sampler = new Sampler({ temperature: 0.1, topP: 0.3, topK: 7, seed: 1 });
  assertEquals(sampler.sampling!(2), {
    ...{ temperature: Math.fround(0.1), topP: Math.fround(0.3), topK: 7, uniforms: sampler.upcoming(2) },
  });
});

Deno.test("Sampler chooses a seed of its own and tells it", () => {
  const logits = new Float32Array(1000);
  const one = new Sampler({ temperature: 1 });
  const tokens = Array.from({ length: 20 }, () => one.sample(logits));
  assertEquals(draws({ temperature: 1, seed: one.seed }, logits, 20), tokens);
  assertNotEquals(new Sampler().seed, new Sampler().seed);
});

Deno.test("Sampler refuses options out of range", () => {
  const refuses = (options: SamplerOptions, message: string) =>
    assertThrows(() => new Sampler(options), InputError, message);
  for (const temperature of [-1, NaN, Infinity]) {
    refuses({ temperature }, `temperature: expected a number of at least 0, got ${temperature}`);
  }
  for (const topK of [-1, 1.5, NaN]) refuses({ topK }, `topK: expected an integer of at least 0, got ${topK}`);
  for (const topP of [0, -0.5, 1.1, NaN]) {
    refuses({ topP }, `topP: expected a number above 0 and up to 1, got ${topP}`);
  }
  for (const seed of [-1, 0.5, 2 ** 60, -1n, 2n ** 64n]) {
    refuses({ seed }, `from 0 to 18446744073709551615, got ${seed}`);
  }
  for (const seed of ["", "x", "-1", "1e3", "18446744073709551616"]) {
    refuses({ seed }, "seed: expected an integer from 0 to");
  }
});
