/** The options of `mxoss inspect`. */
import { FORMAT_OPTIONS, MODEL_OPTIONS, PARALLEL_OPTIONS } from "./model_options.ts";
import { type CommandSpec, toggle } from "./options.ts";

const OPTIONS = {
  ...MODEL_OPTIONS,
  ...FORMAT_OPTIONS,
  ...PARALLEL_OPTIONS,
  json: toggle("print one JSON object"),
};

/** What a checkpoint holds and how it would be computed. */
export const INSPECT: CommandSpec<typeof OPTIONS> = {
  name: "inspect",
  summary: "show a checkpoint's layout, config, number formats per layer and bytes",
  positional: null,
  options: OPTIONS,
  examples: [
    { line: "mxoss inspect --model openai/gpt-oss-20b", does: "shows what a checkpoint holds" },
    {
      line: "mxoss inspect --model openai/gpt-oss-20b --scheme w_mxfp4_a_mxfp4 --tp 2 --json",
      does: "what each of two ranks would have under a scheme, as JSON",
    },
  ],
  notes: ["Reads headers only, never the weights."],
};
