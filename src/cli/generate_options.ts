/** The options of `mxoss generate`. */
import { DATE_OPTION } from "./date_option.ts";
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { choice, type CommandSpec, decimal, integer, option, repeated, text, toggle } from "./options.ts";

/** Tokens generated at most when `--max-tokens` is not given: room for a long chain of thought, and an end to it. */
export const DEFAULT_MAX_TOKENS = 4096;

const OPTIONS = {
  ...MODEL_OPTIONS,
  "prompt-file": option("F", text("a file").optional(), "read the prompt from a file (- means stdin)"),
  raw: toggle("continue the prompt as it stands: no chat template, special tokens in it count as such"),
  system: option("TEXT", text("a text").optional(), "system message of the conversation"),
  reasoning: option("EFFORT", choice("low", "medium", "high").optional(), "reasoning effort: low, medium or high"),
  date: DATE_OPTION,
  analysis: option(
    "WHEN",
    choice("auto", "always", "never").optional(),
    "show the model's reasoning on stderr: always, never, or auto: when stderr is a terminal (default: auto)",
  ),
  "max-tokens": option(
    "N",
    integer(1).optional(),
    `most tokens to generate (default: ${DEFAULT_MAX_TOKENS}, or what the model's context leaves)`,
  ),
  temperature: option(
    "T",
    decimal("a number of at least 0", (n) => n >= 0).default(0),
    "0 takes the likeliest token (greedy); above 0 tokens are drawn",
  ),
  "top-k": option("K", integer(0).default(0), "draw among the K likeliest tokens only; 0: among all"),
  "top-p": option(
    "P",
    decimal("a number above 0 and up to 1", (n) => n > 0 && n <= 1).default(1),
    "draw among the likeliest tokens that make up probability P; 1: among all",
  ),
  seed: option(
    "S",
    integer(0).optional(),
    "seed of the draw: same seed, same tokens for one backend, --tp and --ep (default: a new one, which --json " +
      "reports)",
  ),
  stop: repeated(
    "TEXT",
    text("a text"),
    "end the answer before this text, wherever in it tokens end (reasoning is not looked at)",
  ),
  json: toggle("print one JSON object: text, channels, token ids, finish reason, timings, protocol"),
  stats: toggle("print prefill and decode tokens per second to stderr"),
  ...COMPUTE_OPTIONS,
};

/** The default command. */
export const GENERATE: CommandSpec<typeof OPTIONS> = {
  name: "generate",
  summary: "answer a prompt (the default command)",
  positional: {
    name: "PROMPT",
    help: "the question; without it and without --prompt-file it is read from stdin, as for -",
  },
  options: OPTIONS,
  examples: [
    { line: 'mxoss "Sam has 47 marbles and gives 12 away. How many has he now?"', does: "asks the embedded model" },
    {
      line: 'mxoss --model openai/gpt-oss-20b --reasoning low --stats "Why is the sky blue?"',
      does: "asks a model of the Hugging Face cache, and says how fast it was",
    },
    {
      line: "mxoss --scheme w_mxfp4_a_mxfp4 --json --prompt-file question.txt",
      does: "under another scheme, with token ids and what made them",
    },
    {
      line: 'mxoss --raw --stop "." --temperature 0.7 --seed 1 "Once upon a time"',
      does: "continues a text to the end of a sentence, drawn by a seed",
    },
  ],
  notes: [
    "The answer (the final channel) goes to stdout as it is generated, everything else to stderr. In a chat, line " +
    "breaks at the end of the prompt are dropped; with --raw every byte of it counts.",
    "Ctrl-C keeps what was generated so far and ends with exit code 130.",
  ],
};
