/** Terminals and pages say what intervals from sequences that a text was cut into are for. */
import { compareTables } from "../../src/cli/compare_tables.ts";
import { gsm8kTables, perplexityTables } from "../../src/cli/eval/tables.ts";
import { compareReport } from "../../src/eval/report/compare_page.ts";
import { gsm8kReport } from "../../src/eval/report/gsm8k_page.ts";
import { perplexityReport } from "../../src/eval/report/perplexity_page.ts";
import { CompareResults, SCHEMA_VERSION } from "../../src/eval/results_schema.ts";
import { assertEquals } from "../assert.ts";
import { BANDWIDTH, compared, COST, divergence, gsm8k, namesOf, perplexity, SETTING } from "./results.ts";

const NOTE = /sequences of one text: intervals are for more of this text, and say nothing of other texts/g;
const FIRST =
  /the first 5 of 8 sequences, on which predictions are compared: their intervals are for more of that part/g;

/** How often each line stands on a terminal and on the page. */
const said = (...texts: readonly string[]) =>
  texts.map((text) => [NOTE, FIRST].map((note) => text.match(note)?.length ?? 0));

const ESTIMATE = { value: 1, low: 0.5, high: 2 };

Deno.test("perplexities of several sequences are said to be of one text, and predictions of a part of it", async () => {
  const found = async (sequences: number | null, length = 500) => {
    const { predictions, ...rest } = compared(0.02), part = { ...predictions, sequences: sequences! };
    const results = perplexity(
      ESTIMATE,
      ESTIMATE,
      sequences === null ? [] : [{ key: "b", ...rest, predictions: part }],
    );
    results.protocol.text.sequence_length = length;
    return said(perplexityTables(results).join("\n"), await perplexityReport(results, namesOf(results)));
  };
  assertEquals(await found(null), [[1, 0], [1, 0]]);
  assertEquals(await found(8), [[1, 0], [1, 0]]);
  assertEquals(await found(5), [[1, 1], [1, 1]]);
  // Of one sequence another line says it.
  assertEquals(await found(1, 4000), [[0, 0], [0, 0]]);
});

Deno.test("a comparison of several sequences is said to be of one text, and one of replies is not", async () => {
  for (const [sequences, times] of [[1, 0], [2, 1], [8, 1]] as const) {
    const results = CompareResults.parse({
      schema: "mxoss.compare",
      version: SCHEMA_VERSION,
      mxoss: "1.2.3",
      cost: { a: COST, b: COST },
      bandwidth: BANDWIDTH,
      protocol: {
        a: SETTING,
        b: SETTING,
        text: { name: "a.txt", sha256: "c".repeat(64), tokens: 4000, sequence_length: 500 },
      },
      divergence: { ...divergence(0.02), sequences },
    });
    assertEquals(said(compareTables(results).join("\n"), await compareReport(results)), [[times, 0], [times, 0]]);
  }
  const results = gsm8k(2, 3);
  const texts = [gsm8kTables(results, namesOf(results)).join("\n"), await gsm8kReport(results, namesOf(results))];
  assertEquals(said(...texts), [[0, 0], [0, 0]]);
});
