/** `--dry-run`: what a command would read, hold and take, without doing it. */
import { bytesText, roughDurationText } from "../amounts.ts";
import { forAllLayers, type Paced, paceOf, truncated } from "../bench/pace.ts";
import { compareSettings } from "../eval/compare_cells.ts";
import { sizeText } from "../eval/report/cost_tables.ts";
import { availableMemory } from "../memory.ts";
import { Costs } from "../model/work.ts";
import { cacheSize } from "../session/cache_use.ts";
import { openSetting, type Room } from "../session/open.ts";
import { planForCalibration, type PlannedSetting, type Setting } from "../session/setting.ts";
import { ProgressBar } from "./progress.ts";
import { folded, linesOf } from "./table.ts";
import { writeLines, writeOut } from "./terminal.ts";

/** Work of one setting. */
export interface SettingWork {
  readonly label: string;
  readonly setting: PlannedSetting;
  readonly room: Room;
  /** Tokens of prompts, and of replies at least and at most. */
  readonly prompt: number;
  readonly replies: Bounds;
  readonly paced: Paced;
}

/** Tokens on which a setting is compared with the first, at least and at most. */
export interface PairWork {
  readonly label: string;
  readonly settings: readonly [PlannedSetting, PlannedSetting];
  readonly tokens: Bounds;
  /** Tokens on which predictions alone are compared. */
  readonly predicted: Bounds;
  /** Of the longest sequence. */
  readonly context: number;
}

/** Least and most. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** What `--dry-run` prints with `--json`. */
export interface Estimate {
  readonly schema: "mxoss.estimate";
  readonly version: 1;
  readonly steps: readonly Step[];
  readonly seconds: Bounds;
  readonly memory_bytes: number;
  readonly available_bytes: number | null;
}

/** One thing that the command would do. */
interface Step {
  readonly step: string;
  readonly setting: string;
  /** Bytes of weights that are read, or made of what is read. */
  readonly weight_bytes: number;
  readonly memory_bytes: number;
  readonly tokens: Bounds;
  readonly seconds: Bounds;
}

/** Positions of a sequence that is calibrated on, at most. */
const CALIBRATION_CONTEXT = 1024;
/** Tokens of the comparison that is timed. */
const TIMED = 32;
/** Tokens of a piece of a comparison, see `compareSettings`. */
const CHUNK = 32;

/**
 * Times a few layers of every setting, and prints what the whole would take.
 *
 * @param out Directory whose contents were left out of the work; null where there is none.
 */
export async function dryRun(
  settings: readonly SettingWork[],
  pairs: readonly PairWork[],
  calibrations: readonly { readonly setting: Setting; readonly tokens: number }[],
  out: string | null,
  json: boolean,
): Promise<number> {
  const steps: Step[] = [], total = settings.length + 2 * pairs.length + calibrations.length;
  using bar = new ProgressBar("timing a few layers", "steps");
  const add = (step: Step) => bar.update(steps.push(step), total);
  for (const { setting: asked, tokens } of calibrations) {
    const setting = planForCalibration(asked), room = { slots: 1, context: CALIBRATION_CONTEXT };
    const pace = await paceOf(setting, { sequences: 0, context: 1, allLogits: false, scorer: null }, openSetting);
    add({
      ...held("calibrate", "", [setting], room),
      tokens: fixed(tokens),
      seconds: time(pace.load, pace.prompt, tokens),
    });
  }
  for (const { label, setting, room, prompt, replies, paced } of settings) {
    if (prompt + replies.high === 0) continue;
    const { load, prompt: token, step } = await paceOf(setting, paced, openSetting);
    const seconds = (reply: number) => (load + prompt * token + reply / Math.max(1, paced.sequences) * step) / 1000;
    const tokens = { low: prompt + replies.low, high: prompt + replies.high };
    const took = { low: seconds(replies.low), high: seconds(replies.high) };
    add({ ...held("evaluate", label, [setting], room), tokens, seconds: took });
  }
  for (const { label, settings: both, predicted: tokens, context } of pairs) {
    if (tokens.high === 0) continue;
    const paced = { sequences: 0, context: 1, allLogits: true, scorer: null };
    const [a, b] = [await paceOf(both[0], paced, openSetting), await paceOf(both[1], paced, openSetting)];
    const seconds = (count: number) => (a.load + b.load + count * (a.prompt + b.prompt)) / 1000;
    const took = { low: seconds(tokens.low), high: seconds(tokens.high) };
    add({ ...held("predictions", label, both, { slots: 1, context }), tokens, seconds: took });
  }
  for (const { label, settings: both, tokens, context } of pairs) {
    if (tokens.high === 0) continue;
    const { once, token } = await pairPace(both);
    const seconds = (count: number) => (once + count * token) / 1000;
    const took = { low: seconds(tokens.low), high: seconds(tokens.high) };
    add({ ...held("layer by layer", label, both, { slots: 2, context, chunk: CHUNK }), tokens, seconds: took });
  }
  const sum = (of: (step: Step) => number) => steps.reduce((all, step) => all + of(step), 0);
  const estimate: Estimate = {
    schema: "mxoss.estimate",
    version: 1,
    steps,
    seconds: { low: sum(({ seconds }) => seconds.low), high: sum(({ seconds }) => seconds.high) },
    memory_bytes: Math.max(0, ...steps.map(({ memory_bytes }) => memory_bytes)),
    available_bytes: availableMemory()?.bytes ?? null,
  };
  await (json ? writeOut(`${JSON.stringify(estimate, null, 1)}\n`) : writeLines(folded(lines(estimate, out))));
  return 0;
}

