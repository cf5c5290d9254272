/** The task perplexity: how well a text is predicted. */
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { Session } from "../../session/session.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import { finite } from "../finite.ts";
import { estimatedResult, rangeResult } from "../predictions_result.ts";
import type { ForcedSequence } from "../predictions.ts";
import { cutSequences, nllIncrease, perplexityOf, refuseUnknownIds, SequenceNll, sequenceNll } from "../perplexity.ts";
import { repeatedShare } from "../repeats.ts";
import { Scorer } from "../scorer.ts";
import { PerplexityResults, SCHEMA_VERSION } from "../results_schema.ts";
import {
  type AnsweredCell,
  type Asked,
  cellResult,
  type Common,
  namesOf,
  type OnProgress,
  type Store,
  type Task,
} from "../task.ts";
import { largest } from "../../largest.ts";

type Protocol = PerplexityResults["protocol"];

/** The text, and how it is cut. */
export interface PerplexityRequest {
  /** What messages begin with: the option and the path of the file. */
  readonly path: string;
  readonly file: { readonly name: string; readonly sha256: string; readonly text: string };
  readonly tokenizer: Tokenizer;
  /** Only the first so many tokens. */
  readonly limit: number | undefined;
  /** Tokens of a sequence; fewer where the model has a shorter context. */
  readonly sequenceLength: number;
}

/** What every cell predicts. */
export interface PerplexityWork extends Asked<Protocol> {
  readonly sequences: readonly Int32Array[];
  readonly tokenizer: Tokenizer;
}

/** The task. */
export const PERPLEXITY: Task<PerplexityRequest, PerplexityWork, SequenceNll, PerplexityResults> = {
  results: PerplexityResults,
  schema: "mxoss.eval.perplexity",
  protocol: PerplexityResults.shape.protocol,
  journal: { name: "nll", entry: SequenceNll, lean: (entry) => entry },
  unit: "tokens",
  prepare,
  identity,
  header: (protocol) => ({ text: identity(protocol) }),
  part: (work, from, to) => ({ ...work, indices: work.indices.slice(from, to) }),
  room: ({ sequences }) => Promise.resolve({ slots: 1, context: largest(sequences.map((s) => s.length)) }),
  size: ({ sequences, indices }) => {
    const tokens = (count: number) => indices.slice(0, count).reduce((sum, i) => sum + sequences[i]!.length, 0);
    const bounds = (count: number) => ({ low: count, high: count });
    return { prompt: tokens(Infinity), replies: bounds(0), before: 0, compared: (count) => bounds(tokens(count)) };
  },
  answer,
  compared: ({ sequences, indices }) =>
    indices.map((index): ForcedSequence => ({ index, tokens: sequences[index]!, replyFrom: null })),
  summarize,
  asked: ({ text: { tokens, sequence_length: length } }) => Math.ceil((tokens - 1) / length),
  page: async (results, samples) =>
    (await import("../report/perplexity_page.ts")).perplexityReport(results, namesOf(results), samples),
  samples: { name: ({ text }) => text.name, tokenizer: ({ tokenizer }) => tokenizer, reply: null },
  files: () => [],
};

function prepare(request: PerplexityRequest, config: ModelConfig): PerplexityWork {
  const { path, file: { name, sha256, text }, tokenizer, limit } = request;
  const ids = tokenizer.encode(text, { allowSpecial: true }).slice(0, limit);
  refuseUnknownIds(ids, config.vocab, path);
  const length = Math.min(request.sequenceLength, config.maxPositions);
  const sequences = cutSequences(ids, length, path);
  // Not those of their text: a last character that the limit cuts in two would come out as one of three bytes.
  const bytes = ids.reduce((sum, id) => sum + tokenizer.bytes(id).length, 0);
  return {
    protocol: {
      text: { name, sha256, bytes, tokens: ids.length, sequence_length: length, repeated: repeatedShare(ids) },
    },
    indices: sequences.map((_, i) => i),
    sequences,
    tokenizer,
  };
}

/** What was predicted. More tokens add sequences; only a last one that was cut short would change. */
function identity({ text }: Protocol) {
  return { sha256: text.sha256, sequence_length: text.sequence_length, tokens: text.tokens };
}

async function answer(
  { sequences, indices }: PerplexityWork,
  session: Session,
  store: Store<SequenceNll>,
  onProgress: OnProgress,
): Promise<void> {
  const tokensOf = (of: readonly number[]) => of.reduce((sum, i) => sum + sequences[i]!.length, 0);
  const missing = indices.filter((i) => !store.entries.has(i));
  const total = tokensOf(indices);
  let done = total - tokensOf(missing);
  using scorer = new Scorer(session.limits.vocab);
  for (const index of missing) {
    const tokens = sequences[index]!;
    store.append(await sequenceNll(session, index, tokens, scorer, (part) => onProgress(done + part, total, "")));
    done += tokens.length;
  }
}

function summarize(
  protocol: Protocol,
  cells: readonly AnsweredCell<SequenceNll>[],
  common: Common,
): PerplexityResults {
  const [first, ...others] = cells;
  return {
    schema: "mxoss.eval.perplexity",
    version: SCHEMA_VERSION,
    mxoss: common.mxoss,
    protocol,
    bandwidth: common.bandwidth,
    cells: cells.map(({ cell, entries }) => {
      const { predicted, nll, perplexity, bitsPerByte } = perplexityOf(entries, protocol.text);
      return {
        ...cellResult(cell),
        predicted,
        nll: finite(nll.value),
        perplexity: finite(perplexity.value),
        bits_per_byte: finite(bitsPerByte.value),
        nll_interval: rangeResult(nll),
        perplexity_interval: rangeResult(perplexity),
        bits_per_byte_interval: rangeResult(bitsPerByte),
      };
    }),
    comparisons: others.map(({ cell, entries }) => ({
      key: cell.key,
      nll_increase: estimatedResult(nllIncrease(first!.entries, entries)),
    })),
    divergences: common.divergences,
    ranking: common.ranking,
  };
}
