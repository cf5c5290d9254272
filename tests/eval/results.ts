/** Results for tests of pages and tables, made by hand. */
import type { CellName } from "../../src/eval/matrix.ts";
import { DivergenceResult } from "../../src/eval/divergence_schema.ts";
import type { SettingProtocol } from "../../src/eval/setting_schema.ts";
import type { Estimated, PredictionsPart, PredictionsResult } from "../../src/eval/predictions_schema.ts";
import { Gsm8kResults, PerplexityResults, SCHEMA_VERSION } from "../../src/eval/results_schema.ts";

/** A name that is markup. */
export const EVIL = '<b>&"evil".txt';

/** What a setting computes with. */
export const SETTING: SettingProtocol = {
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

/** What it costs. */
export const COST = { weight_bytes: 4e9, bits_per_weight: 4.25, kv_bytes_per_token: 512, active_bytes_per_token: 1e9 };
/** A device. */
export const BANDWIDTH = { name: "h100", bytes_per_second: 3.35e12 };

/** Of formats that have no codes in common. */
const UNCHANGED = { scales_changed: null, codes_changed: null };

/** Predictions of which every distance is `error`, the reply's twice as much. */
export function predictions(error: number | null, replies = false): PredictionsResult {
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

/** Four tokens in one sequence, and what is said of their successors. */
const NEXT = { lengths: [4], nll_a: [1, 1, 1], nll_b: [1, 1, 1] };

/** A comparison of two layers in which every error is `error`. */
export function divergence(error: number | null, own = true): DivergenceResult {
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
    logits: { ...predictions(error), kl: [error, 0, error, error], agrees: "1101", ...NEXT },
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
export function compared(error: number | null) {
  return { predictions: predictions(error, true), stopped: "asked" as const, divergence: divergence(error) };
}

/** The same under another scheme. */
export function settingResult(scheme: string): SettingProtocol {
  return { ...SETTING, scheme };
}

/** An evaluation in which every problem is solved. */
export function gsm8k(cells: number, problems: number): Gsm8kResults {
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
      protocol: SETTING,
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

/** Names of cells that are called by their keys. */
export function namesOf({ cells }: { readonly cells: readonly { readonly label: string }[] }): CellName[] {
  return cells.map(({ label }) => ({ model: null, scheme: label, kvCacheDtype: null, tp: null, ep: null }));
}

/** Perplexities of two settings on a text of eight sequences. */
export function perplexity(
  interval: Estimated,
  increase: Estimated,
  divergences: PerplexityResults["divergences"] = [],
): PerplexityResults {
  return PerplexityResults.parse({
    schema: "mxoss.eval.perplexity",
    version: SCHEMA_VERSION,
    mxoss: "1.2.3",
    bandwidth: BANDWIDTH,
    protocol: { text: { name: "a.txt", sha256: "e".repeat(64), bytes: 9, tokens: 4000, sequence_length: 500 } },
    cells: ["a", "b"].map((key) => ({
      key,
      label: key,
      asked: { model: null, scheme: null, kv_cache_dtype: "auto", tp: 1, ep: 1 },
      protocol: SETTING,
      cost: COST,
      predicted: 3992,
      nll: interval.value,
      perplexity: interval.value,
      perplexity_interval: { low: interval.low, high: interval.high },
      bits_per_byte: 1.4,
    })),
    comparisons: [{ key: "b", nll_increase: increase }],
    divergences,
    ranking: null,
  });
}
