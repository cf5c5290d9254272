/** From the options of `mxoss eval` to the settings of its cells. */
import { calibratedScales, planCalibrated } from "../calibrate.ts";
import { sharedChoices, type SharedOptions, warnOnce } from "../settings.ts";
import type { PlannedSetting, Setting } from "../../session/setting.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { type Cell, cellsOf } from "../../eval/matrix.ts";
import { type EVAL, TASK_DEFAULTS } from "./options.ts";
import type { OptionValues } from "../options.ts";

/** What the command line holds. */
export type GivenOptions = OptionValues<typeof EVAL.options>;

/** The same, with defaults for options of one task that are not given. */
export type EvalOptions =
  & Omit<GivenOptions, keyof typeof TASK_DEFAULTS>
  & { readonly [K in keyof typeof TASK_DEFAULTS]: NonNullable<GivenOptions[K]> };

/** Fills in the defaults. */
export function completed(options: GivenOptions): EvalOptions {
  const { prompt, shots, seed, "sequence-length": length } = options;
  return {
    ...options,
    prompt: prompt ?? TASK_DEFAULTS.prompt,
    shots: shots ?? TASK_DEFAULTS.shots,
    seed: seed ?? TASK_DEFAULTS.seed,
    "sequence-length": length ?? TASK_DEFAULTS["sequence-length"],
  };
}

/** The cells that the options ask for. */
export function matrixOf(options: Pick<GivenOptions, "scheme" | "kv-cache-dtype" | "tp">): Cell[] {
  return cellsOf({
    schemes: options.scheme ?? [null],
    kvCacheDtypes: options["kv-cache-dtype"] ?? ["auto"],
    tps: options.tp ?? [1],
  });
}

/**
 * The settings of the cells, in order, with every number format decided.
 *
 * @throws {InputError} where a scheme does not fit the checkpoint, or an option means nothing to the backend.
 */
export async function settingsOf(
  cells: readonly Cell[],
  checkpoint: Checkpoint,
  options: SharedOptions & Pick<GivenOptions, "calibrate">,
): Promise<PlannedSetting[]> {
  const settings = cells.map((cell): Setting => ({ checkpoint, ...sharedChoices(options), ...cell }));
  const { calibrate } = options;
  const inputScales = calibrate === undefined ? null : await calibratedScales(calibrate, settings[0]!);
  const warn = warnOnce();
  return settings.map((setting) => planCalibrated({ ...setting, inputScales }, warn));
}
