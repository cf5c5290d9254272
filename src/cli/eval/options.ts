/** The options of `mxoss eval`. */
import { z } from "zod";
import { LAYERED } from "../../eval/compare_all.ts";
import type { Amount } from "../../eval/prediction_run.ts";
import { type Bandwidth, DEVICE_BANDWIDTHS } from "../../eval/cost.ts";
import { PROMPT_FORMATS } from "../../eval/prompts.ts";
import { SHARD_OPTION } from "./shard.ts";
import { schemeName } from "../scheme_name.ts";
import { withItems } from "../values.ts";
import { COMPUTE_OPTIONS, MODELS_OPTION } from "../model_options.ts";
import { choice, type CommandSpec, decimal, integer, ofPart, type Option, option, text, toggle } from "../options.ts";

/**
 * Tokens of a reply at most, where `--max-tokens` is not given: lm-eval's limit of a completion, and room for reasoning
 * in a chat.
 */
export const DEFAULT_REPLY_TOKENS = { completion: 256, chat: 2048 } as const;
/** Defaults of the options that only one task has. */
export const TASK_DEFAULTS = {
  prompt: "chat",
  shots: 0,
  seed: 0,
  /** Tokens of a sequence whose perplexity is measured. */
  "sequence-length": 1024,
} as const;
/** Half the width that the interval of a mean KL shall have, relative to it. */
const DEFAULT_PRECISION = 0.2;
/** Sequences on which predictions are compared by default. */
export const DEFAULT_DIVERGENCE: Amount = { precision: DEFAULT_PRECISION };
/** Relative error above which an operation is named. */
export const DEFAULT_ALARM = 1e-2;

/** Schema of a list of words separated by commas, each of which `item` accepts; no word twice. */
export function list<T>(item: z.ZodType<T, string>) {
  const schema = z.string().transform((words, context) => {
    const values: T[] = [];
    for (const word of words.split(",")) {
      const result = item.safeParse(word.trim());
      if (!result.success) {
        context.addIssue(ofPart(result.error.issues[0]!));
        return z.NEVER;
      }
      if (values.includes(result.data)) {
        context.addIssue({ code: "custom", message: `expected ${word.trim()} once` });
        return z.NEVER;
      }
      values.push(result.data);
    }
    return values as readonly T[];
  });
  return withItems(schema, item);
}

/** Schema of a relative error. */
export function positive(expected: string) {
  return decimal(expected, (n) => n > 0);
}

const { scheme: _scheme, tp: _tp, ep: _ep, "kv-cache-dtype": _kv, ...SHARED } = COMPUTE_OPTIONS;

/** The relative error above which operations are named, in `eval` and `compare`. */
export const ALARM_OPTION: Option<number | undefined> = option(
  "X",
  positive("a number above 0").optional(),
  `relative error above which an operation is named (default: ${DEFAULT_ALARM})`,
);

/** Where static input scales come from that the checkpoint lacks, in `eval` and `compare`. */
export const CALIBRATE_OPTION: Option<string | undefined> = option(
  "F",
  text("a file").optional(),
  "measure the scales of static FP8 inputs, which the checkpoint lacks, on this text or these problems (.jsonl)",
);

/** A rate in bytes per second, for instance `3.35TB/s`, or a device of which it is published. */
function bandwidth() {
  return z.string().transform((given, context): Bandwidth => {
    const published = DEVICE_BANDWIDTHS.get(given.toLowerCase());
    if (published !== undefined) return { name: given.toLowerCase(), bytes_per_second: published };
    const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?) ?([MGT])B\/s$/i.exec(given) ?? [];
    const rate = Number(number) * 10 ** (6 + 3 * "mgt".indexOf(unit.toLowerCase()));
    if (number !== "" && rate > 0) return { name: given, bytes_per_second: rate };
    const devices = [...DEVICE_BANDWIDTHS.keys()].join(", ");
    context.addIssue({ code: "custom", message: `expected a rate such as 3.35TB/s; or a device: ${devices}` });
    return z.NEVER;
  });
}

/** The bandwidth that tokens per second are estimated for, in `eval`, `compare` and `report`. */
export const BANDWIDTH_OPTION: Option<Bandwidth | undefined> = option(
  "RATE",
  bandwidth().optional(),
  "estimate the tokens per second that this memory bandwidth allows: 3.35TB/s, or a device such as h100 or mi300x",
);

/** What would be done, in `eval` and `compare`. */
export const DRY_RUN_OPTION: Option<boolean> = toggle(
  "compute nothing, but say what it would take: bytes, memory and time on this machine, from a few layers timed here",
);

/** Another form of what is printed, in `eval` and `compare`. */
export const FORMAT_OPTION: Option<"llama.cpp" | undefined> = option(
  "FORMAT",
  z.literal("llama.cpp", { error: "expected llama.cpp" }).optional(),
  "print the statistics of predictions as llama-perplexity --kl-divergence does, label for label, instead of tables",
);

/** A number of sequences, `auto`, or `auto=10%`. */
function amount() {
  const sequences = integer(0);
  return z.string().transform((given, context): Amount => {
    if (given === "auto") return { precision: DEFAULT_PRECISION };
    const percent = /^auto=(\d+(?:\.\d+)?)%$/.exec(given)?.[1];
    if (percent !== undefined && Number(percent) > 0) return { precision: Number(percent) / 100 };
    const number = sequences.safeParse(given);
    if (number.success) return number.data;
    context.addIssue({ code: "custom", message: "expected an integer of at least 0, auto, or auto=PERCENT%" });
    return z.NEVER;
  });
}

