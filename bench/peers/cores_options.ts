/** Options of `bench/peers/cores.ts`, which says what they are. */
import { parseArgs } from "node:util";
import { choicesOf, countOf, countsOf } from "../options.ts";

/** Parts of it, in the order of the file. */
const PARTS = ["turns", "steps", "threads", "eval", "start", "large"] as const;
export type Part = typeof PARTS[number];

/** Options that are one number. */
type CountName =
  | "threads"
  | "layers"
  | "few"
  | "large"
  | "seconds"
  | "rounds"
  | "starts"
  | "evals"
  | "problems"
  | "reply"
  | "steps";

/**
 * What the command line asks for.
 *
 * @throws {InputError | TypeError} for a mistake in it.
 */
export function coresOptions() {
  const { values: flags } = parseArgs({
    options: {
      models: { type: "string", default: "/tmp/mxoss-models" },
      out: { type: "string", default: "/tmp/cores.json" },
      bench: { type: "string" },
      batched: { type: "string" },
      gguf: { type: "string" },
      main: { type: "string" },
      shape: { type: "string", default: "gpt-oss-20b" },
      threads: { type: "string", default: `${navigator.hardwareConcurrency}` },
      counts: { type: "string", default: "1,2,4,8,16" },
      layers: { type: "string", default: "24" },
      few: { type: "string", default: "4" },
      seconds: { type: "string", default: "500" },
      rounds: { type: "string", default: "9" },
      starts: { type: "string", default: "7" },
      data: { type: "string" },
      problems: { type: "string", default: "128" },
      evals: { type: "string", default: "2" },
      reply: { type: "string", default: "48" },
      steps: { type: "string", default: "64" },
      deep: { type: "string", default: "8192" },
      batches: { type: "string", default: "32,64" },
      large: { type: "string", default: "36" },
      tokenizer: { type: "string" },
      schemes: { type: "string", default: "w_mxfp4,w_mxfp4_a_mxfp4,w_mxfp4_a_fp8" },
      parts: { type: "string", default: "turns,threads,eval" },
    },
  });
  const count = (name: CountName) => countOf(`--${name}`, flags[name]);
  const list = (name: "counts" | "deep" | "batches") => countsOf(`--${name}`, flags[name]);
  return {
    flags,
    counts: {
      ...{ threads: count("threads"), layers: count("layers"), few: count("few"), large: count("large") },
      ...{ seconds: count("seconds"), rounds: count("rounds"), starts: count("starts"), evals: count("evals") },
      ...{ problems: count("problems"), reply: count("reply"), steps: count("steps") },
    },
    lists: { counts: list("counts"), deep: list("deep"), batches: list("batches") },
    chosen: choicesOf("--parts", flags.parts, PARTS),
  };
}
