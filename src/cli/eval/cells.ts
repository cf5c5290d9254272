/** From the options of `mxoss eval` to the settings of its cells. */
import type { OpenStore } from "../../eval/stores.ts";
import { calibratedScales, type MeasureScales, planCalibrated, pretendedScales, refuseNeedless } from "../calibrate.ts";
import { refuseIdleRule, sharedChoices, type SharedOptions, warnOnce } from "../settings.ts";
import type { CalibratedScales, PlannedSetting, Setting } from "../../session/setting.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { type Cell, cellsOf, modelNames } from "../../eval/matrix.ts";
import { modelDirectory, openModel } from "../open_model.ts";
import { type EVAL, TASK_DEFAULTS } from "./options.ts";
import type { OptionValues } from "../options.ts";
import { UsageError } from "../spelling.ts";

/** What the command line holds. */
export type GivenOptions = OptionValues<typeof EVAL.options>;

/** The same, with defaults for options of one task that are not given, and all arguments as they were typed. */
export type EvalOptions =
  & { readonly args: readonly string[] }
  & Omit<GivenOptions, keyof typeof TASK_DEFAULTS>
  & { readonly [K in keyof typeof TASK_DEFAULTS]: NonNullable<GivenOptions[K]> };

/** Fills in the defaults. */
export function completed(options: GivenOptions, args: readonly string[]): EvalOptions {
  const { prompt, shots, seed, "sequence-length": length } = options;
  return {
    ...options,
    args,
    prompt: prompt ?? TASK_DEFAULTS.prompt,
    shots: shots ?? TASK_DEFAULTS.shots,
    seed: seed ?? TASK_DEFAULTS.seed,
    "sequence-length": length ?? TASK_DEFAULTS["sequence-length"],
  };
}

/** A model of the matrix. */
export interface NamedModel {
  /** See {@linkcode modelNames}. */
  readonly name: string | null;
  readonly checkpoint: Checkpoint;
}

/** Opens the models that the options name. */
export async function openModels({ model }: Pick<GivenOptions, "model">): Promise<[NamedModel, ...NamedModel[]]> {
  const given = model ?? [undefined], directories: string[] = [];
  for (const one of given) directories.push(await modelDirectory(one));
  const places = directories.map((directory) => placeOf(directory));
  const twice = places.findIndex((place, i) => places.indexOf(place) < i);
  if (twice >= 0) throw UsageError.of("wrong_value", { option: "model" }, "every model once", `${given[twice]} twice`);
  const names = modelNames(directories), opened: NamedModel[] = [];
  for (const [i, one] of given.entries()) opened.push({ name: names[i]!, checkpoint: await openModel(one) });
  return opened as [NamedModel, ...NamedModel[]];
}

/** Where a directory is, links followed; as it is called where the system does not say. */
function placeOf(directory: string): string {
  try {
    return Deno.realPathSync(directory);
  } catch {
    return directory;
  }
}

/** The cells that the options ask for. */
export function matrixOf(
  models: readonly NamedModel[],
  options: Pick<GivenOptions, "scheme" | "kv-cache-dtype" | "tp" | "ep">,
): Cell[] {
  return cellsOf({
    models: models.map(({ name }) => name),
    schemes: options.scheme ?? [null],
    kvCacheDtypes: options["kv-cache-dtype"] ?? ["auto"],
    tps: options.tp ?? [1],
    eps: options.ep ?? [1],
  });
}

/**
 * The settings of the cells, in order, with every number format decided.
 *
 * @param open Opens what is kept of measured scales; null: nothing is.
 * @param measure What `calibrate` is carried out by.
 * @param warn Receives what is odd, but can be computed.
 * @throws {InputError} where a scheme does not fit the checkpoint, or an option means nothing to the backend.
 */
export async function settingsOf(
  cells: readonly Cell[],
  models: readonly NamedModel[],
  options: SharedOptions & Pick<GivenOptions, "calibrate">,
  open: OpenStore | null,
  measure: MeasureScales = calibratedScales,
  warn: (line: string) => void = warnOnce(),
): Promise<PlannedSetting[]> {
  const shared = sharedChoices(options), { calibrate } = options;
  const checkpoints = new Map(models.map(({ name, checkpoint }) => [name, checkpoint]));
  const settings = cells.map((cell): Setting => ({ checkpoint: checkpoints.get(cell.model)!, ...shared, ...cell }));
  if (calibrate !== undefined) refuseNeedless(settings);
  const measured = new Map<Checkpoint, CalibratedScales>();
  for (const [i, setting] of settings.entries()) {
    const { model } = cells[i]!;
    if (calibrate === undefined || measured.has(setting.checkpoint)) continue;
    const kept = open === null ? null : { open, name: `calibration${model === null ? "" : `.model-${model}`}` };
    measured.set(setting.checkpoint, await measure(calibrate, setting, kept));
  }
  const planned = settings.map((setting) => {
    const inputScales = measured.get(setting.checkpoint) ?? null;
    return planCalibrated({ ...setting, inputScales }, warn);
  });
  refuseIdleRule(planned);
  return planned;
}

/**
 * The settings of a matrix where nothing has to be measured for them; null where input scales have to be, but would be.
 *
 * @throws {InputError} as {@linkcode settingsOf}, before anything is computed or kept.
 */
export async function settingsBefore(
  cells: readonly Cell[],
  models: readonly NamedModel[],
  options: SharedOptions & Pick<GivenOptions, "calibrate">,
): Promise<PlannedSetting[] | null> {
  if (options.calibrate === undefined) return await settingsOf(cells, models, options, null);
  await settingsOf(cells, models, options, null, pretendedScales([]), () => {});
  return null;
}
