/** What runs say in sentences. */
import { gsm8kTables } from "../../src/cli/eval/tables.ts";
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import { gsm8kReport } from "../../src/eval/report/gsm8k_page.ts";
import { FEWEST_SEQUENCES } from "../../src/eval/intervals.ts";
import {
  accuracyRange,
  boundedByRare,
  type Bounds,
  cutOffNote,
  fewestTokens,
  fewTextsNote,
  observedSpread,
  openEndsNote,
  operationName,
  residualOperation,
  rivalsOf,
  roughTokens,
  suspectText,
  worstOperation,
} from "../../src/eval/summary.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { divergence, gsm8k, namesOf, predictions } from "./results.ts";

Deno.test("a run says how many settings differ from the first, by the corrected p of the flexible filter", () => {
  const said = (ps: readonly number[]) => {
    const results = gsm8k(1 + ps.length, 40);
    for (const [i, { pairs }] of results.comparisons.entries()) {
      for (const pair of pairs) if (pair.filter === "flexible-extract") pair.p_holm = ps[i]!;
    }
    const [sentence, ...more] = observedSpread(results);
    assertEquals(more, []);
    return /, and (.*) from the first by more than noise/.exec(sentence!)![1];
  };
  // At 0.05 it is not below it.
  assertEquals([said([0.05]), said([0.04])], ["the other setting does not differ", "the other setting differs"]);
  assertEquals([said([0.9, 0.05]), said([0.04, 1])], ["none of 2 settings differ", "1 of 2 settings differs"]);
  assertEquals(said([0.04, 1, 0]), "2 of 3 settings differ");
  assertEquals(observedSpread(gsm8k(1, 40)), []);
});

type Operations = Pick<DivergenceResult, "operations">;

/** Operations with these own errors, intervals beside them; undefined: no own error is known. */
function operations(...errors: readonly (readonly [error: number | null, low?: number, high?: number] | undefined)[]) {
  const given = divergence(0.1), [one] = given.operations;
  const operations = errors.map((own, layer) => ({
    ...one!,
    layer,
    operation: "attention",
    own: own === undefined ? null : {
      ...one!.own!,
      relative_error: own[0],
      interval: own[1] === undefined ? null : { low: own[1], high: own[2]! },
    },
  }));
  return { ...given, operations };
}

Deno.test("the worst operation has the largest own error, and an error that is not finite is larger than any", () => {
  const worst = (of: Operations) => worstOperation(of)?.layer;
  assertEquals(worst(operations(undefined, [0.2], [0.3], [0.1])), 2);
  assertEquals(worst(operations([0.3], [0.3], [0.2])), 0, "the first of equals");
  assertEquals(worst(operations([0.3], [null], [9])), 1);
  assertEquals(worst(operations([0.3], [null], [null])), 1);
  assertEquals(worst(operations([0], undefined, [0])), undefined, "no error at all");
  assertEquals(worst(operations([0], [1e-9])), 1);
});

Deno.test("rivals of the worst operation are those whose intervals reach its own", () => {
  const worst = [0.3, 0.2, 0.4] as const;
  assertEquals(rivalsOf(operations(worst, [0.1, 0.05, 0.19])), 0);
  assertEquals(rivalsOf(operations(worst, [0.1, 0.05, 0.2], [0.15, 0.1, 0.3])), 2, "ends that meet");
  assertEquals(rivalsOf(operations(worst, [0.01])), 1, "an error without an interval may be any");
  assertEquals(rivalsOf(operations(worst, undefined, [0, 0, 1], [null])), 0, "that which is not finite is the worst");
  assertEquals(rivalsOf(operations(worst, undefined, [0, 0, 1], [0])), 0, "no error is no rival");
  assertEquals(rivalsOf(operations([0.3], [0.1, 0.05, 0.06])), 1, "the worst has no interval");
  assertEquals(rivalsOf(operations([0])), 0);
});

Deno.test("operations are named with their layer but for the first and the last ones", () => {
  const names = ["embed", "finalNorm", "lm_head", "q_proj"].map((operation) => operationName({ layer: 3, operation }));
  assertEquals(names, ["embed", "finalNorm", "lm_head", "layer 3 q_proj"]);
  const { layer, operation } = residualOperation(divergence(0.1))!;
  assertEquals([layer, operation], [1, "mlpResidual"], "what leaves the last layer");
});

