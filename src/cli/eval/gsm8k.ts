/** `mxoss eval gsm8k`: word problems under a matrix of settings. */
import { UsageError } from "../spelling.ts";
import { sharedChoices } from "../settings.ts";
import { warmUp } from "../../session/open.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { type Dataset, readDataset } from "../../eval/dataset.ts";
import { chooseShots, type FewShot } from "../../eval/fewshot.ts";
import type { PromptOptions } from "../../eval/prompts.ts";
import { GSM8K, type Gsm8kWork } from "../../eval/tasks/gsm8k.ts";
import { openRenderer, openTokenizer, warnOfSystem } from "../open_model.ts";
import { note } from "../terminal.ts";
import { type EvalOptions, openModels } from "./cells.ts";
import { DEFAULT_REPLY_TOKENS } from "./options.ts";
import { refuseOtherModels, runEval } from "./run.ts";
import { gsm8kTables } from "./tables.ts";

/** Runs the task; gives the exit code. */
export async function evalGsm8k(options: EvalOptions): Promise<number> {
  if (options.data === undefined) {
    throw UsageError.saying("missing", { option: "data" }, "required by mxoss eval gsm8k, but not given");
  }
  if (options.export !== undefined && options.out === undefined) {
    throw UsageError.of("contradiction", { option: "export" }, "together with --out, which says where to");
  }
  const data = readDataset(options.data, "--data");
  const shotsFrom = options["shots-from"] === undefined ? data : readDataset(options["shots-from"], "--shots-from");
  const { seed, limit, sequences, out } = options;
  const chosen = chooseShots(data, shotsFrom, options.shots, seed);
  await using _started = await warmUp(sharedChoices(options));
  const models = await openModels(options), works: Gsm8kWork[] = [];
  for (const { checkpoint } of models) {
    works.push(GSM8K.prepare({
      data,
      shotsFrom,
      chosen,
      seed,
      limit,
      prompting: await promptingOf(checkpoint, options),
      maxTokens: options["max-tokens"] ?? defaultReplyTokens(checkpoint, options),
      logProbabilities: options.logprobs !== "none",
      sequences,
      samples: options.export === "lm-eval",
    }, checkpoint.config));
  }
  refuseOtherModels(models, works, ({ questions }) => questions.prompts.map(({ ids }) => ids), options);
  printShots(chosen, shotsFrom);
  return await runEval(GSM8K, works[0]!, models, options, {
    tables: gsm8kTables,
    interrupted: ({ answered, asked }) => {
      const kept = out === undefined
        ? "with --out they would have been kept"
        : `they are kept in ${out}: the same command goes on`;
      return `interrupted after ${answered} of ${asked} answers; ${kept}`;
    },
    resumed: (label, done, total) => `${label}: ${done} of ${total} answers are there already`,
  });
}

/** How problems are asked, examples aside. */
async function promptingOf(checkpoint: Checkpoint, options: EvalOptions): Promise<Omit<PromptOptions, "shots">> {
  const { prompt: format, system, reasoning } = options;
  const tokenizer = await openTokenizer(checkpoint);
  const completion = format === "completion";
  const chat = completion ? null : await openRenderer(checkpoint, tokenizer);
  for (const name of ["system", "reasoning"] as const) {
    if (completion && options[name] !== undefined) {
      throw UsageError.of("contradiction", { option: name }, "with a chat", "--prompt completion");
    }
  }
  if (reasoning !== undefined && !chat!.takesReasoning) {
    note(`warning: --reasoning: ${chat!.source} takes no reasoning effort`);
  }
  if (system) warnOfSystem(chat!);
  return {
    format,
    tokenizer,
    chat,
    ...(system === undefined ? {} : { system }),
    ...(reasoning === undefined ? {} : { reasoning }),
  };
}

/** A short context leaves half of it to the prompt. */
function defaultReplyTokens({ config }: Checkpoint, { prompt }: EvalOptions): number {
  const wanted = DEFAULT_REPLY_TOKENS[prompt === "completion" ? "completion" : "chat"];
  return Math.min(wanted, Math.floor(config.maxPositions / 2));
}

/** The choice of examples is part of what was measured. */
function printShots({ shots }: FewShot, { name }: Dataset): void {
  shots.forEach(({ index, question }, i) =>
    note(`example ${i + 1} of ${shots.length}: ${name} problem ${index}: ${question.replaceAll("\n", " ")}`)
  );
}
