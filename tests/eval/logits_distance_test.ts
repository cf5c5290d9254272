import { argmax, klDivergence, likeliestTokens, logProbability, logSumExp } from "../../src/session/likelihood.ts";
import { assert, assertAlmostEquals, assertEquals } from "../assert.ts";

const logs = (...probabilities: number[]) => Float32Array.from(probabilities, Math.log);

Deno.test("klDivergence() gives what is worked out by hand", () => {
  // 0.5 ln(0.5 / 0.25) + 0.5 ln(0.5 / 0.75)
  assertAlmostEquals(klDivergence(logs(0.5, 0.5), logs(0.25, 0.75)), 0.14384103622589045, 1e-7);
  assertAlmostEquals(klDivergence(logs(0.25, 0.75), logs(0.5, 0.5)), 0.13081203594113694, 1e-7);
});

Deno.test("klDivergence() and log probabilities of logits that add up to anything are SciPy's", () => {
  const logits = (k: number) =>
    Float32Array.from({ length: 50 }, (_, i) => (7919 * (k + 1) + 104729 * (i + 1)) % 1009 / 60 - 8);
  const p = logits(0), q = logits(3);
  assertAlmostEquals(klDivergence(p, q), 8.180961807387867, 1e-13);
  assertAlmostEquals(klDivergence(q, p), 8.62801680906833, 1e-13);
  assertAlmostEquals(logSumExp(p), 9.507773707907905, 1e-13);
  assertAlmostEquals(logProbability(q, 17), -6.258397684360809, 1e-13);
});

Deno.test("likeliestTokens() gives as many as asked for, of equal ones those with lower ids first", () => {
  const logits = Float32Array.from({ length: 97 }, (_, i) => (i * 31 + 7) % 41);
  const sorted = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  for (const count of [0, 1, 2, 5, 60, 97]) assertEquals(likeliestTokens(logits, count), sorted.slice(0, count));
  assertEquals(likeliestTokens(Float32Array.of(1, 1, 1), 2), [0, 1]);
});

Deno.test("klDivergence() ignores a constant added to the logits, is 0 for equal ones and NaN for NaN", () => {
  const p = logs(0.1, 0.2, 0.7);
  assertEquals(klDivergence(p, p), 0);
  assert(klDivergence(p, p.map((x) => x + 8)) < 1e-12);
  assertEquals(klDivergence(p, Float32Array.of(0, NaN, 0)), NaN);
});

Deno.test("logSumExp() does not overflow", () => {
  assertAlmostEquals(logSumExp(Float32Array.of(3e38, 3e38)), Math.fround(3e38) + Math.LN2, 1e30);
  assertAlmostEquals(logSumExp(Float32Array.of(1000, 1000)), 1000 + Math.LN2, 1e-9);
  assertAlmostEquals(logProbability(Float32Array.of(-1000, -1000, -1000, -1000), 2), -Math.log(4), 1e-9);
});

Deno.test("argmax() takes the first of equal logits", () => {
  assertEquals(argmax(Float32Array.of(1, 3, 3, 2)), 1);
});
