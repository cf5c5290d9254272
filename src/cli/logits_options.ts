/** The options of `mxoss logits`. */
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { type CommandSpec, option, text, toggle, tokenIds } from "./options.ts";

const OPTIONS = {
  ...MODEL_OPTIONS,
  tokens: option("IDS", tokenIds().optional(), "token ids, separated by commas"),
  prompt: option(
    "TEXT",
    text("a text").optional(),
    "text to tokenize as it stands; special tokens in it count as such",
  ),
  "prompt-file": option("F", text("a file").optional(), "read that text from a file (- means stdin)"),
  out: option("F", text("a file to write"), "safetensors file to write"),
  force: toggle("replace the file if it is there"),
  ...COMPUTE_OPTIONS,
};

/** Teacher-forced logits of a sequence. */
export const LOGITS: CommandSpec<typeof OPTIONS> = {
  name: "logits",
  summary: "write the logits of every position of a given sequence",
  positional: null,
  options: OPTIONS,
  examples: [
    {
      line: 'mxoss logits --prompt "Why is the sky blue?" --out logits.safetensors',
      does: "writes the logits of a text",
    },
    {
      line: "mxoss logits --model openai/gpt-oss-20b --tokens 1,2,3 --dtype f32 --out logits.safetensors",
      does: "of token ids, without rounding",
    },
  ],
  notes: [
    "The file holds `logits`, float32 [T, V], and `ids`, int32 [T]; row t is the prediction of the token after " +
    "ids[t]. It is written under a temporary name and renamed when it is whole.",
  ],
};
