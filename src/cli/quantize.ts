/** `mxoss quantize`: a checkpoint in another scheme. */
import { UsageError } from "./spelling.ts";
import { bytesText, counted } from "../amounts.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { allLinears, type KvScales } from "../checkpoint/source.ts";
import { missingScales } from "../plan/planned.ts";
import type { Plan } from "../plan/plan.ts";
import { furtherLoss } from "../plan/scheme_weights.ts";
import { Journal, makeRoom } from "../quantize/journal.ts";
import type { Observed } from "../quantize/observe.ts";
import { quantize } from "../quantize/quantize.ts";
import { type InputScales, planTargets, type Recipe, type Targets } from "../quantize/targets.ts";
import { DEFAULTS, planSetting, type Setting } from "../session/setting.ts";
import { calibrate } from "./calibrate.ts";
import { type CalibrationText, calibrationText } from "./calibration_text.ts";
import { Interrupt, INTERRUPTED } from "./interrupt.ts";
import { openModel } from "./open_model.ts";
import type { OptionValues, Parsed } from "./options.ts";
import { ProgressBar } from "./progress.ts";
import type { QUANTIZE } from "./quantize_options.ts";
import { warnOnce } from "./settings.ts";
import { note, writeLines } from "./terminal.ts";
import { VERSION } from "./version.ts";
import { interruptedBefore, interruptedWriting, readSources, watched } from "./writing.ts";

type QuantizeOptions = OptionValues<typeof QUANTIZE.options>;

/** Runs the command; gives its exit code. */
export async function quantizeCommand({ options }: Parsed<typeof QUANTIZE.options>): Promise<number> {
  const { calibrate: file, threads, weights, "kv-cache-dtype": kvCacheDtype } = options;
  refuseInVain(options);
  const checkpoint = await openModel(options.model);
  const setting: Setting = { ...DEFAULTS, checkpoint, kvCacheDtype, threads, weights };
  const planWith = (observed: Observed | null, onWarning?: (line: string) => void): Plan =>
    planSetting({
      ...setting,
      // Scales that the checkpoint should have and has not are what calibration is for.
      inputScales: file === undefined ? null : { scales: missingScales(checkpoint, observed?.inputs), from: file },
    }, onWarning).planned.plan;
  const plan = planWith(null, warnOnce());
  const recipe: Recipe = {
    scheme: options.scheme,
    layers: options.layers ?? [],
    attention: options.attention ?? null,
  };
  const targetsWith = (scales: InputScales | "later" | null, from = plan) =>
    planTargets(recipe, checkpoint.source, checkpoint.config, from, scales);
  // Whatever does not fit is refused before anything is computed or written.
  const intended = targetsWith(file === undefined ? null : "later");
  if (file !== undefined) refuseNeedless(intended, plan);
  warnOfFurtherLoss(intended, checkpoint);
  const text = file === undefined ? null : await calibrationText(file, checkpoint, options["calibrate-tokens"]);

  const settings = await identity(checkpoint, recipe, plan, options, text);
  using _room = makeRoom(options.out);
  using interrupt = new Interrupt();
  const sources = await readSources(checkpoint.source.files, interrupt);
  if (sources === null) return interruptedBefore();
  using journal = Journal.open(options.out, { settings, sources });
  noteResumed(journal);
  if (text && journal.observed === null) {
    const observed = await interrupt.race(calibrate(setting, text));
    if (observed === INTERRUPTED) return interruptedBefore();
    journal.keep(observed);
  }
  const { observed } = journal;
  const targets = targetsWith(observed?.inputs ?? null, planWith(observed));
  using bar = new ProgressBar("writing");
  const written = await quantize(
    {
      ...{ checkpoint, sources, targets, kvScales: kvScales(checkpoint, plan, observed) },
      shardBytes: options["shard-size"],
    },
    journal,
    watched(bar, interrupt),
  );
  if (written === null) return interruptedWriting(journal);
  const unseen = observed?.unseenExperts ?? 0;
  if (unseen > 0) {
    note(`warning: no token chose ${unseen} of the experts; they have the largest scales of their layers`);
  }
  await writeLines([`${options.out}: ${counted(written.files.length, "file")}, ${bytesText(written.bytes)}`]);
  return 0;
}

/** Says that not all that comes out is made by this run. */
function noteResumed({ dir, isEmpty, observed, recordedFiles }: Journal): void {
  if (isEmpty) return;
  const kept = [
    ...(observed === null ? [] : ["measured scales"]),
    ...(recordedFiles === 0 ? [] : [counted(recordedFiles, "finished weight file")]),
  ];
  note(`note: ${dir}: goes on from an interrupted run, which left ${kept.join(" and ")}`);
}

/** Refuses options of calibration, which alone computes, without --calibrate. */
function refuseInVain(options: QuantizeOptions): void {
  if (options.calibrate !== undefined) return;
  const given = (["calibrate-tokens", "threads", "weights"] as const).find((name) => options[name] !== undefined);
  if (given !== undefined) throw UsageError.of("contradiction", { option: given }, "with --calibrate");
}

/**
 * Calibration measures scales of an FP8 cache and of static inputs, but not of linears that are copied with their own:
 * it must not be asked for what nobody reads.
 */
function refuseNeedless(targets: Targets, { kvFormat }: Plan): void {
  const linears = allLinears(targets);
  if (kvFormat === "fp8" || linears.some(({ calibrated }) => calibrated)) return;
  const kept = linears.find(({ input }) => input.kind === "fp8_static");
  const got = kept === undefined
    ? "neither"
    : `inputs of linears that keep their scales (${kept.module}), no such cache`;
  throw UsageError.of("contradiction", { option: "calibrate" }, "with static FP8 inputs or an FP8 cache", got);
}

/** Warns where the numbers to quantize are no longer a trained model's own. */
function warnOfFurtherLoss(targets: Targets, { conversions }: Checkpoint): void {
  const encoded = allLinears(targets).filter(({ copied }) => !copied);
  const weights = encoded.map(({ module, source }) => ({ module, weight: source.weight.format }));
  for (const line of furtherLoss(weights, conversions)) note(`warning: ${line}`);
}

/** Scales of the cache, or null where the written checkpoint has a cache like its activations. */
function kvScales(
  { source }: Checkpoint,
  plan: Plan,
  observed: Observed | null,
): readonly KvScales[] | null {
  if (plan.kvFormat !== "fp8") return null;
  if (observed) return observed.kv;
  // A config that says so without scales is refused, unless the option says it too.
  if (!source.storedKvScales) {
    note("warning: the scales of the FP8 cache are 1: they come from --calibrate");
  }
  return source.kvScales;
}

/** All settings that the written files depend on. */
async function identity(
  checkpoint: Checkpoint,
  recipe: Recipe,
  plan: Plan,
  options: QuantizeOptions,
  text: CalibrationText | null,
): Promise<string> {
  return JSON.stringify({
    mxoss: VERSION,
    fingerprint: await checkpoint.fingerprint(),
    ...recipe,
    kv: plan.kvFormat,
    shardBytes: options["shard-size"],
    calibration: text && [text.from, text.sha256],
  });
}
