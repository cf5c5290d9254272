/** Which problems stand, with their answers, before the one that is asked. */
import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import type { Dataset, Problem } from "./dataset.ts";

/** The choice of examples, and the problems that are left to ask. */
export interface FewShot {
  /** In the order in which they stand in the prompt. */
  readonly shots: readonly Problem[];
  readonly asked: readonly Problem[];
}

/**
 * Chooses examples: the `count` problems with the smallest SHA-256 of `<seed>\n<question>` (as hexadecimal text),
 * smallest first.
 *
 * Every problem that is asked sees the same examples, so their part of the prompt is computed once; the choice can be
 * repeated by hand and does not depend on the order of the file. lm-eval draws other examples for every problem, with
 * Python's generator: accuracies agree with it in distribution, not digit by digit.
 *
 * @param data Problems to ask.
 * @param from Where examples come from; the same file as `data` gives examples that are then not asked.
 * @throws {InputError} if there are too few problems.
 */
export function chooseShots(data: Dataset, from: Dataset, count: number, seed: number): FewShot {
  if (count === 0) return { shots: [], asked: data.problems };
  const same = from.sha256 === data.sha256;
  const room = from.problems.length - (same ? 1 : 0);
  if (count > room) {
    throw InputError.of("too_large", { option: "shots" }, `at most ${room}, the examples that ${from.name} has`, count);
  }
  const keyed = from.problems.map((problem) => ({
    problem,
    key: createHash("sha256").update(`${seed}\n${problem.question}`).digest("hex"),
  }));
  keyed.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : a.problem.index - b.problem.index);
  const shots = keyed.slice(0, count).map(({ problem }) => problem);
  const questions = new Set(shots.map((shot) => shot.question));
  return { shots, asked: data.problems.filter(({ question }) => !questions.has(question)) };
}
