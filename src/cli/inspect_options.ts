/** The options of `mxoss inspect`. */
import { FORMAT_OPTIONS, MAX_CHUNK, MODEL_OPTIONS, PARALLEL_OPTIONS } from "./model_options.ts";
import { type CommandSpec, integer, option, toggle } from "./options.ts";

const OPTIONS = {
  ...MODEL_OPTIONS,
  ...FORMAT_OPTIONS,
  ...PARALLEL_OPTIONS,
  sequences: option("N", integer(1, 1024).default(1), "sequences at once, for the memory that a GPU needs"),
  context: option(
    "N",
    integer(1).optional(),
    "positions of a sequence, for the same (default: 4096, or as many as the model has)",
  ),
  chunk: option(
    "N",
    integer(1, MAX_CHUNK).optional(),
    "prompt tokens computed in one pass, for the same (default: as many as on a GPU)",
  ),
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
  notes: [
    "Memory of a GPU: of each rank, if each has one of its own; what drivers and libraries take comes on top.",
    "Reads headers only, never the weights.",
  ],
};