const fixed = (count: number): Bounds => ({ low: count, high: count });
const time = (once: number, each: number, count: number): Bounds => fixed((once + each * count) / 1000);

/** Bytes that settings take together. Weights that are mapped can be dropped, but all of them are read. */
function held(step: string, label: string, settings: readonly PlannedSetting[], room: Room) {
  const costs = settings.map((setting) => {
    const { checkpoint: { config }, planned: { plan, source } } = setting;
    const { weightBytes } = new Costs(config, source, plan.kvFormat);
    return { weights: weightBytes, cache: cacheSize(setting, room).bytes };
  });
  const bytes = (of: (cost: (typeof costs)[number]) => number) => costs.reduce((sum, cost) => sum + of(cost), 0);
  const weight_bytes = bytes(({ weights }) => weights);
  return { step, setting: label, weight_bytes, memory_bytes: weight_bytes + bytes(({ cache }) => cache) };
}

/** Milliseconds of a comparison: what is done once, and what each token takes. */
async function pairPace(both: readonly [PlannedSetting, PlannedSetting]) {
  const { vocab, layers } = both[0].checkpoint.config;
  const ids = Int32Array.from({ length: TIMED }, (_, i) => (i * 7919 + 13) % vocab);
  const timed = async (count: number) => {
    const few = both.map((setting) => truncated(setting, count)) as unknown as typeof both;
    const began = performance.now();
    let tokens = 0;
    await compareSettings(few, [{ tokens: ids, replyFrom: null }], 1, openSetting, (unit) => {
      const started = performance.now();
      return {
        update: () => {},
        [Symbol.dispose]: () => {
          if (unit === "tokens") tokens = performance.now() - started;
        },
      };
    });
    return { once: performance.now() - began - tokens, token: tokens / TIMED };
  };
  // The first comparison compiles and reads what later ones find: next to it, more layers would seem to cost nothing.
  await timed(1);
  return await forAllLayers(layers, timed);
}

function lines(
  { steps, seconds, memory_bytes: memory, available_bytes: available }: Estimate,
  out: string | null,
): string[] {
  if (steps.length === 0) return [`nothing is left to compute: ${out ?? "it"} has all`];
  const range = ({ low, high }: Bounds, text: (value: number) => string) =>
    text(low) === text(high) ? text(low) : `${text(low)} to ${text(high)}`;
  const rows = steps.map((step) => [
    step.step,
    step.setting,
    sizeText(step.weight_bytes),
    sizeText(step.memory_bytes),
    range(step.tokens, (count) => `${count}`),
    range(step.seconds, roughDurationText),
  ]);
  return [
    "nothing is evaluated: estimated from a few layers, timed on this machine as it is now",
    ...(out === null ? [] : [`what ${out} has already is left out`]),
    "",
    ...linesOf(
      { heads: ["step", "setting", "weights", "memory", "tokens", "time"], rows, right: [2, 3, 4, 5] },
      undefined,
      2,
    ),
    "",
    `in all ${range(seconds, roughDurationText)}; memory at most ${bytesText(memory)}` +
    (available === null ? "" : `, of ${bytesText(available)} that are free here`),
    "replies: from the data's own answers to the most tokens; memory: weights and cache, of which weights that are " +
    "mapped need not fit",
  ];
}
