/** What a benchmark measured, as it stands in `--json`. */
import type { MachineFacts } from "./machine.ts";
import type { Limits } from "./limits.ts";
import type { CacheFacts } from "../session/cache_use.ts";
import type { Spread } from "./spread.ts";

/** Name and version of the format. */
export const BENCH_SCHEMA = "mxoss.bench", BENCH_VERSION = 1;

/** What is measured. */
export type Subject =
  /** A prompt of so many tokens, in chunks, into an empty sequence. */
  | { readonly kind: "prefill"; readonly tokens: number }
  /**
   * One token at a time for each of so many sequences, after so many positions: picked greedily, or with all logits,
   * as sampling and log probabilities need them.
   */
  | { readonly kind: "decode"; readonly sequences: number; readonly context: number; readonly logits?: "all" };

/** Part of the time that operations of one name take. */
export interface Share {
  readonly operation: string;
  readonly share: Spread;
}

/** A figure. */
export interface Figure {
  readonly subject: Subject;
  /** Of all sequences together. */
  readonly tokens_per_second: Spread;
  /** Multiply-adds of one run, and bytes that it has to read, see `Costs`. */
  readonly macs: number;
  readonly bytes: number;
  readonly macs_per_second: Spread;
  readonly bytes_per_second: Spread;
  /** Parts of the limits; null where they were not measured. */
  readonly of_limits: { readonly read: Spread; readonly float32: Spread; readonly int8: Spread } | null;
  /** Where time goes, measured operation by operation beside the figure itself; null where that cannot be seen. */
  readonly shares: readonly Share[] | null;
}

/** Something that was not measured, as it takes longer than what was left of the time. */
export interface Skipped {
  readonly subject: Subject;
  /** What its runs would have taken; null where nothing shows that. */
  readonly seconds: number | null;
}

/** How the model was computed. */
export interface Computed {
  /** Directory of the checkpoint, or what stands for random weights. */
  readonly model: string;
  /** Sizes, where weights are random. */
  readonly shape: string | null;
  readonly layers: number;
  readonly scheme: string;
  readonly backend: string;
  readonly dtype: string;
  readonly kv_cache_dtype: string;
  readonly tp: number;
  readonly ep: number;
  readonly chunk: number;
  readonly threads: number;
  /** The backend's own words. */
  readonly engine: string;
  readonly weight_bytes: number;
  /** Caches of keys and values: of one sequence, or of a batch, or of both, one after the other. */
  readonly caches: readonly CacheFacts[];
}

/** Everything that a run found. */
export interface BenchResults {
  readonly schema: typeof BENCH_SCHEMA;
  readonly version: typeof BENCH_VERSION;
  readonly mxoss: string;
  readonly machine: MachineFacts;
  readonly computed: Computed;
  /** Null on GPUs, whose limits no loop of this program finds. */
  readonly limits: Limits | null;
  readonly figures: readonly Figure[];
  readonly skipped: readonly Skipped[];
  /** Whether the run was ended before it was done. */
  readonly interrupted: boolean;
}

/** A subject in words. */
export function subjectText(subject: Subject): string {
  if (subject.kind === "prefill") return `prefill ${subject.tokens}`;
  const { sequences, context, logits } = subject, batch = sequences === 1 ? "" : `, batch of ${sequences}`;
  return `decode at ${context}${batch}${logits === "all" ? ", all logits" : ""}`;
}
