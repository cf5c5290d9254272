/** Pages from results at the edges: nothing differs, nothing is finite, one problem, names that are markup. */
import type { CellName } from "../../src/eval/matrix.ts";
import { compareReport } from "../../src/eval/report/compare_page.ts";
import { gsm8kReport } from "../../src/eval/report/gsm8k_page.ts";
import { perplexityReport } from "../../src/eval/report/perplexity_page.ts";
import type { PredictionsPart, PredictionsResult } from "../../src/eval/predictions_schema.ts";
import {
  CompareResults,
  DivergenceResult,
  Gsm8kResults,
  PerplexityResults,
  SCHEMA_VERSION,
  type SettingProtocol,
} from "../../src/eval/results_schema.ts";
import { compareTables } from "../../src/cli/compare_tables.ts";
import { gsm8kTables, perplexityTables } from "../../src/cli/eval/tables.ts";
import { assert, assertEquals, assertStringIncludes } from "../assert.ts";

const EVIL = '<b>&"evil".txt';

const setting: SettingProtocol = {
  model: "models/tiny",
  layout: "hf_mxfp4",
  fingerprint: "f".repeat(64),
  weights_sha256: "a".repeat(64),
  scheme: "w_mxfp4",
  scale_rule: null,
  converted_from: null,
  formats_sha256: "b".repeat(64),
  calibrated_on: null,
  backend: "emulate",
  dtype: "bf16",
  kv_cache_dtype: "bf16",
  tp: 1,
  ep: 1,
  threads: 2,
};

const COST = { weight_bytes: 4e9, bits_per_weight: 4.25, kv_bytes_per_token: 512, active_bytes_per_token: 1e9 };
const BANDWIDTH = { name: "h100", bytes_per_second: 3.35e12 };

/** Of formats that have no codes in common. */
const UNCHANGED = { scales_changed: null, codes_changed: null };

/** Predictions of which every distance is `error`, the reply's twice as much. */
function predictions(error: number | null, replies = false): PredictionsResult {
  const part = (value: number | null): PredictionsPart => {
    const around = { value, low: value === null ? null : value / 2, high: value };
    return {
      positions: 4,
      kl: {
        mean: around,
        log_mean: around,
        median: around,
        p90: around,
        p95: around,
        p99: around,
        p99_9: { ...around, high: null },
        max: value,
        max_at: { sequence: 0, position: 2 },
        max_share: value === null ? null : 0.5,
      },
      same_top: { value: 0.75, low: 0.3, high: 0.95 },
      predicted: 3,
      next: {
        probability_change: { value: 0, low: null, high: null },
        probability_change_rms: around,
        nll_increase: { value: error, low: null, high: null },
        perplexity_a: 1.5,
        perplexity_b: error === null ? null : 1.6,
        perplexity_ratio: around,
      },
    };
  };
  const half = replies ? part(error) : null;
  return { sequences: 1, tokens: 4, all: part(error), reply: half, prompt: half };
}

