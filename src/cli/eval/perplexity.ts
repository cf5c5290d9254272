/** `mxoss eval perplexity`: how well a text is predicted under a matrix of settings. */
import { UsageError } from "../spelling.ts";
import { readTextFile } from "../../eval/dataset.ts";
import { PERPLEXITY } from "../../eval/tasks/perplexity.ts";
import { openModel, openTokenizer } from "../open_model.ts";
import type { EvalOptions } from "./cells.ts";
import { runEval } from "./run.ts";
import { perplexityTables } from "./tables.ts";

/** Runs the task. */
export async function evalPerplexity(options: EvalOptions): Promise<number> {
  if (options.text === undefined) {
    throw UsageError.saying("missing", { option: "text" }, "required by mxoss eval perplexity, but not given");
  }
  const file = readTextFile(options.text, "--text");
  const checkpoint = openModel(options.model);
  const work = PERPLEXITY.prepare({
    path: options.text,
    file,
    tokenizer: await openTokenizer(checkpoint),
    limit: options.limit,
    sequenceLength: options["sequence-length"],
  }, checkpoint.config);
  const { out } = options;
  return await runEval(PERPLEXITY, work, checkpoint, options, {
    tables: perplexityTables,
    interrupted: () => {
      const kept = `what is done is kept in ${out}: the same command goes on`;
      return `interrupted; ${out === undefined ? "nothing was kept" : kept}`;
    },
    resumed: null,
  });
}
