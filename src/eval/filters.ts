/**
 * How a number is taken out of a reply and compared: the two filters and the comparison of lm-eval's `gsm8k` task,
 * version 3.0, rule for rule, so that accuracies can be set beside those of that harness. `tests/eval/lm_eval_test.ts`
 * runs lm-eval's own code on the same replies.
 *
 * Rules that surprise: the flexible filter takes the last number of the text, whatever it counts ("18 (see step 3)"
 * gives 3); its first alternative also matches punctuation alone (".." gives ".."); comparison is of text, so "18.0" is
 * not "18".
 */

/** Names of the filters, as lm-eval has them. */
export const FILTERS = ["strict-match", "flexible-extract"] as const;
/** One of {@linkcode FILTERS}. */
export type FilterName = (typeof FILTERS)[number];

/** What a filter gives where it finds nothing. */
export const INVALID = "[invalid]";

/** The answer as the data set writes it; the first match counts. */
const STRICT = /#### (-?[0-9.,]+)/;
/** Anything that looks like a number; the last match counts. */
const FLEXIBLE = /-?[$0-9.,]{2,}|-?[0-9]+/g;

/** What the filter takes for the reply's answer, or {@linkcode INVALID}. */
export function extractAnswer(filter: FilterName, reply: string): string {
  switch (filter) {
    case "strict-match":
      return STRICT.exec(reply)?.[1] ?? INVALID;
    case "flexible-extract":
      return reply.match(FLEXIBLE)?.at(-1) ?? INVALID;
  }
}

/**
 * An answer as it is compared: without commas, dollar signs, everything up to the last `#### `, and a full stop at the
 * end.
 */
export function normalizeAnswer(answer: string): string {
  return answer
    .replaceAll(",", "")
    .replaceAll("$", "")
    .replace(/^.*#### /s, "")
    // Python's `$` also matches before a line break at the end.
    .replace(/\.(?=\n?$)/, "")
    .toLowerCase();
}

/**
 * Whether what a filter took out of the reply is the right answer.
 *
 * @param gold The data set's whole answer; only what follows its last `#### ` counts.
 */
export function isCorrect(extracted: string, gold: string): boolean {
  return normalizeAnswer(extracted) === normalizeAnswer(gold);
}
