/** The task gsm8k: accuracy on word problems. */
import { counted } from "../../amounts.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import { accuracies, compareWithFirst, type PairedComparison } from "../accuracy.ts";
import { Answer } from "../answers.ts";
import type { Dataset } from "../dataset.ts";
import type { ForcedSequence } from "../predictions.ts";
import type { FewShot } from "../fewshot.ts";
import { FILTERS } from "../filters.ts";
import { answerAll, type CellProgress, makeQuestions, type Questions, roomFor } from "../gsm8k.ts";
import { lmEvalSamples } from "../lm_eval.ts";
import { PROMPT_DATE, type PromptOptions, STOP_TEXTS } from "../prompts.ts";
import { replyBeside } from "../samples.ts";
import { reliabilityBins } from "../reliability.ts";
import { repeatedAmong } from "../repeats.ts";
import { Gsm8kResults, keepsLogProbabilities, SCHEMA_VERSION } from "../results_schema.ts";
import {
  type AnsweredCell,
  type Asked,
  cellResult,
  type Common,
  namesOf,
  type OnProgress,
  type Store,
  type Task,
  type WorkSize,
} from "../task.ts";
import { deviceCacheBytes } from "../../session/device_memory.ts";
import type { Session } from "../../session/session.ts";
import type { PlannedSetting } from "../../session/setting.ts";

type Protocol = Gsm8kResults["protocol"];

/** What to ask, and how. */
export interface Gsm8kRequest {
  readonly data: Dataset;
  /** Where examples come from. */
  readonly shotsFrom: Dataset;
  readonly chosen: FewShot;
  /** Seed of the choice of examples. */
  readonly seed: number;
  /** Only the first so many problems. */
  readonly limit: number | undefined;
  readonly prompting: Omit<PromptOptions, "shots">;
  /** Most tokens of a reply. */
  readonly maxTokens: number;
  /** Whether to keep the log probability of every reply. */
  readonly logProbabilities: boolean;
  /** Replies that are generated at once; undefined: as many as memory allows. */
  readonly sequences: number | undefined;
  /** Whether to write every sample in lm-eval's log format. */
  readonly samples: boolean;
}

/** What every cell is asked. */
export interface Gsm8kWork extends Asked<Protocol> {
  readonly questions: Questions;
  readonly sequences: number | undefined;
  readonly samples: boolean;
}

/** The task. */
export const GSM8K: Task<Gsm8kRequest, Gsm8kWork, Answer, Gsm8kResults> = {
  results: Gsm8kResults,
  schema: "mxoss.eval.gsm8k",
  protocol: Gsm8kResults.shape.protocol,
  journal: {
    name: "answers",
    entry: Answer,
    lean: (answer) => ({ ...answer, text: "", scored: "", ids: [] }),
  },
  unit: "problems",
  prepare,
  identity,
  header: identity,
  part,
  room,
  size,
  answer,
  compared: ({ questions }, first) =>
    // The first cell's replies, so that all settings compute the same tokens.
    first.map(({ index, ids }, i): ForcedSequence => {
      const prompt = questions.prompts[i]!.ids;
      return { index, tokens: Int32Array.from([...prompt, ...ids]), replyFrom: prompt.length - 1 };
    }),
  summarize,
  asked: ({ data }) => data.asked,
  page: async (results, samples) =>
    (await import("../report/gsm8k_page.ts")).gsm8kReport(results, namesOf(results), samples),
  samples: {
    name: ({ data }) => data.name,
    tokenizer: ({ questions }) => questions.prompting.tokenizer,
    reply: ({ questions: { problems, prompting } }, place, first, other) =>
      replyBeside(problems[place]!, first, other, prompting.tokenizer),
  },
  files,
};

function prepare(request: Gsm8kRequest, config: ModelConfig): Gsm8kWork {
  const { chosen, limit, prompting, maxTokens, logProbabilities, sequences, samples } = request;
  const asked = chosen.asked.slice(0, limit);
  const questions = makeQuestions(asked, { ...prompting, shots: chosen.shots }, config, maxTokens, logProbabilities);
  return {
    protocol: protocolOf(questions, request, config),
    indices: asked.map(({ index }) => index),
    questions,
    sequences,
    samples,
  };
}

function protocolOf(questions: Questions, request: Gsm8kRequest, config: ModelConfig) {
  const { prompting, problems, maxTokens, logProbabilities } = questions;
  const { data, shotsFrom, seed } = request, { format, chat, shots } = prompting;
  return {
    data: {
      name: data.name,
      sha256: data.sha256,
      problems: data.problems.length,
      asked: problems.length,
      repeated: repeatedAmong(problems.map(({ question }) => question)),
    },
    prompt: {
      format,
      template: chat === null ? "none" : chat.template === null ? "built-in harmony" : "the checkpoint's chat template",
      system: prompting.system ?? null,
      reasoning: prompting.reasoning ?? null,
      date: PROMPT_DATE,
      shots: shots.map(({ index, question }) => ({ index, question })),
      shots_from: shots.length === 0 ? null : { name: shotsFrom.name, sha256: shotsFrom.sha256 },
      seed,
    },
    decoding: {
      method: "greedy" as const,
      max_tokens: maxTokens,
      stop_ids: [...config.eosTokenIds],
      stop_texts: format === "completion" ? [...STOP_TEXTS] : [],
      // Earlier versions always kept them, and did not say so: their journals go on.
      ...(logProbabilities ? {} : { log_probabilities: false as const }),
    },
    scoring: "lm-eval's gsm8k filters, version 3.0, " +
      (format === "completion"
        ? "on the completion"
        : "on the final channel, or on the whole reply where there is none"),
  };
}

