/** The options of `mxoss list`. */
import { type CommandSpec, toggle } from "./options.ts";

const OPTIONS = {
  json: toggle("print one JSON object"),
};

/** Which models are there. */
export const LIST: CommandSpec<typeof OPTIONS> = {
  name: "list",
  summary: "show the models of the Hugging Face cache and of directories, and which fit in memory",
  positional: {
    name: "DIR",
    help: "directories to look in besides the cache: checkpoints, folders of checkpoints, other caches",
    many: true,
  },
  options: OPTIONS,
  examples: [
    { line: "mxoss list", does: "shows the models of the Hugging Face cache" },
    { line: "mxoss list models --json", does: "and those in a directory, as JSON" },
  ],
  notes: [
    "Reads headers only, never the weights. A name in the first column is what --model takes.",
    "Memory has to hold the weights, as they are stored, and the keys and values of 4096 tokens. What is larger runs " +
    "all the same, slowly: its files are mapped, and read again for each token.",
  ],
};
