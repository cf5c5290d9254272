/** `mxoss eval`: accuracy and perplexity under a matrix of settings. */
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { InputError } from "../errors.ts";
import { type Cell, cellsOf } from "../eval/matrix.ts";
import { EVAL } from "./eval_options.ts";
import { calibratedScales } from "./eval_calibrate.ts";
import { type PlannedSetting, planSetting, type Setting } from "./eval_setting.ts";
import { type OptionValues, parseCommand } from "./options.ts";

/** What the command line holds. */
export type EvalOptions = OptionValues<typeof EVAL.options>;

/** Options that mean something to one task only. */
const ONLY: Readonly<Record<"gsm8k" | "perplexity", readonly (keyof EvalOptions)[]>> = {
  gsm8k: ["data", "shots-from", "system", "reasoning", "max-tokens", "sequences", "export"],
  perplexity: ["text"],
};

/** Runs the command. */
export async function evalCommand(args: readonly string[]): Promise<number> {
  const { options, positional } = parseCommand(EVAL, args);
  switch (positional) {
    case "gsm8k":
      refuseOthers("perplexity", options);
      return await (await import("./eval_gsm8k.ts")).evalGsm8k(options);
    case "perplexity":
      refuseOthers("gsm8k", options);
      return await (await import("./eval_perplexity.ts")).evalPerplexity(options);
    default:
      throw new InputError(
        `TASK: expected gsm8k or perplexity, got ${positional === undefined ? "none" : `"${positional}"`}`,
      );
  }
}

function refuseOthers(other: "gsm8k" | "perplexity", options: EvalOptions): void {
  const given = ONLY[other].find((name) => options[name] !== undefined);
  if (given !== undefined) throw new InputError(`--${given}: expected with mxoss eval ${other} only`);
}

/** The cells that the options ask for. */
export function matrixOf(options: EvalOptions): Cell[] {
  return cellsOf({
    schemes: options.scheme ?? [null],
    kvCacheDtypes: options["kv-cache-dtype"] ?? ["auto"],
    tps: options.tp ?? [1],
  });
}

/**
 * The settings of the cells, in order, with every number format decided.
 *
 * @throws {InputError} where a scheme does not fit the checkpoint.
 */
export async function settingsOf(
  cells: readonly Cell[],
  checkpoint: Checkpoint,
  options: EvalOptions,
): Promise<PlannedSetting[]> {
  const settings = cells.map((cell): Setting => ({
    checkpoint,
    ...cell,
    backend: options.backend,
    dtype: options.dtype,
    fp8Scales: options["fp8-scales"],
    ep: options.ep,
    threads: options.threads,
    weights: options.weights,
    inputScales: null,
  }));
  const { calibrate } = options;
  const inputScales = calibrate === undefined ? null : await calibratedScales(calibrate, settings[0]!);
  return settings.map((setting) => planSetting({ ...setting, inputScales }));
}