Deno.test("a suspect is named with the error that it is judged by, and with that error's interval", () => {
  const given = divergence(0.1), [suspect] = given.suspects;
  const operations = given.operations.map((o) => ({
    ...o,
    own: {
      ...o.own!,
      interval: o.operation === "attention" ? { low: 0.1 * (o.layer + 1), high: 0.2 * (o.layer + 1) } : null,
    },
    total: { ...o.total, interval: { low: 0.3, high: 0.5 } },
  }));
  const own = { ...suspect!, error: 0.3, explained: 0.0625, hints: ["from position 3 on", "no more"] };
  const said = (changes: Partial<typeof suspect>) => suspectText({ ...own, ...changes }, { operations });
  const rest = "of which the settings explain 0.0625; from position 3 on; no more";
  assertEquals(said({}), `own error 0.3 [0.2, 0.4], ${rest}`);
  assertEquals(said({ layer: 0 }), `own error 0.30 [0.10, 0.20], ${rest}`);
  assertEquals(said({ evidence: "estimated", error: 0.4 }), `error 0.4 [0.3, 0.5], ${rest}`);
  assertEquals(said({ error: null, hints: [] }), "own error is not finite, of which the settings explain 0.0625");
});

Deno.test("fewestTokens() takes the farthest that a ratio may be from 1, and no fewer tokens than there are", () => {
  const fewest = (tokens: number | null, ...[value, low, high]: readonly (number | null)[]) =>
    fewestTokens({ typical_tokens: tokens, typical_ratio: { value: value!, low: low!, high: high! } }, { tokens: 500 });
  // 8000 tokens for a ratio of 2; four times as few for one of 4, and as many for one of 1/4.
  assertEquals(fewest(8000, 2, 0.9, 4), 2000);
  assertEquals(fewest(8000, 2, 0.25, 3), 2000);
  assertEquals(fewest(8000, 2, 0.5, 256), 500);
  assertEquals(fewest(8000, 1, 1, 1), null);
  assertEquals([fewest(null, 2, 1, 4), fewest(8, null, 1, 4), fewest(8, 2, null, 4), fewest(8, 2, 1, null)], [
    null,
    null,
    null,
    null,
  ]);
});

Deno.test("roughTokens() has one digit, an exponent from 100000 on, and is rounded down for so many or more", () => {
  const said = [1499, 1500, 94_999, 95_000, 99_999, 123_456, 2.6e6].map((tokens) => roughTokens(tokens));
  assertEquals(said, ["1000", "2000", "90000", "1e+5", "1e+5", "1e+5", "3e+6"]);
  const down = [1999, 2000, 99_999, 100_000, 999_999].map((tokens) => roughTokens(tokens, Math.floor));
  assertEquals(down, ["1000", "2000", "90000", "1e+5", "9e+5"]);
});

Deno.test("a run names its largest difference, its smallest p and the ends of typical KL, wherever they are", () => {
  const results = gsm8k(4, 40);
  const told = [[0.05, 0.03, 0.03], [-0.1, 0.02, 0.041], [0.075, 0.9, 1]] as const;
  for (const [i, { pairs }] of results.comparisons.entries()) {
    const [difference, p, p_holm] = told[i]!;
    for (const pair of pairs) {
      if (pair.filter === "flexible-extract") Object.assign(pair, { difference, p, p_holm, low: -0.2, high: 0.2 });
    }
  }
  const typical = [0.5, null, 0.25];
  for (const [i, { predictions }] of results.divergences.entries()) {
    const value = typical[i]!;
    predictions.reply!.kl.log_mean = { value, low: value, high: value };
  }
  const text = () => observedSpread(results)[0]!;
  const said = text();
  assertMatch(
    said,
    /, and 2 of 3 settings differ from the first by more than noise: the largest difference is -10 \[-20, \+20\] po/,
  );
  assertMatch(said, / points, the smallest p 0\.020 \(0\.041 corrected for their number\); typical KL lies between /);
  assertMatch(said, /typical KL lies between 0\.2500 and 0\.5000 nats\.$/);
  assertMatch(said, /^In this run every accuracy is 100%, and /);
  Object.assign(results.cells[2]!.filters["flexible-extract"], { accuracy: 0.5, low: 0.49, high: 0.51 });
  assertMatch(text(), /^In this run accuracies lie between 50(?:\.0)?% and 100%, and /);
  // One setting has no range.
  results.divergences[0]!.predictions.reply!.kl.log_mean.value = null;
  assertEquals(text().includes("typical KL"), false);
  assertEquals(observedSpread({ ...results, divergences: [] }), []);
});

