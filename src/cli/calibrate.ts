/** `--calibrate`: what inputs of linears, keys and values are on a text. */
import { counted } from "../amounts.ts";
import { UsageError } from "./spelling.ts";
import { z } from "zod";
import type { Kept } from "../eval/stores.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { InputError } from "../errors.ts";
import { lackedScales, missingScales } from "../plan/planned.ts";
import { observe, type Observed } from "../quantize/observe.ts";
import {
  type CalibratedScales,
  planForCalibration,
  type PlannedSetting,
  planSetting,
  type Setting,
} from "../session/setting.ts";
import { type CalibrationText, calibrationText } from "./calibration_text.ts";
import { ProgressBar } from "./progress.ts";
import { hashedWeights, loadSetting } from "./settings.ts";
import { option, words } from "../words.ts";
import { largest } from "../largest.ts";
import { reading } from "../validate.ts";

/** Grows when a scale is measured otherwise. */
const CALIBRATION_VERSION = 2;

/**
 * Computes a text and observes it.
 *
 * @param setting How to compute; its own scheme and cache are left aside, and it is computed on one rank.
 */
export async function calibrate(setting: Setting, { sequences }: CalibrationText): Promise<Observed> {
  const { checkpoint } = setting;
  const context = largest(sequences.map(({ length }) => length));
  const session = await loadSetting(planForCalibration(setting), { slots: 1, context });
  try {
    using bar = new ProgressBar("calibrating", "tokens");
    const { config } = checkpoint;
    const observed = await observe(session, config, sequences, (done, total) => bar.update(done, total));
    refuseChanged(checkpoint.identity);
    return observed;
  } finally {
    await session.close();
  }
}

/** Scales by module, as they are kept. */
const KeptScales = z.strictObject({ index: z.literal(0), scales: z.record(z.string(), z.number()) });

/**
 * Measures the input scales that a checkpoint lacks on a file: a text, or problems (`.jsonl`), which are made
 * conversations with their answers. Those that it has are its own: schemes are compared as it would be computed.
 *
 * @param setting How to compute; see {@linkcode calibrate}.
 * @param kept Where the scales are kept, so that the same command need not measure them again; null: nowhere.
 */
export async function calibratedScales(path: string, setting: Setting, kept: Kept | null): Promise<CalibratedScales> {
  const { checkpoint } = setting;
  const text = await calibrationText(path, checkpoint), from = nameOf(text);
  const lacked = (measured: ReadonlyMap<string, number>) => ({ scales: lackedScales(checkpoint, measured), from });
  if (kept === null) return lacked((await calibrate(setting, text)).inputs);
  const header = await headerOf(hashedWeights(checkpoint), setting, text);
  using journal = kept.open(kept.name, header, reading(KeptScales), "replace");
  const before = journal.entries.get(0);
  if (before !== undefined) return lacked(new Map(Object.entries(before.scales)));
  const scales = (await calibrate(setting, text)).inputs;
  journal.append({ index: 0, scales: Object.fromEntries(scales) });
  return lacked(scales);
}

const nameOf = ({ tokens, from }: CalibrationText) => `${counted(tokens, "token")} of ${from}`;

/** What scales that are kept belong to. */
async function headerOf(
  weights: string,
  { checkpoint, backend, dtype }: Setting,
  text: CalibrationText,
) {
  return {
    schema: "mxoss.calibration",
    version: CALIBRATION_VERSION,
    weights_sha256: weights,
    fingerprint: await checkpoint.fingerprint(),
    ...{ backend, dtype, text: nameOf(text), ids_sha256: text.sha256 },
  };
}

/**
 * Refuses calibration that no setting would use.
 *
 * @throws {InputError} naming the option, and as {@linkcode planSetting}.
 */
export function refuseNeedless(settings: readonly Setting[]): void {
  const used = settings.some((setting) => {
    const inputScales = { scales: missingScales(setting.checkpoint), from: "" };
    const { plan } = planSetting({ ...setting, inputScales }).planned;
    return plan.linears.some(({ inputScaleFrom }) => inputScaleFrom === "calibration");
  });
  if (used) return;
  const expected = "a setting with static FP8 inputs whose scales the checkpoint lacks";
  throw UsageError.of("contradiction", { option: "calibrate" }, expected, "none");
}

/** How the input scales that a checkpoint may lack are had: {@linkcode calibratedScales}, or what stands for it. */
export type MeasureScales = typeof calibratedScales;

/** A calibration that an estimate leaves out. */
export interface Pretended {
  readonly setting: Setting;
  /** What would be computed. */
  readonly tokens: number;
  /** What its scales would belong to, but for the hash of the weights, which is empty. */
  readonly header: unknown;
}

/**
 * Stands for {@linkcode calibratedScales} where nothing is computed: scales of 1 where the checkpoint has none.
 *
 * @param found Gets what would be computed for each setting.
 */
export function pretendedScales(found: Pretended[]): MeasureScales {
  return async (path, setting) => {
    const text = await calibrationText(path, setting.checkpoint), from = nameOf(text);
    found.push({ setting, tokens: text.tokens, header: await headerOf("", setting, text) });
    return { scales: missingScales(setting.checkpoint), from };
  };
}

/**
 * Plans a setting of a command that has `--calibrate`, which a refusal for want of scales recommends.
 *
 * @throws {InputError} as {@linkcode planSetting}.
 */
export function planCalibrated(setting: Setting, onWarning: (line: string) => void): PlannedSetting {
  try {
    return planSetting(setting, onWarning);
  } catch (thrown) {
    if (setting.inputScales !== null || !(thrown instanceof InputError) || thrown.code !== "uncalibrated") throw thrown;
    const { code, subject, expected } = thrown.mistake;
    throw UsageError.of(code, subject, words`${expected ?? ""}, or ${option("calibrate")} F measures them here`);
  }
}
