/** Samples in the log format of lm-eval (`--log_samples`), for its tools and for scoring with its own filters. */
import { createHash } from "node:crypto";
import { asPython, float } from "../json_numbers.ts";
import { printableJson } from "../printable.ts";
import type { Answer } from "./answers.ts";
import { FILTERS } from "./filters.ts";
import type { Questions } from "./gsm8k.ts";
import { STOP_TEXTS } from "./prompts.ts";

/** Lines of a samples file: every problem once for each filter, filter by filter. */
export function lmEvalSamples(questions: Questions, answers: readonly Answer[]): string[] {
  const byIndex = new Map(answers.map((answer) => [answer.index, answer]));
  return FILTERS.flatMap((filter) =>
    questions.problems.flatMap((problem, i) => {
      const answer = byIndex.get(problem.index);
      if (answer === undefined) return [];
      const prompt = questions.prompts[i]!.text;
      // As Python has it from the file: lm-eval hashes that text.
      const doc = asPython(problem.record);
      return [printableJson({
        doc_id: problem.index,
        doc,
        target: problem.answer,
        arguments: {
          gen_args_0: {
            arg_0: prompt,
            arg_1: { until: STOP_TEXTS, do_sample: false, temperature: float(0), max_gen_toks: questions.maxTokens },
          },
        },
        resps: [[answer.scored]],
        filtered_resps: [answer[filter].extracted],
        filter,
        metrics: ["exact_match"],
        doc_hash: sha256(JSON.stringify(doc, null, 2)),
        prompt_hash: sha256(prompt),
        target_hash: sha256(problem.answer),
        exact_match: float(answer[filter].correct ? 1 : 0),
      })];
    })
  );
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
