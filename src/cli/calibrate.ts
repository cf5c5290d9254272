/** `--calibrate`: what inputs of linears, keys and values are on a text. */
import { UsageError } from "./spelling.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { InputError } from "../errors.ts";
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
import { loadSetting } from "./settings.ts";
import { option, words } from "../words.ts";

/**
 * Computes a text and observes it.
 *
 * @param setting How to compute; its own scheme is left aside, and it is computed on one rank.
 */
export async function calibrate(setting: Setting, { sequences }: CalibrationText): Promise<Observed> {
  const { checkpoint } = setting;
  const context = Math.max(...sequences.map(({ length }) => length));
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

/**
 * Measures the input scales that a checkpoint may lack on a file: a text, or problems (`.jsonl`), which are made
 * conversations with their answers.
 *
 * @param setting How to compute; see {@linkcode calibrate}.
 */
export async function calibratedScales(path: string, setting: Setting): Promise<CalibratedScales> {
  const text = await calibrationText(path, setting.checkpoint);
  const { inputs } = await calibrate(setting, text);
  return { scales: inputs, from: `${text.tokens} tokens of ${text.from}` };
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
