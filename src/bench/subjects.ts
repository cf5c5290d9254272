/** What a benchmark measures, in the order in which it does. */
import type { Engine } from "../model/engine.ts";
import type { Subject } from "./figures.ts";

/** What is to be measured. */
export interface Asked {
  /** Tokens of prompts. */
  readonly prefill: readonly number[];
  /** Positions before the decoded token, for one sequence. */
  readonly contexts: readonly number[];
  /** Sequences that are decoded at once. */
  readonly batches: readonly number[];
  /** Positions of each of these sequences before that. */
  readonly batchContexts: readonly number[];
}

/** What is measured with one sequence: first what shows the pace, then what takes longer and longer. */
export function deepSubjects({ contexts, prefill }: Asked): Subject[] {
  const decode = sorted(contexts).map((context): Subject => ({ kind: "decode", sequences: 1, context }));
  const prompts = sorted(prefill).map((tokens): Subject => ({ kind: "prefill", tokens }));
  return [...decode.slice(0, 1), ...prompts.slice(0, 1), ...decode.slice(1), ...prompts.slice(1)];
}

/** What is measured with several at once. */
export function wideSubjects({ batches, batchContexts, contexts }: Asked): Subject[] {
  return sorted(batchContexts).flatMap((context) =>
    sorted(batches)
      // One sequence is decoded there anyway.
      .filter((sequences) => sequences > 1 || !contexts.includes(context))
      .map((sequences): Subject => ({ kind: "decode", sequences, context }))
  );
}

/** Those batches once more with all logits, whose tokens an engine picks without most of them. */
export function withAllLogits(batches: readonly Subject[], engine: Pick<Engine, "sparesLogits">): Subject[] {
  return batches.flatMap((subject) =>
    subject.kind === "decode" && engine.sparesLogits?.(subject.sequences) === true
      ? [{ ...subject, logits: "all" as const }]
      : []
  );
}

const sorted = (numbers: readonly number[]): number[] => [...new Set(numbers)].sort((a, b) => a - b);