/** A comparison of two layers in which every error is `error`. */
function divergence(error: number | null, own = true): DivergenceResult {
  const summary = {
    relative_error: error,
    interval: error === null || !own ? null : { low: 0.9 * error, high: 1.1 * error },
    sqnr_db: error === 0 ? null : 20,
    max_error: error,
    non_finite: error === null ? 3 : 0,
  };
  const operation = (layer: number, name: string) => ({
    layer,
    operation: name,
    rows: 4,
    unmatched_rows: 0,
    total: summary,
    own: own ? summary : null,
    explained: 0,
    outliers: [{ channel: 3, magnitude: 9, error_share: 0.5 }],
  });
  const counts = { format: "mxfp4", scale: null, elements: 100, clipped: 2, at_max: 5, flushed: 7, error };
  return DivergenceResult.parse({
    tokens: 4,
    sequences: 1,
    logits: { ...predictions(error), kl: [error, 0, error, error], agrees: "1101" },
    alarm: 0.01,
    first_above_alarm: error === 0 ? null : { layer: 0, operation: "attention", relative_error: error },
    suspects: error === 0 ? [] : [
      { layer: 1, operation: "attention", error, explained: 0, excess: null, evidence: "own", hints: ["<i>hint</i>"] },
    ],
    operations: [
      operation(-1, "embed"),
      ...[0, 1].flatMap((layer) =>
        ["attention", "attentionResidual", "mlpResidual"].map((name) => operation(layer, name))
      ),
      operation(2, "finalNorm"),
      operation(2, "lm_head"),
    ],
    router: {
      decisions: 8,
      flipped: error === 0 ? 0 : 1,
      per_layer: [0, error === 0 ? 0 : 0.25],
      flips: error === 0
        ? []
        : [{ layer: 1, sequence: 0, position: 2, token: 5, lost: [1], gained: [2], margin: null }],
    },
    tensors: [
      { name: "experts.down_proj.input", layer: 1, a: null, b: counts, ...UNCHANGED },
      { name: "cache.key", layer: 1, a: counts, b: counts, scales_changed: 0.25, codes_changed: 1 },
    ],
    projections: ["q_proj", "experts.down_proj"].flatMap((name) =>
      [0, 1].map((layer) => ({
        layer,
        operation: name,
        weights: {
          format_a: "mxfp4",
          format_b: "fp8_e4m3",
          relative_error: error,
          ...UNCHANGED,
          flushed: 0,
          at_max: null,
        },
        input: {
          a: null,
          b: { format: "mxfp4", relative_error: error, flushed: 0.7, at_max: 0.05, clipped: 0 },
          scales_changed: 0.25,
          codes_changed: 1,
          outlier_channels: 1,
          loudest: 9,
        },
        output: { own: own ? error : null, total: error },
      }))
    ),
  });
}

/** The same as evaluations have it. */
function compared(error: number | null) {
  return { predictions: predictions(error, true), stopped: "asked" as const, divergence: divergence(error) };
}

function assertPage(page: string): void {
  assert(page.startsWith("<!doctype html>") && page.trimEnd().endsWith("</html>"));
  assert(!/<script|<link|https?:\/\/(?!www\.w3\.org)/.test(page), "the page must load nothing");
  assert(!page.includes('<b>&"evil') && !page.includes("<i>hint"), "text must be escaped");
  assert(!/\bNaN\b|undefined|Infinity/.test(page), /.{40}(\bNaN\b|undefined|Infinity).{40}/.exec(page)?.[0] ?? "");
}

for (
  const [what, error] of [["nothing differs", 0], ["something differs", 0.02], ["nothing is finite", null]] as const
) {
  for (const own of [true, false]) {
    Deno.test(`compareReport() draws a page where ${what}, own errors ${own ? "known" : "unknown"}`, async () => {
      const results = CompareResults.parse({
        schema: "mxoss.compare",
        version: SCHEMA_VERSION,
        mxoss: "1.2.3",
        cost: { a: COST, b: { ...COST, weight_bytes: 3e9 } },
        bandwidth: BANDWIDTH,
        protocol: {
          a: setting,
          b: { ...setting, scheme: EVIL },
          text: { name: EVIL, sha256: "c".repeat(64), tokens: 4, sequence_length: 4 },
        },
        divergence: divergence(error, own),
      });
      const page = await compareReport(results);
      assertPage(page);
      assertEquals(page.includes("not finite"), error === null);
      assertStringIncludes(page, "&lt;b&gt;&amp;&quot;evil&quot;.txt");
      const text = compareTables(results, true).join("\n");
      assertStringIncludes(text, "3 (9.0 x RMS, 50% of error)");
      assertStringIncludes(
        text,
        "mxoss 1.2.3; models/tiny, weights aaaaaaaaaaaaaaaa, config and headers ffffffffffffffff",
      );
      assert(!/NaN|undefined|Infinity/.test(text), text);
    });
  }
}

