/** Sentences claim no more than what was tested. */
import { conclusion } from "../../src/eval/report/ranked.ts";
import { suspectList } from "../../src/eval/report/divergence_sections.ts";
import { compareTables } from "../../src/cli/compare_tables.ts";
import { CompareResults, SCHEMA_VERSION } from "../../src/eval/results_schema.ts";
import { predictionsResult, rankingOf } from "../../src/eval/predictions_result.ts";
import { summarizePredictions } from "../../src/eval/prediction_summary.ts";
import type { SequencePredictions } from "../../src/eval/predictions.ts";
import { assert, assertStringIncludes } from "../assert.ts";
import { BANDWIDTH, COST, divergence, predictions, SETTING } from "./results.ts";

const TOKENS = 64;

/** Predictions on some texts, `kl` apart in the mean. */
function apart(texts: number, kl: number): SequencePredictions[] {
  return Array.from({ length: texts }, (_, index) => ({
    index,
    replyFrom: null,
    kl: Array.from({ length: TOKENS }, (_, t) => kl * (1 + (index * 37 + t * 101) % 17 / 17)),
    agrees: "1".repeat(TOKENS),
    nllA: Array<number>(TOKENS - 1).fill(1),
    nllB: Array<number>(TOKENS - 1).fill(1),
  }));
}

/** What a page says of three settings, of which the first predicts what the reference does. */
function said(texts: number): string {
  const all = Object.entries({ x: apart(texts, 0), b: apart(texts, 1e-3), c: apart(texts, 4e-3) });
  const settings = all.map(([key, sequences]) => ({
    ...{ key, label: key.toUpperCase(), cost: COST, divergence: divergence(0) },
    predictions: predictionsResult(summarizePredictions(sequences)),
  }));
  const ranking = rankingOf(all.map(([key, sequences]) => ({ key, sequences })));
  return conclusion({ key: "r", label: "R", cost: COST }, settings, ranking).text;
}

Deno.test("a setting is closer than those beside it, and not than one that predicts exactly the same", () => {
  const told = said(12), open = said(1);
  assertStringIncludes(told, "X predicts exactly the same; of the others B stays closest to R");
  assertStringIncludes(told, "closer than every other of these");
  assertStringIncludes(open, "X predicts exactly the same; of the others B comes closest to R");
  assertStringIncludes(open, "but cannot be told from C with");
});

Deno.test("own errors that nobody measured are not said to be explained", () => {
  const found = { ...divergence(0.02, false), suspects: [] }, named = [{ label: "B", divergence: found }];
  const setting = { key: "b", label: "B", cost: COST, predictions: predictions(0.02), divergence: found };
  const results = CompareResults.parse({
    ...{ schema: "mxoss.compare", version: SCHEMA_VERSION, mxoss: "1", cost: { a: COST, b: COST } },
    bandwidth: BANDWIDTH,
    protocol: {
      ...{ a: SETTING, b: SETTING },
      text: { name: "text", sha256: "c".repeat(64), tokens: 4, sequence_length: 4 },
    },
    divergence: found,
  });
  for (
    const text of [
      conclusion({ key: "a", label: "A", cost: COST }, [setting], null).text,
      suspectList(named),
      compareTables(results).join(" "),
    ]
  ) {
    assert(!/own error (is one|is larger|is what)/.test(text), text);
    assertStringIncludes(text, "own errors are not known");
  }
});
