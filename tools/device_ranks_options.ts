/** Options of tools/device_ranks.ts. */
import { parseArgs } from "node:util";
import { choiceOf, choicesOf, countOf, countsOf, optionsOrEnd } from "./options.ts";
import { SHAPES } from "../src/checkpoint/random/layouts.ts";

/** Numbers of ranks of two kinds. */
export interface Sizes {
  readonly tp: number;
  readonly ep: number;
}

/** Ranks as a word of `--ranks` has them. */
function sizesOf(word: string): Sizes {
  const [, tp, ep] = /^(\d{1,4})x(\d{1,4})$/.exec(word) ?? [];
  if (Number(tp) >= 1 && Number(ep) >= 1) return { tp: Number(tp), ep: Number(ep) };
  throw new TypeError(`--ranks: expected tp x ep such as 2x1, got "${word}"`);
}

/** `emulate` is for `distances`. */
const BACKENDS = ["cuda", "hip", "emulate"] as const;
/** Parts, and names of shapes. */
const PARTS = ["goldens", "logits", "bench", "sums", "distances", "steps"] as const;
const NAMES = Object.keys(SHAPES) as (keyof typeof SHAPES)[];

/** What the command line asks for; ends the program with a line where it is wrong. */
export const rankOptions = () =>
  optionsOrEnd(() => {
    const { values: flags } = parseArgs({
      options: {
        ranks: { type: "string", default: "1x1,2x1,1x2" },
        parts: { type: "string", default: "goldens,logits,bench" },
        shape: { type: "string", default: "gpt-oss-20b" },
        layers: { type: "string" },
        dir: { type: "string", default: "/tmp/random-gpt-oss" },
        backend: { type: "string", default: "cuda" },
        "hip-library": { type: "string" },
        "collectives-library": { type: "string" },
        chunk: { type: "string", default: "1024" },
        dtype: { type: "string", default: "bf16" },
        steps: { type: "string", default: "256" },
        repeats: { type: "string", default: "5" },
        prefill: { type: "string", default: "2048" },
        batches: { type: "string", default: "16" },
        out: { type: "string" },
      },
    });
    const count = (name: "prefill" | "steps" | "repeats" | "chunk", least = 1) =>
      countOf(`--${name}`, flags[name], least);
    return {
      flags,
      ranks: flags.ranks.split(",").map(sizesOf),
      parts: choicesOf("--parts", flags.parts, PARTS),
      shape: SHAPES[choiceOf("--shape", flags.shape, NAMES)],
      backend: choiceOf("--backend", flags.backend, BACKENDS),
      dtype: choiceOf("--dtype", flags.dtype, ["bf16", "f32"]),
      layers: flags.layers === undefined ? null : countOf("--layers", flags.layers),
      BATCHES: countsOf("--batches", flags.batches),
      // A quarter of it is where several sequences begin.
      PREFILL: count("prefill", 4),
      STEPS: count("steps"),
      // The first run records.
      REPEATS: 1 + count("repeats"),
      chunk: count("chunk"),
    };
  });
