/** The options of `mxoss compare`. */
import { ALARM_OPTION, BANDWIDTH_OPTION, CALIBRATE_OPTION, DRY_RUN_OPTION, FORMAT_OPTION } from "./eval/options.ts";
import { COMPUTE_OPTIONS, MODELS_OPTION } from "./model_options.ts";
import { type CommandSpec, decimal, integer, option, text, toggle } from "./options.ts";

/** What `--fail-above` can watch. */
const WATCHED = ["kl", "max-kl", "error", "own-error", "disagreement", "flips", "nll", "suspects"] as const;
/** Shares among these: no comparison exceeds a limit of 1, which somebody meant in percent. */
const SHARES: readonly string[] = ["disagreement", "flips"] satisfies (typeof WATCHED)[number][];
/** One of {@linkcode WATCHED}. */
export type Watched = (typeof WATCHED)[number];

/** A limit: exceeded, the command ends with exit code 3, and with 4 where that cannot be told. */
export interface Limit {
  readonly what: Watched;
  readonly above: number;
}

/** Schema of limits, `kl=1e-3,error=0.05`; a number alone is one of the mean KL. */
function limits() {
  const number = decimal("a number of at least 0", (n) => n >= 0);
  const share = decimal("a share of at least 0 and below 1", (n) => n >= 0 && n < 1);
  return text("limits such as kl=1e-3").transform((words, context): readonly Limit[] => {
    const found = words.split(",").map((word): Limit | string => {
      const equals = word.indexOf("="), name = equals < 0 ? "kl" : word.slice(0, equals);
      const what = WATCHED.find((known) => known === name.trim());
      if (what === undefined) return `expected ${WATCHED.join(", ")} before the =`;
      const isShare = SHARES.includes(what),
        above = (isShare ? share : number).safeParse(word.slice(equals + 1).trim());
      if (above.success) return { what, above: above.data };
      return `expected ${what}=NUMBER, ${isShare ? "a share of at least 0 and below 1" : "a number of at least 0"}`;
    });
    const names = found.map((limit) => typeof limit === "string" ? limit : limit.what);
    const twice = names.find((name, i) => names.indexOf(name) < i);
    const mistake = found.find((limit) => typeof limit === "string") ??
      (twice === undefined ? undefined : `expected ${twice} once`);
    if (mistake !== undefined) context.addIssue({ code: "custom", message: mistake });
    return found.filter((limit) => typeof limit !== "string");
  });
}

const { chunk: _chunk, scheme: _scheme, ...SHARED } = COMPUTE_OPTIONS;

const OPTIONS = {
  a: option(
    "K=V,...",
    text("settings").optional(),
    "first setting: model, scheme, backend, dtype, fp8-scales, kv, tp, ep, threads, weights, device, hip-library, " +
      "collectives-library; several devices as in device=0+1",
  ),
  b: option("K=V,...", text("settings").optional(), "second setting"),
  text: option("F", text("a file"), "text that both compute; special tokens that it spells out count as such"),
  limit: option("N", integer(2).default(2048), "only the first N tokens"),
  "sequence-length": option(
    "N",
    integer(2).optional(),
    "tokens of the sequences that the text is cut into (default: an eighth of it, 160 to 1024; " +
      "1024 if it has fewer than that)",
  ),
  alarm: ALARM_OPTION,
  "fail-above": option(
    "LIST",
    limits().optional(),
    `exit with code 3 above these limits and 4 where that cannot be told, for instance kl=1e-3,error=0.05 (${
      WATCHED.join(", ")
    }; a number alone: kl)`,
  ),
  calibrate: CALIBRATE_OPTION,
  bandwidth: BANDWIDTH_OPTION,
  "dry-run": DRY_RUN_OPTION,
  out: option(
    "DIR",
    text("a directory").optional(),
    "write results.json and report.html here; what is kept is not computed again",
  ),
  all: toggle(
    "print every operation with SQNR and outlier channels, every quantized tensor, and router flips one by one",
  ),
  format: FORMAT_OPTION,
  json: toggle("print results.json instead of tables"),
  model: { ...MODELS_OPTION, help: "checkpoint directory of both; given twice, of A and of B (default: tiny-gpt-oss)" },
  ...SHARED,
};

/** What a change of settings does, operation by operation. */
export const COMPARE: CommandSpec<typeof OPTIONS> = {
  name: "compare",
  instead: { scheme: "each side has its own: --b scheme=w_mxfp4_a_mxfp4" },
  summary: "compare two settings layer by layer: error, router flips, clipping, KL divergence",
  positional: null,
  options: OPTIONS,
  examples: [
    {
      line: "mxoss compare --text text.txt --b scheme=w_mxfp4_a_mxfp4",
      does: "shows where a scheme changes results, layer by layer",
    },
    {
      line: "mxoss compare --text text.txt --a backend=reference --b backend=emulate --fail-above suspects=0",
      does: "checks one backend by another: exit code 3 where they differ",
    },
  ],
  notes: [
    "Both settings compute the same tokens. Errors are relative (||B - A|| / ||A||) and given twice: in total, with " +
    "all that came before, and own: of the operation alone, on equal inputs. An operation whose own error is larger " +
    "than the number formats of the two settings explain is named as a suspect: that is how a broken scale or a " +
    "wrong layout shows.",
    "Options other than --a and --b hold for both sides, or for the one whose backend has a use for them.",
    "--fail-above: kl, max-kl: KL divergence in nats, mean and largest; error, own-error: largest relative error of " +
    "an operation; disagreement: share of positions with another likeliest token; flips: share of router decisions " +
    "that changed; nll: increase of the negative log probability per token; suspects: number of suspects. Exit code " +
    "3 where a 95% interval is above its limit, 4 where it holds the limit: then the tokens are too few to decide. " +
    "max-kl and suspects, and limits of 0, are judged by what was seen.",
  ],
};