function gsm8k(cells: number, problems: number): Gsm8kResults {
  const filter = {
    correct: problems,
    accuracy: 1,
    low: 0.5,
    high: 1,
    outcomes: "1".repeat(problems),
  };
  const keys = Array.from({ length: cells }, (_, i) => `cell${i}`);
  const pair = (name: "strict-match" | "flexible-extract") => ({
    filter: name,
    lost: 0,
    gained: 0,
    changed: 0,
    difference: 0,
    low: -0.1,
    high: 0.1,
    p: 1,
    p_holm: 1,
    detectable: 1,
  });
  return Gsm8kResults.parse({
    schema: "mxoss.eval.gsm8k",
    version: SCHEMA_VERSION,
    mxoss: "1.2.3",
    bandwidth: null,
    protocol: {
      data: { name: EVIL, sha256: "d".repeat(64), problems, asked: problems },
      prompt: {
        format: "chat",
        template: "none",
        system: null,
        reasoning: null,
        date: "2025-08-05",
        shots: [{ index: 3, question: EVIL }],
        shots_from: null,
        seed: 0,
      },
      decoding: { method: "greedy", max_tokens: 9, stop_ids: [1], stop_texts: [] },
      scoring: "as lm-eval",
    },
    cells: keys.map((key) => ({
      key,
      label: key,
      asked: { model: null, scheme: null, kv_cache_dtype: "auto", tp: 1, ep: 1 },
      protocol: setting,
      cost: COST,
      filters: { "strict-match": filter, "flexible-extract": filter },
      prompt_tokens: 10,
      generated_tokens: 10,
      ends: { stop: problems, text: 0, length: 0 },
      without_final: 0,
      reliability: [],
    })),
    comparisons: keys.slice(1).map((key) => ({ key, pairs: [pair("strict-match"), pair("flexible-extract")] })),
    divergences: keys.slice(1).map((key, i) => ({ key, ...compared([0, 0.1, null][i % 3]!) })),
    ranking: null,
  });
}

for (const cells of [1, 2, 9]) {
  Deno.test(`gsm8kReport() draws a page of ${cells} cell${cells === 1 ? "" : "s"} and one problem`, async () => {
    const results = gsm8k(cells, 1);
    const page = await gsm8kReport(results, namesOf(results));
    assertPage(page);
    assertEquals(page.includes("What accuracy does not show"), cells > 1);
    assertStringIncludes(page, "Accuracy hardly separates quantization schemes");
    const text = gsm8kTables(results, namesOf(results)).join("\n");
    assertStringIncludes(text, "chat by none, seed 0");
    assert(!/NaN|undefined|Infinity/.test(text), text);
  });
}

/** Names of cells that are called by their keys. */
function namesOf({ cells }: { readonly cells: readonly { readonly label: string }[] }): CellName[] {
  return cells.map(({ label }) => ({ model: null, scheme: label, kvCacheDtype: null, tp: null, ep: null }));
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
        protocol: { ...setting, ...own, calibrated_on: own.scheme.endsWith("a_fp8") ? "text" : null },
        reliability: [{ problems: 20, confidence: 0.8, accuracy: 0.7 }, { problems: 20, confidence: 1, accuracy: 1 }],
      };
    }),
    divergences: results.divergences.map(({ key }, i) => ({ key, ...compared(1e-3 * (i + 1)) })),
  }, names];
}

Deno.test("gsm8kReport() draws 40 settings: a panel for each number of ranks, a colour for each scheme", async () => {
  const page = await gsm8kReport(...wideMatrix());
  assertPage(page);
  // Both kinds of evidence, and the words that say which one to choose by.
  assertStringIncludes(
    page,
    "every accuracy is 100.00%, and none of 39 settings differ from the first by more than noise: the largest " +
      "difference is 0.00 points, the smallest p 1.000 (1.000 corrected for their number)",
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
    "typical KL against w_mxfp4, kv bf16, tp 1, by number of ranks\n\n" +
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
      protocol: setting,
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
