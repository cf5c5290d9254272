/** From the options of `mxoss eval` to the settings of its cells. */
import { calibratedScales, planCalibrated } from "../calibrate.ts";
import { sharedChoices, warnOnce } from "../settings.ts";
import type { PlannedSetting, Setting } from "../../session/setting.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { type Cell, cellsOf } from "../../eval/matrix.ts";
import type { EVAL } from "./options.ts";
import type { OptionValues } from "../options.ts";
/** What the command line holds. */
export type EvalOptions = OptionValues<typeof EVAL.options>;

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
 * @throws {InputError} where a scheme does not fit the checkpoint, or an option means nothing to the backend.
 */
export async function settingsOf(
  cells: readonly Cell[],
  checkpoint: Checkpoint,
  options: EvalOptions,
): Promise<PlannedSetting[]> {
  const settings = cells.map((cell): Setting => ({ checkpoint, ...sharedChoices(options), ...cell }));
  const { calibrate } = options;
  const inputScales = calibrate === undefined ? null : await calibratedScales(calibrate, settings[0]!);
  const warn = warnOnce();
  return settings.map((setting) => planCalibrated({ ...setting, inputScales }, warn));
}