Deno.test("replies that were cut off are said to be scored all the same, in tables and on the page", async () => {
  const cut = (...counts: number[]) => {
    const results = gsm8k(counts.length, 40);
    const cells = results.cells.map((cell, i) => ({ ...cell, ends: { ...cell.ends, length: counts[i]! } }));
    return { ...results, cells };
  };
  const note = (...counts: number[]) => cutOffNote(cut(...counts)).map((line) => line.replace(/; where .*/, ""));
  const limit = `cut off at ${gsm8k(1, 40).protocol.decoding.max_tokens} tokens and scored as they stand: `;
  assertEquals([note(0), note(0, 0)], [[], []]);
  assertEquals(note(1), [`${limit}1 of 40 replies`]);
  assertEquals(note(3, 3), [`${limit}3 of 40 replies of each setting`]);
  assertEquals(note(7, 0, 3), [`${limit}0 to 7 of 40 replies of each setting`]);
  const sentence = "0 to 7 of 40 replies of each setting; where";
  for (const [counts, times] of [[[7, 0], 1], [[0, 0], 0]] as const) {
    const results = cut(...counts);
    const said = [gsm8kTables(results, namesOf(results)).join("\n"), await gsm8kReport(results, namesOf(results))];
    assertEquals(said.map((text) => text.split(sentence).length - 1), [times, times]);
  }
});

Deno.test("accuracies that differ by a problem are not written alike, however far their intervals reach", () => {
  const cells = (counts: readonly number[], problems: number) =>
    gsm8k(counts.length, problems).cells.map((cell, i) => {
      const accuracy = counts[i]! / problems, filter = { ...cell.filters["flexible-extract"], accuracy };
      return { ...cell, filters: { ...cell.filters, "flexible-extract": { ...filter, low: 0.2, high: 0.9 } } };
    });
  assertEquals(accuracyRange(cells([660, 655, 660], 1319)), ["49.7%", "50.0%"]);
  assertEquals(accuracyRange(cells([5002, 5000], 10_000)), ["50.00%", "50.02%"]);
  // A difference of a power of ten that floats miss needs no digit more, but where both are rounded to the same one.
  assertEquals(accuracyRange(cells([687, 688], 1000)), ["68.7%", "68.8%"]);
  assertEquals(accuracyRange(cells([6570, 6571], 10_000)), ["65.70%", "65.71%"]);
  for (const [first, problems] of [[100, 2000], [1005, 10_000]] as const) {
    for (let count = first; count < first + 300; count++) {
      const [low, high] = accuracyRange(cells([count, count + problems / 1000], problems));
      assert(low !== high, `${count} of ${problems}: ${low}`);
    }
  }
  const [low, high] = accuracyRange(cells([7, 7], 14));
  assertEquals(low, high);
});

Deno.test("an end that is open is explained, but where the number of sequences says why", () => {
  const open = { low: 0.1, high: null }, closed = { low: 0.1, high: 0.2 };
  const lines = (sequences: number, ...bounds: Bounds[]) => openEndsNote(sequences, bounds).length;
  assertEquals(lines(FEWEST_SEQUENCES, closed, open), 1);
  assertEquals([lines(FEWEST_SEQUENCES - 1, open), lines(2, open), lines(1, open)], [0, 0, 1]);
  assertEquals([lines(9, closed), lines(9, { ...open, value: null }), lines(9, { low: null, high: 1 })], [0, 0, 1]);
  const texts = [1, 2, FEWEST_SEQUENCES - 1, FEWEST_SEQUENCES].map((count) => fewTextsNote(count).join().slice(0, 12));
  assertEquals(texts, ["one sequence", "2 sequences:", `${FEWEST_SEQUENCES - 1} sequences:`, ""]);
  const { all } = predictions(0.1);
  assertEquals([boundedByRare(all).length, boundedByRare({ ...all, next: null }).length], [8, 6]);
  assertEquals(boundedByRare(all).slice(6), [all.next!.nll_increase, all.next!.probability_change_rms]);
});
