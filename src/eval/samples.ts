/** From answers and predictions to what {@linkcode samplesPage} shows of them. */
import { decode } from "../text/stream_decoder.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Answer } from "./answers.ts";
import type { Questions } from "./gsm8k.ts";
import type { KeyedPredictions } from "./predictions_result.ts";
import type { CutReply, Likely, Sample, Samples, WorstToken } from "./report/samples_page.ts";
import type { AnsweredCell } from "./task.ts";

/** Tokens before a worst one that are shown with it. */
const CONTEXT = 24;
/** Worst tokens that are shown, of all settings together. */
const MOST_WORST = 60;

/** What a page shows of the cells' answers; the first cell is the one that the others are compared with. */
export function samplesOf(
  name: string,
  { problems, prompts, prompting: { tokenizer } }: Pick<Questions, "problems" | "prompts" | "prompting">,
  [first, ...others]: readonly AnsweredCell<Answer>[],
  predictions: readonly KeyedPredictions[],
): Samples {
  const samples = others.flatMap(({ cell, entries }) =>
    entries.flatMap((answer, i): Sample[] => {
      const before = first!.entries[i]!, at = firstDifference(before.ids, answer.ids);
      if (at === null) return [];
      const { index, question } = problems[i]!, [was, is] = [before, answer].map((a) => a["flexible-extract"]);
      const outcome = was!.correct && !is!.correct
        ? "lost"
        : !was!.correct && is!.correct
        ? "gained"
        : was!.extracted === is!.extracted
        ? "same answer"
        : "other answer";
      const [one, other] = [before, answer].map((a) => cut(a, at, tokenizer)) as [CutReply, CutReply];
      return [{ setting: cell.label, problem: index, question, outcome, token: at + 1, first: one, other }];
    })
  );
  const labels = new Map(others.map(({ cell }) => [cell.key, cell.label]));
  const tokensOf = new Map(problems.map(({ index }, i) => [index, [...prompts[i]!.ids, ...first!.entries[i]!.ids]]));
  const worst = predictions.flatMap(({ key, sequences }) =>
    sequences.flatMap(({ index, worst = [] }) =>
      worst.map(({ position, kl, a, b }): WorstToken => ({
        setting: labels.get(key)!,
        problem: index,
        position,
        kl,
        text: decode(tokenizer, tokensOf.get(index)!.slice(Math.max(0, position + 1 - CONTEXT), position + 1), "keep"),
        first: likely(a, tokenizer),
        other: likely(b, tokenizer),
      }))
    )
  );
  const replies = others.reduce((sum, { entries }) => sum + entries.length, 0);
  return {
    name,
    reference: first!.cell.label,
    same: replies - samples.length,
    replies,
    samples,
    worst: worst.sort((x, y) => y.kl - x.kl).slice(0, MOST_WORST),
  };
}

/** Place of the first token that differs, which may be the end of one reply; null where both are equal. */
export function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const at = a.findIndex((id, i) => id !== b[i]);
  return at >= 0 ? at : a.length < b.length ? a.length : null;
}

function cut({ ids, "flexible-extract": { extracted } }: Answer, at: number, tokenizer: Tokenizer): CutReply {
  const text = (part: readonly number[]) => decode(tokenizer, part, "keep");
  return {
    before: text(ids.slice(0, at)),
    token: text(ids.slice(at, at + 1)),
    after: text(ids.slice(at + 1)),
    extracted,
  };
}

function likely(tokens: readonly (readonly [number, number])[], tokenizer: Tokenizer): Likely[] {
  return tokens.map(([id, probability]) => [decode(tokenizer, [id], "keep"), probability]);
}
