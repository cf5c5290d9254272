/** The options of `mxoss bench`. */
import { z } from "zod";
import { SHAPES } from "../checkpoint/random/layouts.ts";
import { list } from "./eval/options.ts";
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { choice, type CommandSpec, decimal, integer, ofPart, option, text, toggle } from "./options.ts";

/** Layers of random weights by default, or all that a shape has: enough to show the pace of a large model. */
export const DEFAULT_LAYERS = 4;
/** The shape of random weights by default. */
export const DEFAULT_SHAPE = "gpt-oss-20b";
/** Most layers, positions and sequences: a mistyped number should not ask for more memory than there can be. */
const MAX_LAYERS = 256, MAX_POSITIONS = 1 << 20, MAX_SEQUENCES = 1024;

/** Numbers separated by commas, or `none`. */
function numbers(max: number, normal: readonly number[]) {
  const listed = list(integer(1, max));
  return z.string().transform((words, context) => {
    if (words === "none") return [];
    const { data, error } = listed.safeParse(words);
    if (error === undefined) return data;
    context.addIssue(ofPart(error.issues[0]!));
    return z.NEVER;
  }).default([...normal]);
}

const OPTIONS = {
  ...MODEL_OPTIONS,
  model: {
    ...MODEL_OPTIONS.model,
    help: "checkpoint directory, or org/name[@revision] in the Hugging Face cache (without it: random weights)",
  },
  shape: option(
    "NAME",
    choice(...Object.keys(SHAPES) as (keyof typeof SHAPES)[]).optional(),
    `sizes of a model of random weights, made in memory (default: ${DEFAULT_SHAPE})`,
  ),
  layers: option("N", integer(1, MAX_LAYERS).optional(), `its layers (default: ${DEFAULT_LAYERS}, of tiny 2)`),
  ...COMPUTE_OPTIONS,
  prefill: option("LIST", numbers(MAX_POSITIONS, [128, 512, 2048]), "tokens of prompts, or none"),
  contexts: option(
    "LIST",
    numbers(MAX_POSITIONS, [128, 2048, 8192, 32_768]),
    "positions after which one sequence is decoded, or none",
  ),
  batches: option(
    "LIST",
    numbers(MAX_SEQUENCES, [1, 4, 16, 64]),
    "sequences that are decoded at once, or none",
  ),
  "batch-contexts": option(
    "LIST",
    list(integer(1, MAX_POSITIONS)).default([128]),
    "positions of each of these sequences before that",
  ),
  seconds: option(
    "S",
    decimal("a number of seconds above 0", (n) => n > 0).default(60),
    "what the whole shall take; what takes longer is left out, and said",
  ),
  json: toggle("print one JSON object"),
  out: option("F", text("a file to write").optional(), "also write a page with charts (HTML)"),
  force: toggle("replace the file if it is there"),
};

/** How fast a model is computed. */
export const BENCH: CommandSpec<typeof OPTIONS> = {
  name: "bench",
  summary: "measure how fast a model is computed here, beside what the machine can do",
  positional: null,
  options: OPTIONS,
  examples: [
    { line: "mxoss bench --model openai/gpt-oss-20b --seconds 20", does: "measures a model for some seconds" },
    {
      line: "mxoss bench --shape tiny --scheme w_mxfp4_a_mxfp4 --batches 1,4 --seconds 20 --out bench.html",
      does: "random weights in a scheme, and a page of figures",
    },
  ],
  notes: [
    "Figures are medians of several runs, with an interval that covers the median of all runs with 95% (of fewer " +
    "than six runs: from the least to the largest), and no digit that the interval does not allow. Fewer than nine " +
    "runs are taken for independent: where each is like the one before it, the interval covers less than is said.",
    "Limits are measured first, by plain loops of WebAssembly on as many threads: bytes read from memory, and " +
    "multiply-adds of float32 and of bytes. What stays in the processor's caches can be read faster than that.",
    "Random weights have the format that --scheme says, attention and head bf16. Keys and values before a decoded " +
    "token are made up, not computed; operations are timed in runs of their own.",
  ],
};
