/** `mxoss eval`: accuracy and perplexity under a matrix of settings. */
import { UsageError } from "../spelling.ts";
import { completed, type GivenOptions } from "./cells.ts";
import type { EVAL } from "./options.ts";
import type { Parsed } from "../options.ts";
import { backendChoices, refuseUnused } from "../settings.ts";

/** Options that mean something to one task only. */
const ONLY: Readonly<Record<"gsm8k" | "perplexity", readonly (keyof GivenOptions)[]>> = {
  gsm8k: [
    "data",
    "prompt",
    "shots",
    "shots-from",
    "seed",
    "system",
    "reasoning",
    "max-tokens",
    "logprobs",
    "sequences",
    "export",
  ],
  perplexity: ["text", "sequence-length"],
};

/** Runs the command; gives its exit code. */
export async function evalCommand(
  { options, positional }: Parsed<typeof EVAL.options>,
  args: readonly string[],
): Promise<number> {
  refuseUnused(backendChoices(options), [options.backend]);
  refuseWithoutPairs(options);
  switch (positional) {
    case "gsm8k":
      refuseOthers("perplexity", options);
      refuseWithoutShots(options);
      return await (await import("./gsm8k.ts")).evalGsm8k(completed(options, args));
    case "perplexity":
      refuseOthers("gsm8k", options);
      return await (await import("./perplexity.ts")).evalPerplexity(completed(options, args));
    default:
      throw UsageError.of(
        "wrong_value",
        { name: "TASK" },
        "gsm8k or perplexity",
        positional === undefined ? "none" : `"${positional}"`,
      );
  }
}

function refuseOthers(other: "gsm8k" | "perplexity", options: GivenOptions): void {
  const given = ONLY[other].find((name) => options[name] !== undefined);
  if (given !== undefined) throw UsageError.of("contradiction", { option: given }, `with mxoss eval ${other} only`);
}

/** Refuses options of the comparison with the first setting where no other is compared with it. */
function refuseWithoutPairs(options: GivenOptions): void {
  const { divergence, alarm, format, json } = options;
  if (format !== undefined && json) throw UsageError.of("contradiction", { option: "format" }, "without --json");
  const lists = [options.model, options.scheme, options["kv-cache-dtype"], options.tp, options.ep];
  if (lists.every((list) => (list?.length ?? 1) === 1)) {
    const given = divergence ? "divergence" : format ? "format" : alarm === undefined ? null : "alarm";
    if (given !== null) throw UsageError.of("contradiction", { option: given }, "with two settings or more", "one");
  }
  const unused = alarm !== undefined ? "alarm" : format !== undefined ? "format" : null;
  if (divergence === 0 && unused !== null) {
    throw UsageError.of("contradiction", { option: unused }, "with --divergence above 0", 0);
  }
}

/** Refuses options that choose examples where there are none. */
function refuseWithoutShots(options: GivenOptions): void {
  if ((options.shots ?? 0) > 0) return;
  const given = (["shots-from", "seed"] as const).find((name) => options[name] !== undefined);
  if (given !== undefined) throw UsageError.of("contradiction", { option: given }, "with --shots, which is 0");
}
