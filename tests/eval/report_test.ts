/** Pages from results at the edges: nothing differs, nothing is finite, one problem, names that are markup. */
import type { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import type { CellName } from "../../src/eval/matrix.ts";
import type { Estimated } from "../../src/eval/predictions_schema.ts";
import { compareReport } from "../../src/eval/report/compare_page.ts";
import { gsm8kReport } from "../../src/eval/report/gsm8k_page.ts";
import { predictionTable } from "../../src/eval/report/prediction_tables.ts";
import { perplexityReport } from "../../src/eval/report/perplexity_page.ts";
import { accuracyRange } from "../../src/eval/summary.ts";
import { CompareResults, type Gsm8kResults, PerplexityResults, SCHEMA_VERSION } from "../../src/eval/results_schema.ts";
import { compareTables } from "../../src/cli/compare_tables.ts";
import { gsm8kTables, perplexityTables } from "../../src/cli/eval/tables.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";
import {
  BANDWIDTH,
  compared,
  COST,
  divergence,
  EVIL,
  gsm8k,
  namesOf,
  perplexity,
  predictions,
  SETTING,
  settingResult,
} from "./results.ts";

function assertPage(page: string): void {
  assert(page.startsWith("<!doctype html>") && page.trimEnd().endsWith("</html>"));
  assert(!/<script [^>]|<link|https?:\/\/(?!www\.w3\.org)/.test(page), "the page must load nothing");
  assertEquals(page.split("<script").length, 2, "one script, which is part of the page");
  assert(!page.includes('<b>&"evil') && !page.includes("<i>hint"), "text must be escaped");
  const said = page.replace(/<script>.*<\/script>/s, "");
  assert(!/\bNaN\b|undefined|Infinity/.test(said), /.{40}(\bNaN\b|undefined|Infinity).{40}/.exec(said)?.[0] ?? "");
}

function comparison(error: number | null, own: boolean): CompareResults {
  return CompareResults.parse({
    schema: "mxoss.compare",
    version: SCHEMA_VERSION,
    mxoss: "1.2.3",
    cost: { a: COST, b: { ...COST, weight_bytes: 3e9 } },
    bandwidth: BANDWIDTH,
    protocol: {
      a: SETTING,
      b: settingResult(EVIL),
      text: { name: EVIL, sha256: "c".repeat(64), tokens: 4, sequence_length: 4 },
    },
    divergence: divergence(error, own),
  });
}

for (
  const [what, error] of [["nothing differs", 0], ["something differs", 0.02], ["nothing is finite", null]] as const
) {
  for (const own of [true, false]) {
    Deno.test(`compareReport() draws a page where ${what}, own errors ${own ? "known" : "unknown"}`, async () => {
      const results = comparison(error, own);
      const page = await compareReport(results);
      assertPage(page);
      assertEquals(page.includes("not finite"), error === null);
      // Two perplexities do not tell A from B: their paired difference stands beside them.
      assertStringIncludes(page, "more nats per token");
      assertStringIncludes(page, "&lt;b&gt;&amp;&quot;evil&quot;.txt");
      const text = compareTables(results, true).join("\n");
      assertStringIncludes(text, "3 (9 x RMS, 50% of error)");
      assertStringIncludes(
        text,
        "mxoss 1.2.3; models/tiny, weights aaaaaaaaaaaaaaaa, config and headers ffffffffffffffff",
      );
      assert(!/NaN|undefined|Infinity/.test(text), text);
    });
  }
}

for (const cells of [1, 2, 9]) {
  Deno.test(`gsm8kReport() draws a page of ${cells} cell${cells === 1 ? "" : "s"} and one problem`, async () => {
    const results = gsm8k(cells, 1);
    const page = await gsm8kReport(results, namesOf(results));
    assertPage(page);
    assertEquals(page.includes("Where error comes from"), cells > 1);
    assertStringIncludes(page, "Accuracy hardly separates quantization schemes");
    const text = gsm8kTables(results, namesOf(results)).join("\n");
    assertStringIncludes(text, "chat by none, seed 0");
    assert(!/NaN|undefined|Infinity/.test(text), text);
  });
}

/** The widest matrix that the documentation has: 40 settings, and their names. */
function wideMatrix(): [Gsm8kResults, CellName[]] {
  const results = gsm8k(40, 1);
  const schemes = ["w_mxfp4", "w_mxfp4_a_fp8", "w_mxfp4_a_mxfp4", "w_mxfp4_a_mxfp6_e3m2", "w_mxfp4_a_mxfp6_e2m3"];
  const settings = schemes.flatMap((scheme) =>
    (["bf16", "fp8"] as const).flatMap((kv) => [1, 2, 4, 8].map((tp) => ({ scheme, kv_cache_dtype: kv, tp })))
  );
  const names = settings.map(({ scheme, kv_cache_dtype: kvCacheDtype, tp }) => ({
    ...{ model: null, scheme, kvCacheDtype, tp, ep: null },
  }));
  return [{
    ...results,
    cells: results.cells.map((cell, i) => {
      const own = settings[i]!;
      return {
        ...cell,
        label: `${own.scheme}, kv ${own.kv_cache_dtype}, tp ${own.tp}`,
        protocol: { ...SETTING, ...own, calibrated_on: own.scheme.endsWith("a_fp8") ? "text" : null },
        reliability: [{ problems: 20, confidence: 0.8, accuracy: 0.7 }, { problems: 20, confidence: 1, accuracy: 1 }],
      };
    }),
    divergences: results.divergences.map(({ key }, i) => ({ key, ...compared(1e-3 * (i + 1)) })),
  }, names];
}

Deno.test("accuracies that differ are never said to be the same, however few digits their intervals leave sure", () => {
  const [cell] = gsm8k(1, 1).cells as [Gsm8kResults["cells"][number]];
  const range = (...accuracies: number[]) =>
    accuracyRange(accuracies.map((accuracy) => {
      const found = { ...cell.filters["flexible-extract"], accuracy, low: accuracy - 0.03, high: accuracy + 0.03 };
      return { ...cell, filters: { ...cell.filters, "flexible-extract": found } };
    }));
  assertEquals(range(0.724, 0.721), ["72.1%", "72.4%"]);
  assertEquals(range(0.721, 0.721), ["72%", "72%"]);
  assertEquals(range(0.68, 0.721), ["68%", "72%"]);
});

Deno.test("gsm8kReport() draws 40 settings: a panel for each number of ranks, a colour for each scheme", async () => {
  const page = await gsm8kReport(...wideMatrix());
  assertPage(page);
  // Both kinds of evidence, and the words that say which one to choose by.
  assertStringIncludes(
    page,
    "every accuracy is 100%, and none of 39 settings differ from the first by more than noise: the largest " +
      "difference is 0 [-10, +10] points, the smallest p 1.000 (1.000 corrected for their number)",
  );
  assertStringIncludes(page, "typical KL lies between 0.0010 [0.0005, 0.0010] and 0.039 [0.019, 0.039] nats");
  const svgs = page.split("<svg").filter((part) => part.includes(">tp 8</text>"));
  // Accuracy, difference, outcomes, KL, residual stream, KL by position, reliability.
  assertEquals(svgs.filter((part) => ["tp 1", "tp 2", "tp 4"].every((tp) => part.includes(`>${tp}</text>`))).length, 7);
  const text = gsm8kTables(...wideMatrix()).join("\n");
  assertStringIncludes(
    text,
    "w_mxfp4/w_mxfp4_a_fp8/w_mxfp4_a_mxfp4/w_mxfp4_a_mxfp6_e3m2/w_mxfp4_a_mxfp6_e2m3, bf16, kv bf16/fp8, tp 1/2/4/8, " +
      "ep 1, emulate, 2 threads; chat by none, seed 0, at most 9 tokens, data dddddddddddddddd\nstatic input scales " +
      "from text",
  );
  assertStringIncludes(text, "none of 39 settings differ from the first by more than noise");
  assertStringIncludes(
    text,
    "typical KL against w_mxfp4, kv bf16, tp 1, by number of ranks, with the digits that are sure (intervals: " +
      "above)\n\n" +
      "setting                         tp 1    tp 2    tp 4    tp 8\n" +
      "w_mxfp4, kv bf16                   -  0.0010  0.0020  0.0030\n" +
      "w_mxfp4, kv fp8                0.004   0.005   0.006   0.007\n",
  );
  // Seven colours at most, so that no two schemes share one in a panel.
  const legend = /w_mxfp4_a_mxfp6_e2m3<\/span>/g;
  assert([...page.matchAll(legend)].length >= 2, "schemes are named in legends");
  for (const name of ["weights_sha256", "dtype", "threads", "prompt.seed", "kv_cache_dtype", "calibrated_on"]) {
    assert(page.includes(`>${name}<`), `the protocol lacks ${name}`);
  }
});

Deno.test("reports say how many positions a dot of KL stands for", async () => {
  const results = gsm8k(2, 1);
  const { divergence: d } = results.divergences[0]!;
  const long = {
    ...d,
    logits: { ...d.logits, kl: Array.from({ length: 2500 }, () => 1e-3), agrees: "1".repeat(2500) },
  };
  const page = (divergence: DivergenceResult) =>
    gsm8kReport({ ...results, divergences: [{ ...results.divergences[0]!, divergence }] }, namesOf(results));
  assertStringIncludes(await page(d), "One dot for each position.");
  assertStringIncludes(await page(long), "One dot for 3 positions: the largest KL of them.");
});

Deno.test("a report gives all quantiles of KL, and differences of accuracies, with their intervals", async () => {
  const results = gsm8k(2, 1), page = await gsm8kReport(results, namesOf(results));
  assertStringIncludes(page, "<title>cell1: 0 [-10, +10] points, p (Holm) 1.000</title>");
  const wide = { value: 0.5, low: 0.25, high: 0.75 }, found = predictions(0.1);
  const kl = { ...found.all.kl, median: wide, p90: wide, p95: wide, p99: wide };
  const setting = { label: "b", predictions: { ...found, all: { ...found.all, kl } }, divergence: divergence(0.1) };
  const { heads, rows } = predictionTable([setting]);
  for (const head of ["median", "90%", "95%", "99%"]) assertEquals(rows[0]![heads.indexOf(head)], "0.5 [0.2, 0.8]");
});

Deno.test("reports say which tokens are drawn one by one where tables are about others", async () => {
  const results = gsm8k(2, 1), [first] = results.divergences;
  const page = (sequences: number, replies: boolean) => {
    const all = { ...predictions(0.1, replies), sequences };
    const one = { ...first!, predictions: all, divergence: { ...first!.divergence, sequences: 8 } };
    return gsm8kReport({ ...results, divergences: [one] }, namesOf(results));
  };
  const mean = "the dashed line is the mean of all that is drawn, not that of the tables. Drawn are ";
  const few = "the first 8 of 40 sequences, which are compared layer by layer";
  const replies = "replies with what comes before them";
  assertStringIncludes(await page(8, false), "the dashed line is the mean.<");
  assertStringIncludes(await page(40, false), `${mean}${few}.`);
  assertStringIncludes(await page(8, true), `${mean}${replies}.`);
  assertStringIncludes(await page(40, true), `${mean}${few}: ${replies}.`);
});

Deno.test("perplexityReport() draws a page, also of what is not finite", async () => {
  const results = PerplexityResults.parse({
    schema: "mxoss.eval.perplexity",
    version: SCHEMA_VERSION,
    mxoss: "1.2.3",
    bandwidth: BANDWIDTH,
    protocol: { text: { name: EVIL, sha256: "e".repeat(64), bytes: 9, tokens: 4, sequence_length: 4 } },
    cells: ["a", "b"].map((key, i) => ({
      key,
      label: key,
      asked: { model: null, scheme: null, kv_cache_dtype: "auto", tp: 1, ep: 1 },
      protocol: SETTING,
      cost: COST,
      predicted: 3,
      nll: i === 0 ? 1 : null,
      perplexity: i === 0 ? 2.7 : null,
      bits_per_byte: i === 0 ? 1.4 : null,
    })),
    comparisons: [{ key: "b", nll_increase: { value: null, low: null, high: null } }],
    divergences: [{ key: "b", ...compared(null) }],
    ranking: null,
  });
  assertPage(await perplexityReport(results, namesOf(results)));
  assert(!/NaN|undefined|Infinity/.test(perplexityTables(results).join("\n")));
});

Deno.test("pages say what an open end of an interval is, as terminals do, and only where there is one", async () => {
  const open = /-: an end that so few tokens leave open/g, said = (text: string) => text.match(open)?.length ?? 0;
  const bounded: Estimated = { value: 1, low: 0.5, high: 2 }, few: Estimated = { ...bounded, high: null };
  for (const [a, b, times] of [[bounded, bounded, 0], [few, bounded, 1], [bounded, few, 1]] as const) {
    const found = perplexity(a, b);
    assertEquals(said(perplexityTables(found).join("\n")), times);
    assertEquals(said(await perplexityReport(found, namesOf(found))), times);
  }
  // A number that is not finite has no end that more tokens would bound.
  const infinite = perplexity(bounded, { value: null, low: null, high: null });
  const texts = [perplexityTables(infinite).join("\n"), await perplexityReport(infinite, namesOf(infinite))];
  assertEquals(texts.map(said), [0, 0]);
  const compared = comparison(0.02, true), { divergence: d } = compared;
  const bound = JSON.stringify(d.logits.all).replace(/"(low|high)":null/g, '"$1":1'), one = JSON.parse(bound);
  for (const [mean, times] of [[few, 1], [bounded, 0]] as const) {
    const all = { ...one, kl: { ...one.kl, mean } };
    const found = { ...compared, divergence: { ...d, sequences: 8, logits: { ...d.logits, all } } };
    assertEquals([said(await compareReport(found)), said(compareTables(found).join("\n"))], [times, times]);
  }
});

Deno.test("errors have no more digits than their intervals leave sure, also where all of them are listed", async () => {
  const results = comparison(0.02, true), { divergence: d } = results, interval = { low: 0.0153, high: 0.0247 };
  const wide = <E extends { readonly relative_error: number | null }>(error: E) =>
    error.relative_error === null || error.relative_error === 0
      ? error
      : { ...error, relative_error: 0.0201, interval };
  const operations = d.operations.map((o) => ({ ...o, total: wide(o.total), own: o.own && wide(o.own) }));
  const suspects = d.suspects.map((s) => ({ ...s, error: 0.0201 }));
  const found = { ...results, divergence: { ...d, operations, suspects } };
  const texts = [compareTables(found, true).join("\n"), await compareReport(found)];
  for (const text of texts) {
    assertStringIncludes(text, "0.020 [0.015, 0.025]");
    assert(!text.includes("0.0201"), /.{60}0\.0201.{20}/s.exec(text)?.[0] ?? "");
    // A quarter of the error is two decibels.
    assert(/\b34\b/.test(text) && !/\b33\.9/.test(text), "SQNR");
  }
});

Deno.test("a line says that prompts with the same examples have tokens in common", async () => {
  const results = gsm8k(2, 3), note = /prompts begin with the same examples/i, { prompt } = results.protocol;
  const none = { ...results, protocol: { ...results.protocol, prompt: { ...prompt, shots: [] } } };
  for (const [of, says] of [[results, true], [none, false]] as const) {
    assertEquals(note.test(gsm8kTables(of, namesOf(of)).join("\n")), says);
    assertEquals(note.test(await gsm8kReport(of, namesOf(of))), says);
  }
});
