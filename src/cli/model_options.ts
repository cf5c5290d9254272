/** Options that several commands share: which model, and how to compute. */
import { BACKENDS, DEFAULTS } from "../session/setting.ts";
import { FP8_SCALES } from "../plan/static_scales.ts";
import { z } from "zod";
import { MAX_DEVICE, MAX_THREADS } from "../session/setting.ts";
import { choice, integer, type Option, option, type OptionTable, repeated, text } from "./options.ts";
import { schemeName } from "./scheme_name.ts";

/** Largest prefill chunk: activations of so many tokens are held at once. */
export const MAX_CHUNK = 4096;
/** Most ranks of either kind; the model may allow fewer. */
const MAX_RANKS = 64;

/** What names a model. */
const A_MODEL = "a directory or a name";
const MODEL_HELP = "checkpoint directory, or org/name[@revision] in the Hugging Face cache (without it: the embedded " +
  "tiny-gpt-oss)";

/** Schema of one GPU, or of several, no one twice. */
function devices() {
  return z.string().transform((words, context): number | readonly number[] => {
    const numbers = words.split(/[,+]/).map((word) => /^\d{1,3}$/.test(word) ? Number(word) : NaN);
    const fine = numbers.every((number) => number <= MAX_DEVICE) && new Set(numbers).size === numbers.length;
    if (fine) return numbers.length === 1 ? numbers[0]! : numbers;
    context.addIssue({
      code: "custom",
      message: `expected an integer from 0 to ${MAX_DEVICE}, or several separated by commas, none twice`,
    });
    return z.NEVER;
  });
}

/** Which checkpoint. */
export const MODEL_OPTIONS = {
  model: option("MODEL", text(A_MODEL).optional(), MODEL_HELP),
} satisfies OptionTable;

/** Which checkpoints, of commands that compare several. */
export const MODELS_OPTION: Option<readonly [string, ...string[]] | undefined> = repeated(
  "MODEL",
  text(A_MODEL),
  MODEL_HELP,
);

/** Where libamdhip64 lies. */
export const HIP_LIBRARY_OPTION = option(
  "FILE",
  text("a file").optional(),
  "the HIP library to load, instead of looking for one",
);

/** Over how many ranks. */
export const PARALLEL_OPTIONS = {
  tp: option("N", integer(1, MAX_RANKS).default(1), "ranks that share heads, vocabulary and expert columns"),
  ep: option("N", integer(1, MAX_RANKS).default(1), "groups of ranks that share the experts"),
} satisfies OptionTable;

/** In which number formats. */
export const FORMAT_OPTIONS = {
  scheme: option(
    "NAME",
    schemeName().optional(),
    "quantization scheme of the experts, for instance w_mxfp6_e3m2_a_fp8: what their inputs go through, and weights, " +
      "which are converted while they are loaded where they are stored otherwise",
  ),
  dtype: option(
    "TYPE",
    choice("bf16", "f32").default("bf16"),
    "bf16: every operation rounds its output to bfloat16; f32: no rounding",
  ),
  "fp8-scales": option(
    "RULE",
    choice(...FP8_SCALES).default("merged"),
    "merged: the experts of a layer share the largest of their static FP8 scales, as in vLLM; own: each has its own, " +
      "as in AMD Quark",
  ),
  "kv-cache-dtype": option(
    "TYPE",
    choice("auto", "bf16", "fp8").default("auto"),
    "number format of cached keys and values; auto: as the checkpoint says, else --dtype",
  ),
} satisfies OptionTable;

/** How to compute. */
export const COMPUTE_OPTIONS = {
  backend: option(
    "NAME",
    choice(...BACKENDS).default(DEFAULTS.backend),
    "emulate (WASM SIMD, all cores), hip (AMD GPU), cuda (NVIDIA GPU) or reference (plain TypeScript: slow, obvious)",
  ),
  device: option(
    "LIST",
    devices().optional(),
    "which GPUs, as `mxoss devices` counts them: one, or one for each rank, as in 0,1 (default: from 0 on, as many " +
      "as there are ranks)",
  ),
  "hip-library": HIP_LIBRARY_OPTION,
  "collectives-library": option(
    "FILE",
    text("a file").optional(),
    "the NCCL or RCCL library by which several GPUs sum, instead of looking for one",
  ),
  ...FORMAT_OPTIONS,
  ...PARALLEL_OPTIONS,
  threads: option("N", integer(1, MAX_THREADS).optional(), "worker threads of emulate (default: all cores)"),
  weights: option(
    "HOW",
    choice("auto", "map", "read").optional(),
    "emulate maps the weight files or reads them; auto maps where calling libraries is permitted (default: auto)",
  ),
  chunk: option(
    "N",
    integer(1, MAX_CHUNK).optional(),
    "prompt tokens computed in one pass (default: 128, on GPUs up to 512; of one sequence up to 512, on GPUs 2048)",
  ),
} satisfies OptionTable;
