/** `mxoss eval perplexity`: how well a text is predicted under a matrix of settings. */
import { UsageError } from "../spelling.ts";
import { sharedChoices } from "../settings.ts";
import { warmUp } from "../../session/open.ts";
import { readTextFile } from "../../eval/dataset.ts";
import { PERPLEXITY, type PerplexityWork } from "../../eval/tasks/perplexity.ts";
import { noteShorter, openTokenizer } from "../open_model.ts";
import { type EvalOptions, openModels } from "./cells.ts";
import { TASK_DEFAULTS } from "./options.ts";
import { refuseOtherModels, runEval } from "./run.ts";
import { perplexityTables } from "./tables.ts";

/** Runs the task; gives the exit code. */
export async function evalPerplexity(options: EvalOptions): Promise<number> {
  if (options.text === undefined) {
    throw UsageError.saying("missing", { option: "text" }, "required by mxoss eval perplexity, but not given");
  }
  if (options.limit === 1) throw UsageError.of("wrong_value", { option: "limit" }, "2 tokens or more of a text", 1);
  const file = readTextFile(options.text, "--text");
  await using _started = await warmUp(sharedChoices(options));
  const models = await openModels(options), works: PerplexityWork[] = [];
  for (const { checkpoint } of models) {
    works.push(PERPLEXITY.prepare({
      path: `--text: ${options.text}`,
      file,
      tokenizer: await openTokenizer(checkpoint),
      limit: options.limit,
      sequenceLength: options["sequence-length"],
    }, checkpoint.config));
  }
  refuseOtherModels(models, works, ({ sequences }) => sequences, options);
  const { out, "sequence-length": given } = options;
  const code = await runEval(PERPLEXITY, works[0]!, models, options, {
    tables: perplexityTables,
    interrupted: () => {
      const kept = `what is done is kept in ${out}: the same command goes on`;
      return `interrupted; ${out === undefined ? "nothing was kept" : kept}`;
    },
    resumed: null,
  });
  // Not before, as what is refused on the way is one line.
  if (code === 0 && given !== TASK_DEFAULTS["sequence-length"]) {
    noteShorter(given, works[0]!.protocol.text.sequence_length, models[0]!.checkpoint);
  }
  return code;
}
