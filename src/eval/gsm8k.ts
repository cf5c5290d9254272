/** Word problems: what every setting of the matrix is asked, and how one answers. */
import { fewestPages, ownPages } from "../model/pages.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { Costs } from "../model/work.ts";
import { InputError } from "../errors.ts";
import type { Session } from "../session/session.ts";
import { type Answer, scoreReply } from "./answers.ts";
import { completeAll, slotsNeeded } from "./batcher.ts";
import type { Problem } from "./dataset.ts";
import type { Store } from "./task.ts";
import type { Room } from "../session/open.ts";
import type { PlannedSetting } from "../session/setting.ts";
import { commonPrefix, makePrompt, type Prompt, type PromptOptions, readReply, StopWatch } from "./prompts.ts";
import { option, words } from "../words.ts";
import { largest } from "../largest.ts";

/** What every cell of the matrix is asked. */
export interface Questions {
  /** In the order of the file. */
  readonly problems: readonly Problem[];
  /** Prompt of each problem, in the same order. */
  readonly prompts: readonly Prompt[];
  /** Tokens that all prompts begin with. */
  readonly prefix: Int32Array;
  readonly prompting: PromptOptions;
  readonly maxTokens: number;
  /** Whether the log probability of every reply is kept. */
  readonly logProbabilities: boolean;
  readonly stopIds: ReadonlySet<number>;
}

/** Most sequences at once: more share no further work, and each takes memory. */
const MOST_SEQUENCES = 64;
/** Memory that caches of sequences may take, in bytes, unless a number of sequences is asked for. */
const CACHE_BYTES = 2 ** 31;
/** The same on a device, whose products of so many rows still cost less a row than those of fewer. */
const MOST_ON_DEVICE = 256;

/**
 * Makes the prompts.
 *
 * @throws {InputError} if a prompt and its reply do not fit the model's context.
 */
export function makeQuestions(
  problems: readonly Problem[],
  prompting: PromptOptions,
  config: ModelConfig,
  maxTokens: number,
  logProbabilities = true,
): Questions {
  const prompts = problems.map((problem) => makePrompt(problem, prompting));
  prompts.forEach(({ ids }, i) => {
    if (ids.length + maxTokens > config.maxPositions) {
      const reply = words`${maxTokens} of the reply (${option("maxTokens")})`;
      throw InputError.of(
        "too_large",
        { name: `problem ${problems[i]!.index}` },
        words`its ${ids.length} prompt tokens and ${reply} to fit the model's context of ${config.maxPositions}`,
      );
    }
  });
  return {
    problems,
    prompts,
    prefix: prompts[0]!.ids.slice(0, commonPrefix(prompts.map(({ ids }) => ids))),
    prompting,
    maxTokens,
    logProbabilities,
    stopIds: new Set(config.eosTokenIds),
  };
}

/** What decides how many sequences run at once. */
export interface SequenceLimits {
  /** Sequences that the user wants. */
  readonly asked?: number | undefined;
  /** What caches may take of the memory of devices, in bytes; null on the processor. */
  readonly cacheBytes?: number | null;
}

/** How many sequences to run at once, and how long they get. */
export function roomFor(
  questions: Questions,
  { checkpoint: { config }, planned: { plan, source }, chunk }: RoomSetting,
  { asked, cacheBytes = null }: SequenceLimits = {},
): Pick<Room, "slots" | "context" | "pages"> {
  const longest = largest(questions.prompts.map(({ ids }) => ids.length));
  const context = Math.min(config.maxPositions, longest + questions.maxTokens);
  const costs = new Costs(config, source, plan.kvFormat);
  const { prefix, problems } = questions;
  if (cacheBytes !== null) {
    // Those for which there is no room wait until others have ended.
    const slots = slotsNeeded(Math.min(problems.length, asked ?? MOST_ON_DEVICE), prefix.length);
    const { full, ring } = ownPages({ config, context, maxTokens: chunk }),
      fewest = full + fewestPages({ config, context, maxTokens: chunk });
    const fitting = costs.poolPages(cacheBytes);
    return { slots, context, pages: Math.max(fewest, Math.min(fitting, slots * (full + ring))) };
  }
  // One holds what all begin with.
  const fitting = Math.max(1, Math.floor(CACHE_BYTES / costs.cacheBytes(1, context, config.slidingWindow)) - 1);
  const sequences = Math.min(problems.length, asked ?? Math.min(MOST_SEQUENCES, fitting));
  return { slots: slotsNeeded(sequences, prefix.length), context };
}

/** What of a setting that depends on. */
export type RoomSetting = Pick<PlannedSetting, "planned" | "chunk"> & {
  readonly checkpoint: Pick<PlannedSetting["checkpoint"], "config">;
};

/** Progress of one cell. */
export interface CellProgress {
  readonly answered: number;
  readonly total: number;
  /** Correct so far by the flexible filter. */
  readonly correct: number;
  /** Tokens computed in this run, prompts included. */
  readonly tokens: number;
  /** How often a sequence gave its pages to others, and was computed once more. */
  readonly preemptions: number;
}

/**
 * Answers what the store does not hold yet.
 *
 * @returns Answers in the order of the problems; fewer if the signal fired.
 */
export async function answerAll(
  questions: Questions,
  session: Session,
  store: Store<Answer>,
  onProgress: (progress: CellProgress) => void,
  signal?: AbortSignal,
): Promise<Answer[]> {
  const byIndex = new Map(
    questions.problems.map((problem, i) => [problem.index, { problem, prompt: questions.prompts[i]! }]),
  );
  const { format, tokenizer } = questions.prompting;
  let tokens = 0, preemptions = 0;
  const progress = () => {
    const answers = answersInOrder(questions, store);
    const correct = answers.filter((a) => a["flexible-extract"].correct).length;
    onProgress({ answered: answers.length, total: questions.problems.length, correct, tokens, preemptions });
  };
  await completeAll({
    session,
    requests: [...byIndex].filter(([index]) => !store.entries.has(index))
      .map(([index, { prompt }]) => ({ index, prompt: prompt.ids })),
    prefix: questions.prefix,
    maxTokens: questions.maxTokens,
    logProbabilities: questions.logProbabilities,
    stopIds: questions.stopIds,
    ...(format === "completion" ? { watch: () => new StopWatch(tokenizer) } : {}),
    onDone: (completion) => {
      const { problem } = byIndex.get(completion.index)!;
      store.append(scoreReply(problem, completion, readReply(completion.ids, format, tokenizer)));
    },
    onBatch: (count) => {
      tokens += count;
      progress();
    },
    onPreempted: () => preemptions++,
    ...(signal ? { signal } : {}),
  });
  return answersInOrder(questions, store);
}

/** The answers that the store holds to the problems, in their order. */
function answersInOrder(questions: Questions, store: Store<Answer>): Answer[] {
  return questions.problems.map(({ index }) => store.entries.get(index)).filter((a) => a !== undefined);
}
