/** The options of `mxoss compare`. */
import type { z } from "zod";
import { InputError } from "../errors.ts";
import { closest } from "./closest.ts";
import { ALARM_OPTION, CALIBRATE_OPTION, schemeName } from "./eval/options.ts";
import { COMPUTE_OPTIONS, MODEL_OPTIONS } from "./model_options.ts";
import { type CommandSpec, decimal, integer, option, text, toggle, withGiven } from "./options.ts";

/** Tokens of a sequence of the compared text. */
export const COMPARE_SEQUENCE = 1024;

/** What `--fail-above` can watch. */
export const WATCHED = ["kl", "max-kl", "error", "own-error", "disagreement", "flips", "nll", "suspects"] as const;
/** One of {@linkcode WATCHED}. */
export type Watched = (typeof WATCHED)[number];

/** A limit: exceeded, the command ends with exit code 3. */
export interface Limit {
  readonly what: Watched;
  readonly above: number;
}

/** Schema of limits, `kl=1e-3,error=0.05`; a number alone is one of the mean KL. */
function limits() {
  const number = decimal("a number of at least 0", (n) => n >= 0);
  return text("limits such as kl=1e-3").transform((words, context): readonly Limit[] => {
    const found = words.split(",").map((word): Limit | string => {
      const [name, value] = word.includes("=") ? word.split("=", 2) as [string, string] : ["kl", word];
      const what = WATCHED.find((known) => known === name.trim());
      if (what === undefined) return `expected ${WATCHED.join(", ")} before the =`;
      const above = number.safeParse(value.trim());
      return above.success ? { what, above: above.data } : `expected ${name.trim()}=NUMBER`;
    });
    const mistake = found.find((limit) => typeof limit === "string");
    if (mistake !== undefined) context.addIssue({ code: "custom", message: mistake });
    return found.filter((limit) => typeof limit !== "string");
  });
}

/** What a side of the comparison can say of itself: options of the command line by their short names. */
const SIDE_KEYS = {
  model: MODEL_OPTIONS.model.schema,
  scheme: schemeName().optional(),
  backend: COMPUTE_OPTIONS.backend.schema,
  dtype: COMPUTE_OPTIONS.dtype.schema,
  "fp8-scales": COMPUTE_OPTIONS["fp8-scales"].schema,
  kv: COMPUTE_OPTIONS["kv-cache-dtype"].schema,
  tp: COMPUTE_OPTIONS.tp.schema,
  ep: COMPUTE_OPTIONS.ep.schema,
  threads: COMPUTE_OPTIONS.threads.schema,
  weights: COMPUTE_OPTIONS.weights.schema,
} as const;

/** A side's own settings; what is absent is as the command line's other options say. */
export type SideOptions = { readonly [K in keyof typeof SIDE_KEYS]?: z.output<(typeof SIDE_KEYS)[K]> };

/**
 * Reads `k=v,k=v`.
 *
 * @throws {InputError} naming the option and the key.
 */
export function parseSide(name: "a" | "b", words: string | undefined): SideOptions {
  const side: Record<string, unknown> = {};
  for (const word of words === undefined ? [] : words.split(",")) {
    const at = word.indexOf("=");
    const key = word.slice(0, Math.max(0, at)).trim(), value = word.slice(at + 1).trim();
    if (at < 0) throw new InputError(`--${name}: expected settings such as scheme=w_mxfp4_a_fp8,kv=fp8, got "${word}"`);
    const keys = Object.keys(SIDE_KEYS);
    if (!keys.includes(key)) {
      const near = closest(key, keys);
      const hint = near === undefined ? `expected ${keys.join(", ")}` : `did you mean ${near}?`;
      throw new InputError(`--${name}: ${key}: unknown setting; ${hint}`);
    }
    if (key in side) throw new InputError(`--${name}: ${key}: expected once, got twice`);
    const result = SIDE_KEYS[key as keyof typeof SIDE_KEYS].safeParse(value);
    if (!result.success) {
      throw new InputError(`--${name}: ${key}: ${withGiven(result.error.issues[0]!.message, value)}`);
    }
    side[key] = result.data;
  }
  return side;
}

const { chunk: _chunk, scheme: _scheme, ...SHARED } = COMPUTE_OPTIONS;

const OPTIONS = {
  a: option(
    "K=V,...",
    text("settings").optional(),
    "first setting: model, scheme, backend, dtype, fp8-scales, kv, tp, ep, threads, weights",
  ),
  b: option("K=V,...", text("settings").optional(), "second setting"),
  text: option("F", text("a file"), "text that both compute; special tokens that it spells out count as such"),
  limit: option("N", integer(2).default(2048), "only the first N tokens"),
  "sequence-length": option(
    "N",
    integer(2).default(COMPARE_SEQUENCE),
    "tokens of the sequences that the text is cut into",
  ),
  alarm: ALARM_OPTION,
  "fail-above": option(
    "LIST",
    limits().optional(),
    `exit with code 3 above these limits, for instance kl=1e-3,error=0.05 (${WATCHED.join(", ")}; a number alone: kl)`,
  ),
  calibrate: CALIBRATE_OPTION,
  out: option("DIR", text("a directory").optional(), "write results.json and report.html here"),
  all: toggle(
    "print every operation with SQNR and outlier channels, every quantized tensor, and router flips one by one",
  ),
  json: toggle("print results.json instead of tables"),
  ...MODEL_OPTIONS,
  ...SHARED,
};

/** What a change of settings does, operation by operation. */
export const COMPARE: CommandSpec<typeof OPTIONS> = {
  name: "compare",
  summary: "compare two settings layer by layer: error, router flips, clipping, KL divergence",
  positional: null,
  options: OPTIONS,
  notes: [
    "Both settings compute the same tokens. Errors are relative (||B - A|| / ||A||) and given twice: in total, with all that came " +
    "before, and own: of the operation alone, on equal inputs. An operation whose own error is larger than the number formats of the two " +
    "settings explain is named as a suspect: that is how a broken scale or a wrong layout shows.",
    "Options other than --a and --b hold for both sides.",
    `--fail-above: kl, max-kl: KL divergence in nats, mean and largest; error, own-error: largest relative error of an operation; ` +
    "disagreement: share of positions with another likeliest token; flips: share of router decisions that changed; nll: increase of the " +
    "negative log probability per token; suspects: number of suspects. Exit code 3 when one is exceeded.",
  ],
};
