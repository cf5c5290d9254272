/** One scored reply, as the journal and the results hold it. */
import type { Completion } from "./completion.ts";
import { z } from "zod";
import type { Problem } from "./dataset.ts";
import { extractAnswer, type FilterName, FILTERS, isCorrect } from "./filters.ts";
import type { Reply } from "./prompts.ts";

const Judged = z.strictObject({
  /** What the filter took out of the reply. */
  extracted: z.string(),
  correct: z.boolean(),
});

/** A scored reply. */
export const Answer = z.strictObject({
  /** Number of the problem in its file, from 0. */
  index: z.int().min(0),
  end: z.enum(["stop", "text", "length"]),
  promptTokens: z.int().min(1),
  /** Tokens of the reply, the one that ended it included. */
  generatedTokens: z.int().min(1),
  /**
   * Sum of the natural logarithms of the probabilities of the reply's tokens, six digits. Null where it is not finite:
   * and in all answers of a run that keeps none, as what its journal belongs to says.
   */
  logProbability: z.number().nullable(),
  origin: z.enum(["final", "whole"]),
  /** The reply, special tokens by name. */
  text: z.string(),
  /** The part of it that was scored. */
  scored: z.string(),
  "strict-match": Judged,
  "flexible-extract": Judged,
  /** The reply's tokens, without the one that ended it. */
  ids: z.array(z.int().min(0)),
});
/** A scored reply. */
export type Answer = z.infer<typeof Answer>;

/** Scores a reply. */
export function scoreReply(problem: Problem, completion: Completion, reply: Reply): Answer {
  const judge = (filter: FilterName) => {
    const extracted = extractAnswer(filter, reply.scored);
    return { extracted, correct: isCorrect(extracted, problem.answer) };
  };
  const [strict, flexible] = FILTERS;
  const sum = Number((completion.logProbability ?? NaN).toPrecision(6));
  return {
    index: problem.index,
    end: completion.end,
    promptTokens: completion.promptTokens,
    generatedTokens: completion.generatedTokens,
    logProbability: Number.isFinite(sum) ? sum : null,
    origin: reply.origin,
    text: reply.text,
    scored: reply.scored,
    [strict]: judge(strict),
    [flexible]: judge(flexible),
    ids: [...completion.ids],
  };
}
