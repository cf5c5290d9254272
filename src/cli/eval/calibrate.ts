/** `--calibrate`: input scales for schemes with static FP8 inputs, where the checkpoint brings none. */
import { refuseChanged } from "../../checkpoint/identity.ts";
import { planUncalibrated } from "../../plan/planned.ts";
import { observe } from "../../quantize/observe.ts";
import { calibrationText } from "../calibration_text.ts";
import { type CalibratedScales, openSetting, type PlannedSetting, type Setting } from "./setting.ts";
import { RateBar } from "./progress.ts";

/**
 * Measures the scales on a file: a text, or problems (`.jsonl`), which are made conversations with their answers.
 *
 * @param setting How to compute; its own scheme is left aside.
 */
export async function calibratedScales(path: string, setting: Setting): Promise<CalibratedScales> {
  const { sequences, tokens, from } = await calibrationText(path, setting.checkpoint);
  // On one rank and without a scheme, also of the checkpoint's own: what is looked at are inputs as they are.
  const planned = planUncalibrated(setting.checkpoint, setting);
  const plain: PlannedSetting = { ...setting, planned, scheme: null, inputScales: null, tp: 1, ep: 1 };
  const room = { slots: 1, context: Math.max(...sequences.map((s) => s.length)), chunk: 64 };
  const { session } = await openSetting(plain, room);
  try {
    using bar = new RateBar("calibrating", "tokens");
    const { config } = setting.checkpoint;
    const { inputs } = await observe(session, config, sequences, (done, total) => bar.update(done, total));
    refuseChanged(setting.checkpoint.identity);
    return { scales: inputs, from: `${tokens} tokens of ${from}` };
  } finally {
    await session.close();
  }
}
