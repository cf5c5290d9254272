/**
 * How long work takes on this machine, from a short look: a few layers of the model are loaded and timed, and what a
 * layer takes is multiplied by their number.
 */
import { median } from "../median.ts";
import type { Room } from "../session/open.ts";
import { feedOf } from "../session/batch.ts";
import { comesGenerated, comesPicked, pickGreedily } from "../session/greedy.ts";
import { argmax } from "../session/likelihood.ts";
import type { Session } from "../session/session.ts";
import type { PlannedSetting } from "../session/setting.ts";
import { DECODE_ROOM, measure } from "./measure.ts";
import { Costs } from "../model/work.ts";

/** Layers that are timed: two numbers of them tell what a layer takes from what all of it takes once. */
const FEW = 2, MORE = 4;
/** Positions before the decoded token at most: what attention takes after more is not looked at. */
const MOST_CONTEXT = 512;
/** Runs are made until so much time is used, in milliseconds, or so many. */
const PATIENCE_MS = 150, MOST_RUNS = 32;

/** The first layers of a setting's model, with its embedding and its head. */
export function truncated(setting: PlannedSetting, layers: number): PlannedSetting {
  const { checkpoint, planned } = setting, { config } = checkpoint, { source } = planned;
  return {
    ...setting,
    checkpoint: { ...checkpoint, config: { ...config, layers, sliding: config.sliding.slice(0, layers) } },
    planned: {
      ...planned,
      source: {
        ...source,
        tree: { ...source.tree, layers: source.tree.layers.slice(0, layers) },
        kvScales: source.kvScales.slice(0, layers),
      },
    },
  };
}

/**
 * Figures of a whole model from those of its first layers.
 *
 * @param measured What so many layers take.
 */
export async function forAllLayers<K extends string>(
  layers: number,
  measured: (layers: number) => Promise<Readonly<Record<K, number>>>,
): Promise<Readonly<Record<K, number>>> {
  if (layers <= MORE) return await measured(layers);
  const few = await measured(FEW), more = await measured(MORE);
  const whole = (Object.keys(few) as K[]).map((name) => {
    const layer = Math.max(0, (more[name] - few[name]) / (MORE - FEW));
    return [name, Math.max(more[name], more[name] + layer * (layers - MORE))] as const;
  });
  return Object.fromEntries(whole) as Readonly<Record<K, number>>;
}

/** What a setting takes, in milliseconds. */
export interface Pace {
  /** Until it can compute. */
  readonly load: number;
  /** A token of a prompt, in chunks. */
  readonly prompt: number;
  /** One token for each of the sequences; 0 where none is decoded. */
  readonly step: number;
}

/** What is to be timed. */
export interface Paced {
  /** Sequences that are decoded at once; 0: none. */
  readonly sequences: number;
  /** Positions before the decoded token. */
  readonly context: number;
  /** Whether logits of every token of a prompt are wanted. */
  readonly allLogits: boolean;
  /** What says of the likeliest tokens' logits how likely they are; null: nobody asks. */
  readonly scorer: ((vocab: number) => RowScorer) | null;
}

/** Says how likely tokens are. */
export interface RowScorer extends Disposable {
  /** The logits may be overwritten after the call. */
  score(logits: Float32Array, token: number): number | Promise<number>;
}

/** Times a setting. */
export async function paceOf(
  setting: PlannedSetting,
  { sequences, context: asked, allLogits, scorer }: Paced,
  open: (setting: PlannedSetting, room: Room) => Promise<Session>,
): Promise<Pace> {
  const { maxPositions, layers } = setting.checkpoint.config;
  const context = Math.max(1, Math.min(asked, MOST_CONTEXT, maxPositions - DECODE_ROOM));
  const chunk = Math.min(setting.chunk, maxPositions);
  const room: Room = {
    slots: Math.max(1, sequences),
    context: Math.min(maxPositions, Math.max(chunk, context + DECODE_ROOM)),
    chunk: Math.max(chunk, sequences),
  };
  return await forAllLayers(layers, async (count) => {
    const began = performance.now(), few = truncated(setting, count), session = await open(few, room);
    try {
      const load = performance.now() - began, prompt = await promptTime(session, chunk, allLogits);
      const step = sequences === 0 ? 0 : await stepTime(session, few, { sequences, context, scorer });
      return { load, prompt, step };
    } finally {
      await session.close();
    }
  });
}

/** Milliseconds of a token of a prompt. */
async function promptTime(session: Session, tokens: number, allLogits: boolean): Promise<number> {
  const ids = Array.from({ length: tokens }, (_, i) => (i * 7919 + 13) % session.limits.vocab);
  return await timed(async () => {
    session.reset(0);
    await session.feed({ slot: 0, tokens: ids, logits: allLogits ? "all" : "last" }, () => {});
  }) / tokens;
}

/** Milliseconds of a token for each sequence, which come in the way in which an evaluation has them of this engine. */
async function stepTime(
  session: Session,
  { checkpoint: { config }, planned: { plan, source } }: PlannedSetting,
  { sequences, context, scorer }: Pick<Paced, "sequences" | "context" | "scorer">,
): Promise<number> {
  const entries = Array.from({ length: sequences }, (_, slot) => ({ slot, token: (slot * 7919 + 13) % config.vocab }));
  for (const { slot } of entries) {
    session.reset(slot);
    await session.pretend(slot, context);
  }
  const scored = scorer !== null, feeds = entries.map(feedOf);
  if (scored && !comesPicked(session, sequences, scored)) {
    using rows = scorer(config.vocab);
    const scores: (number | Promise<number>)[] = [];
    const time = await timed(() =>
      session.run(
        feeds,
        (_index, _position, logits, likeliest) => scores.push(rows.score(logits, likeliest ?? argmax(logits))),
      )
    );
    await Promise.all(scores);
    return time;
  }
  if (!comesGenerated(session, entries, scored)) {
    return await timed(() => scored ? session.pick(feeds, () => {}) : pickGreedily(session, feeds, () => {}));
  }
  // An engine that picks tokens itself computes ahead, which the benchmark knows how to time.
  const costs = new Costs(config, source, plan.kvFormat), subject = { kind: "decode", sequences, context } as const;
  const manner = { tapped: false, scored, milliseconds: PATIENCE_MS, goesOn: () => true };
  return median((await measure(session, costs, subject, manner))!.milliseconds);
}

/** Milliseconds of a run: of several where they are short. The first one loads what later ones find. */
async function timed(run: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  let began = performance.now();
  for (let count = 0; count < 2 || count < MOST_RUNS && performance.now() - began < PATIENCE_MS; count++) {
    const started = performance.now();
    await run();
    if (count > 0) times.push(performance.now() - started);
    else began = performance.now();
  }
  return median(times);
}