/** Answers depend neither on how many problems are asked nor on what their file is called. */
function identity({ data, ...rest }: Protocol) {
  return { ...rest, data: { sha256: data.sha256 } };
}

function part(work: Gsm8kWork, from: number, to: number): Gsm8kWork {
  const { indices, questions } = work, { problems, prompts } = questions;
  return {
    ...work,
    indices: indices.slice(from, to),
    questions: { ...questions, problems: problems.slice(from, to), prompts: prompts.slice(from, to) },
  };
}

async function room({ questions, sequences }: Gsm8kWork, setting: PlannedSetting) {
  const limits = { asked: sequences, cacheBytes: await deviceCacheBytes([setting]) };
  const room = roomFor(questions, setting, limits);
  return { ...room, chunk: Math.min(setting.chunk, room.slots * room.context) };
}

async function answer({ questions }: Gsm8kWork, session: Session, store: Store<Answer>, onProgress: OnProgress) {
  await answerAll(questions, session, store, (progress) => {
    onProgress(progress.answered, progress.total, soFar(progress));
  });
}

/**
 * What stands beside the count of answers while others are made. Right ones are counted, and no share of them is given:
 * the replies that end first are the short ones, so that it would be too high, and it would have no interval.
 */
export function soFar({ answered, correct, tokens, preemptions }: CellProgress): string {
  const right = answered === 0 ? "" : `${correct} right, `;
  const again = preemptions === 0 ? "" : `, ${counted(preemptions, "sequence")} preempted`;
  return `${right}${counted(tokens, "token")}${again}`;
}

function size({ questions: { problems, prompts, prompting: { tokenizer }, prefix, maxTokens } }: Gsm8kWork): WorkSize {
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);
  const lengths = prompts.map(({ ids }) => ids.length);
  const own = problems.map(({ answer }) => Math.min(maxTokens, tokenizer.encode(answer).length + 1));
  return {
    prompt: prefix.length + sum(lengths) - problems.length * prefix.length,
    replies: { low: sum(own), high: problems.length * maxTokens },
    before: Math.round(sum(lengths) / problems.length),
    compared: (count) => {
      const asked = sum(lengths.slice(0, count));
      return { low: asked + sum(own.slice(0, count)), high: asked + Math.min(count, problems.length) * maxTokens };
    },
  };
}

function summarize(protocol: Protocol, cells: readonly AnsweredCell<Answer>[], common: Common): Gsm8kResults {
  const [first, ...others] = cells;
  const pairs = FILTERS.map((filter) => compareWithFirst(first!.entries, others.map(({ entries }) => entries), filter));
  return {
    schema: "mxoss.eval.gsm8k",
    version: SCHEMA_VERSION,
    mxoss: common.mxoss,
    protocol,
    bandwidth: common.bandwidth,
    cells: cells.map((cell) => answeredResult(cell, keepsLogProbabilities(protocol))),
    comparisons: others.map(({ cell }, i) => ({
      key: cell.key,
      pairs: pairs.map((byFilter) => pairResult(byFilter[i]!)),
    })),
    divergences: common.divergences,
    ranking: common.ranking,
  };
}

function pairResult({ pHolm, ...pair }: PairedComparison) {
  return { ...pair, p_holm: pHolm };
}

function answeredResult(
  { cell, entries: answers }: AnsweredCell<Answer>,
  scored: boolean,
): Gsm8kResults["cells"][number] {
  const sum = (of: (answer: Answer) => number) => answers.reduce((total, answer) => total + of(answer), 0);
  const ends = (end: Answer["end"]) => answers.filter((answer) => answer.end === end).length;
  return {
    ...cellResult(cell),
    filters: accuracies(answers),
    prompt_tokens: sum(({ promptTokens }) => promptTokens),
    generated_tokens: sum(({ generatedTokens }) => generatedTokens),
    ends: { stop: ends("stop"), text: ends("text"), length: ends("length") },
    without_final: answers.filter(({ origin }) => origin === "whole").length,
    reliability: scored ? reliabilityBins(answers) : null,
  };
}

function* files(
  { questions, samples }: Gsm8kWork,
  cells: readonly AnsweredCell<Answer>[],
): Generator<readonly [name: string, text: string]> {
  for (const { cell, entries } of samples ? cells : []) {
    const lines = lmEvalSamples(questions, entries);
    yield [`samples_gsm8k_${cell.key}.jsonl`, lines.map((line) => `${line}\n`).join("")];
  }
}
