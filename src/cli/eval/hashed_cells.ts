/** The cells of a matrix, whose weights are hashed while they are computed: those of large models take many seconds. */
import { pause } from "../../breath.ts";
import type { Checkpoint } from "../../checkpoint/checkpoint.ts";
import { costOf } from "../../eval/cost.ts";
import type { HashedCells } from "../../eval/run.ts";
import type { OpenStore } from "../../eval/stores.ts";
import { namedBeside, type RunCell } from "../../eval/task.ts";
import type { PlannedSetting } from "../../session/setting.ts";
import { fullProtocolOf } from "../../session/protocol.ts";
import { ProgressBar } from "../progress.ts";
import { hashWeights } from "../settings.ts";
import { userHashesOf } from "../user_hashes.ts";
import { type EvalOptions, matrixOf, type NamedModel, settingsOf } from "./cells.ts";

/**
 * The cells, with all that can be known of them before a weight is loaded.
 *
 * @param open Opens what is kept of hashes and measured scales; null: nothing is.
 * @param first Whether weights must be hashed before anything is computed, because results are kept already.
 * @param settings Those of the cells; null where scales have to be measured for them.
 */
export async function openCells(
  models: readonly NamedModel[],
  options: EvalOptions,
  open: OpenStore | null,
  first: boolean,
  settings: readonly PlannedSetting[] | null,
): Promise<HashedCells> {
  const matrix = matrixOf(models, options), hashes = new Hashes(models, open, userHashesOf(options));
  // Scales that are kept are those of some weights.
  if (first || options.calibrate !== undefined) await hashes.wait();
  const facts = (settings ?? await settingsOf(matrix, models, options, open)).map((setting, i) => ({
    asked: matrix[i]!,
    cost: costOf(setting),
    setting,
  }));
  const planned = namedBeside(facts, ({ setting }) => setting.planned.plan.scheme);
  const known = (): Promise<RunCell[]> =>
    Promise.all(planned.map(async (cell) => ({ ...cell, protocol: await fullProtocolOf(cell.setting) })));
  // Small weights are hashed in less.
  await pause();
  if (hashes.settled) {
    const cells = await known(), done = Promise.resolve(cells);
    return { planned: cells, known: cells, done, wait: () => done };
  }
  const done = hashes.done.then(known);
  // It is heard of where it is waited for.
  done.catch(() => {});
  return { planned, known: null, done, wait: () => hashes.wait().then(() => done) };
}

/** Whether a directory keeps results of cells, or parts of a run. */
export function keepsResults(out: string): boolean {
  return Array.from(Deno.readDirSync(out)).some(({ name }) =>
    name === "shards" || (name.endsWith(".jsonl") && !name.startsWith("weights"))
  );
}

/** The hashes of some models while they are made. */
class Hashes {
  readonly done: Promise<void>;
  settled = false;
  /** Bytes that are hashed, and all of them, by model. */
  readonly #progress = new Map<Checkpoint, readonly [done: number, total: number]>();
  #bar: ProgressBar | null = null;

  constructor(models: readonly NamedModel[], open: OpenStore | null, user: string | null) {
    this.done = this.#all(models, open, user);
    this.done.catch(() => {});
  }

  /** Waits for them, with a progress bar. */
  async wait(): Promise<void> {
    using bar = new ProgressBar("hashing weights");
    this.#bar = bar;
    try {
      await this.done;
    } finally {
      this.#bar = null;
    }
  }

  async #all(models: readonly NamedModel[], open: OpenStore | null, user: string | null): Promise<void> {
    await Promise.all(models.map(async ({ name, checkpoint }) => {
      const kept = open === null ? null : { open, name: `weights${name === null ? "" : `.model-${name}`}` };
      await hashWeights(checkpoint, kept, user, (...progress) => {
        this.#progress.set(checkpoint, progress);
        const sum = (which: 0 | 1) => this.#progress.values().reduce((sum, pair) => sum + pair[which], 0);
        this.#bar?.update(sum(0), sum(1));
      });
    }));
    this.settled = true;
  }
}