const OPTIONS = {
  model: MODELS_OPTION,
  data: option("F", text("a file").optional(), "gsm8k: problems, one JSON object a line, as GSM8K has them"),
  text: option("F", text("a file").optional(), "perplexity: the text; special tokens that it spells out count as such"),
  limit: option("N", integer(1).optional(), "only the first N problems, or tokens of the text"),
  scheme: option("LIST", list(schemeName()).optional(), "quantization schemes (default: as the checkpoint is stored)"),
  calibrate: CALIBRATE_OPTION,
  "kv-cache-dtype": option(
    "LIST",
    list(choice("auto", "bf16", "fp8")).optional(),
    "number formats of cached keys and values (default: auto, as the checkpoint says, else --dtype)",
  ),
  tp: option(
    "LIST",
    list(integer(1, 64)).optional(),
    "numbers of ranks that share heads, vocabulary and expert columns (default: 1)",
  ),
  ep: option("LIST", list(integer(1, 64)).optional(), "numbers of groups of ranks that share the experts (default: 1)"),
  prompt: option(
    "FORMAT",
    choice(...PROMPT_FORMATS).optional(),
    "chat (default): the question is the user's message; chat-lm-eval: lm-eval's wording as a message; completion: " +
      "lm-eval's text is continued",
  ),
  shots: option(
    "N",
    integer(0, 100).optional(),
    `examples before the question, the same for all (default: ${TASK_DEFAULTS.shots})`,
  ),
  "shots-from": option(
    "F",
    text("a file").optional(),
    "where examples come from (default: --data, less what is shown)",
  ),
  seed: option(
    "S",
    integer(0, 2 ** 32 - 1).optional(),
    `seed of the choice of examples (default: ${TASK_DEFAULTS.seed})`,
  ),
  system: option("TEXT", text("a text").optional(), "system message of the chat"),
  reasoning: option("EFFORT", choice("low", "medium", "high").optional(), "reasoning effort: low, medium or high"),
  "max-tokens": option(
    "N",
    integer(1).optional(),
    `most tokens of a reply (default: ${DEFAULT_REPLY_TOKENS.chat}, of a completion ` +
      `${DEFAULT_REPLY_TOKENS.completion}, and at most half of the model's context)`,
  ),
  logprobs: option(
    "WHICH",
    choice("keep", "none").optional(),
    "keep (default): the log probability of every reply, for which emulate computes all logits; none: " +
      "replies sooner there, and no reliability",
  ),
  sequences: option(
    "N",
    integer(1, 1024).optional(),
    "replies that are generated at once (default: up to 64, as memory allows; on a GPU up to 256, as its pages allow)",
  ),
  "sequence-length": option(
    "N",
    integer(2).optional(),
    `perplexity: tokens of the sequences that the text is cut into (default: ${TASK_DEFAULTS["sequence-length"]})`,
  ),
  divergence: option(
    "N",
    amount().optional(),
    "first problems, or sequences, on which predictions are compared with the first setting's; 0: none; auto: as " +
      `many as tell all settings apart or bound every mean KL by ${100 * DEFAULT_PRECISION}% (auto=10%: by so ` +
      `much), at most all (default: auto). The first ${LAYERED} of them are compared layer by layer`,
  ),
  alarm: ALARM_OPTION,
  shard: SHARD_OPTION,
  out: option(
    "DIR",
    text("a directory").optional(),
    "keep answers, results.json and report.html here; an interrupted run goes on here",
  ),
  export: option(
    "FORMAT",
    z.literal("lm-eval", { error: "expected lm-eval" }).optional(),
    "gsm8k: also write every sample in this harness's log format (needs --out)",
  ),
  bandwidth: BANDWIDTH_OPTION,
  "dry-run": DRY_RUN_OPTION,
  format: FORMAT_OPTION,
  json: toggle("print results.json instead of tables"),
  ...SHARED,
};

/** Accuracy and perplexity under a matrix of settings. */
export const EVAL: CommandSpec<typeof OPTIONS> = {
  name: "eval",
  summary: "measure accuracy (gsm8k) or perplexity under several quantization schemes",
  positional: {
    name: "TASK",
    words: ["gsm8k", "perplexity"],
    help: "gsm8k: word problems with a number for an answer; perplexity: how well a text is predicted",
  },
  options: OPTIONS,
  examples: [
    {
      line: "mxoss eval gsm8k --data problems.jsonl --limit 200 --scheme w_mxfp4,w_mxfp4_a_mxfp4 --out results",
      does: "answers problems under two schemes, and writes a report",
    },
    {
      line: "mxoss eval perplexity --text text.txt --model openai/gpt-oss-20b --scheme w_mxfp4,w_mxfp4_a_mxfp6_e3m2",
      does: "compares perplexity and predictions",
    },
    {
      line: "mxoss eval perplexity --text text.txt --scheme w_mxfp4,w_mxfp4_a_mxfp4 --dry-run",
      does: "says what it would take",
    },
  ],
  notes: [
    "Models, schemes, KV formats and numbers of ranks make a matrix; every cell is compared with the first one on " +
    "the same problems or tokens (by paired tests), and so are its intermediate results and predictions.",
    "Accuracy hardly separates quantization schemes: what is lost and what is gained cancel out. Choose by KL " +
    "divergence and error per layer, which are measured here too, and take accuracy for a check that nothing is " +
    "broken.",
    "With --out every answer is written down as it is found. Started again with the same options, an interrupted or " +
    "killed run goes on where it was, and ends in the same files, byte for byte.",
    "Several processes, on many machines that share a file system, answer a part each with --shard; mxoss report " +
    "makes the results of all of them. Job arrays and steps of Slurm, Indexed Jobs of Kubernetes (with MXOSS_SHARDS " +
    "set to the number of pods), MPI and torchrun say themselves which part is whose.",
  ],
};
