import { exceeds, judge } from "../../src/cli/compare_gate.ts";
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { assertEquals } from "../assert.ts";

/** Intervals are those of results; what is not finite or not bounded is null there. */
const CASES: readonly [what: string, judged: Parameters<typeof exceeds>[0], above: number, exceeded: boolean | null][] =
  [
    ["an interval above the limit", { value: 0.4, low: 0.2, high: 0.6 }, 0.1, true],
    ["one below it", { value: 0.4, low: 0.2, high: 0.6 }, 0.7, false],
    ["one whose upper end is the limit", { value: 0.4, low: 0.2, high: 0.6 }, 0.6, false],
    ["one that holds it, from below", { value: 0.4, low: 0.2, high: 0.6 }, 0.5, null],
    ["one that holds it, from above", { value: 0.4, low: 0.2, high: 0.6 }, 0.3, null],
    ["an open end above the limit", { value: 0.4, low: 0.2, high: null }, 0.1, true],
    ["an open end", { value: 0.4, low: 0.2, high: null }, 100, null],
    ["no difference, of few tokens", { value: 0, low: 0, high: null }, 0.1, null],
    ["no difference, where none is allowed", { value: 0, low: 0, high: null }, 0, false],
    ["one difference, where none is allowed", { value: 1e-9, low: 0, high: null }, 0, true],
    ["an increase that may be a decrease", { value: 0.1, low: -0.2, high: 0.4 }, 0, null],
    ["what is not finite", { value: null, low: null, high: null }, 1e9, true],
    ["a count below the limit", { exact: 0 }, 0, false],
    ["a count above it", { exact: 2 }, 1, true],
    ["a largest value that is not finite", { exact: null }, 1e9, true],
  ];

for (const [what, judged, above, exceeded] of CASES) {
  Deno.test(`--fail-above: ${what}`, () => assertEquals(exceeds(judged, above), exceeded));
}

/** A comparison of 100 tokens with these numbers. */
function divergence(kl: number, high: number | null, errors: readonly (readonly [number, number | null])[] = []) {
  return {
    tokens: 100,
    logits: {
      all: {
        kl: { mean: { value: kl, low: 0, high }, max: kl },
        same_top: { value: kl === 0 ? 1 : 0.9, low: 0.8, high: kl === 0 ? 1 : 0.95 },
        next: null,
      },
    },
    operations: errors.map(([value, end]) => ({
      total: { relative_error: value, interval: end === null ? null : { low: value / 2, high: end } },
      own: null,
    })),
    router: { flipped: 0, decisions: 40, interval: null },
    suspects: [],
  } as unknown as DivergenceResult;
}

function judged(limits: Parameters<typeof judge>[0], of: DivergenceResult) {
  const lines: string[] = [];
  return { code: judge(limits, of, (line) => lines.push(line)), lines };
}

Deno.test("--fail-above: what is exceeded comes before what cannot be told, and each has its line", () => {
  assertEquals(judged([{ what: "kl", above: 0.1 }, { what: "disagreement", above: 0.01 }], divergence(0.02, null)), {
    code: 3,
    lines: [
      "--fail-above: kl is 0.02 [0, -], so that 100 tokens cannot tell whether it is above 0.1: use more",
      "--fail-above: disagreement is 0.10 [0.05, 0.20], above 0.01",
    ],
  });
  assertEquals(judged([{ what: "kl", above: 0.1 }], divergence(0.02, null)).code, 4);
  assertEquals(judged([{ what: "kl", above: 0.1 }], divergence(0.02, 0.09)), { code: 0, lines: [] });
});

Deno.test("--fail-above: equal logits keep every limit, whatever few tokens leave open", () => {
  const limits = (["kl", "max-kl", "disagreement", "error", "own-error", "flips", "suspects"] as const)
    .map((what) => ({ what, above: 0.001 }));
  assertEquals(judged(limits, divergence(0, null, [[0, null]])), { code: 0, lines: [] });
});

Deno.test("--fail-above: no flips between settings that differ are judged by what so many tokens may miss", () => {
  const found = divergence(0.02, 0.09), router = { flipped: 0, decisions: 4000, interval: { low: 0, high: 0.0038 } };
  const code = (above: number) =>
    judged([{ what: "flips", above }], { ...found, router: { ...found.router, ...router } }).code;
  assertEquals([0, 0.003, 0.004].map(code), [0, 4, 0]);
});

Deno.test("--fail-above: an error is the largest for sure that is, and no larger than any may be", () => {
  const errors = [[0.02, 0.05], [0.04, 0.045], [0.001, null]] as const;
  const limit = (above: number) => judged([{ what: "error", above }], divergence(0.1, 1, errors)).code;
  assertEquals([0.019, 0.021, 10].map(limit), [3, 4, 4]);
  const known = (above: number) => judged([{ what: "error", above }], divergence(0.1, 1, errors.slice(0, 2))).code;
  assertEquals([0.045, 0.049, 0.05].map(known), [4, 4, 0]);
});
