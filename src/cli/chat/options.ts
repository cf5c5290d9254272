/** The options of `mxoss chat`. */
import { GENERATE } from "../generate_options.ts";
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "../model_options.ts";
import { type CommandSpec, integer, option, text, toggle } from "../options.ts";

/** Positions that are set aside when `--context` is not given: gpt-oss-20b's keys and values take half a gigabyte. */
export const DEFAULT_CONTEXT = 16_384;

const { system, reasoning, date, analysis, temperature, "top-k": topK, "top-p": topP, seed, stop } = GENERATE.options;

const OPTIONS = {
  ...MODEL_OPTIONS,
  system,
  reasoning,
  date: { ...date, help: date.help.replace("today)", "today; with --load: that of the conversation)") },
  analysis,
  context: option(
    "N",
    integer(16).optional(),
    `positions set aside for the conversation (default: ${DEFAULT_CONTEXT}, or what the model has)`,
  ),
  "max-tokens": option("N", integer(1).default(4096), "most tokens of one answer, as long as the context has room"),
  temperature,
  "top-k": topK,
  "top-p": topP,
  seed: {
    ...seed,
    help:
      "seed of the first answer's draw; each further one has the next number (default: a new one, which /save keeps)",
  },
  stop,
  load: option("FILE", text("a file").optional(), "go on with the conversation that /save wrote"),
  out: option("DIR", text("a directory").optional(), "where /save may write (default: the current directory)"),
  stats: toggle("print tokens per second to stderr after each answer"),
  ...COMPUTE_OPTIONS,
};

/** Converses with a model. */
export const CHAT: CommandSpec<typeof OPTIONS> = {
  name: "chat",
  summary: "converse with a model, and change its scheme in mid-conversation",
  positional: { name: "PROMPT", help: "the first question" },
  options: OPTIONS,
  examples: [
    {
      line: "mxoss chat --model openai/gpt-oss-20b --reasoning high",
      does: "converses with a model of the Hugging Face cache",
    },
    {
      line: "mxoss chat --load conversation.json --scheme w_mxfp4_a_mxfp4",
      does: "goes on with what /save wrote, under another scheme",
    },
  ],
  notes: [
    "Lines that begin with a slash are commands; /help lists them. A question goes on in the next line after a " +
    'backslash at the end of a line, or stands between """ and """. Ctrl-C stops an answer, and at an empty prompt ' +
    "ends the conversation, as Ctrl-D does.",
    "Where stdin is no terminal, each of its lines is a question or a command, and the first mistake ends it with " +
    "exit code 2. Answers go to stdout, everything else to stderr.",
  ],
};
