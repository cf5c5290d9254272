/**
 * Greedy completions of many prompts at once: sequences share batches, and as one ends the next takes its place, so
 * that weights are read once for many tokens and all cores have work. A sequence's tokens do not depend on what shares
 * its batches.
 */
import type { Sampling } from "../model/engine.ts";
import type { Feed, Last } from "../session/batch.ts";
import { argmax } from "../session/likelihood.ts";
import type { Session } from "../session/session.ts";
import {
  type Active,
  type Completion,
  type CompletionEnd,
  type CompletionRequest,
  preempt,
  Results,
  waitingFor,
} from "./completion.ts";
import { Scorer } from "./scorer.ts";

/** What to complete and how. */
export interface BatchOptions {
  readonly session: Session;
  readonly requests: readonly CompletionRequest[];
  /** Tokens that every prompt begins with; computed once. */
  readonly prefix: Int32Array;
  readonly maxTokens: number;
  readonly stopIds: ReadonlySet<number>;
  /** Watches the text of a completion; makes a new watch for each. */
  readonly watch?: () => { push(id: number): boolean };
  readonly onDone: (completion: Completion) => void;
  /** Called after every batch with the tokens in it. */
  readonly onBatch?: (tokens: number) => void;
  /** Called where a sequence gives its pages to others; it is computed once more when there is room. */
  readonly onPreempted?: () => void;
  /** Ends the work between two batches. */
  readonly signal?: AbortSignal;
  /** Instead of one of the vocabulary's size, for tests. */
  readonly scorer?: Scorer;
}

/** A sequence with what is computed of it next. */
interface Planned {
  readonly sequence: Active;
  readonly feed: Feed;
}

/** The likeliest token. */
const GREEDY: Sampling = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };

/** Shared beginnings shorter than this are not worth a copy of the cache. */
const SHORTEST_PREFIX = 8;

/** Slots that {@linkcode completeAll} needs to have `sequences` at once. */
export function slotsNeeded(sequences: number, prefix: number): number {
  return sequences + (prefix >= SHORTEST_PREFIX ? 1 : 0);
}

/** Completes all requests; resolves when the last is done or the signal fires. */
export async function completeAll(options: BatchOptions): Promise<void> {
  const { session, prefix } = options, results = new Results(options.onDone);
  const sequences = session.limits.slots - slotsNeeded(0, prefix.length);
  // An engine that picks tokens gives their probabilities as well.
  const picks = options.scorer === undefined && session.canPick(sequences);
  using own = options.scorer || picks ? null : new Scorer(session.limits.vocab);
  await completeWith(options, options.scorer ?? own, results);
  await results.all();
}

/** @param scorer Null where the engine picks. */
async function completeWith(options: BatchOptions, scorer: Scorer | null, results: Results): Promise<void> {
  const { session, requests, prefix, signal } = options;
  let shares = prefix.length >= SHORTEST_PREFIX;
  const prefixSlot = session.limits.slots - 1;
  const free = Array.from({ length: session.limits.slots - (shares ? 1 : 0) }, (_, slot) => slot).reverse();
  if (shares) {
    session.reset(prefixSlot);
    await session.feed({ slot: prefixSlot, tokens: prefix, logits: "none" });
    options.onBatch?.(prefix.length);
  }
  // The first is the last; those that lost their pages are older than all that have not begun.
  const waiting = requests.map(waitingFor).reverse();
  let active: Active[] = [];
  const lengthOf = ({ slot, tokens }: Active) => Math.max(tokens.length, slot < 0 ? 0 : session.length(slot));
  const admits = (next: Active) =>
    active.length === 0 ||
    session.paging.holds([...active, next].map((one, i) => ({
      length: lengthOf(one),
      // The first one stands for the slot that has what all begin with.
      shared: shares && i > 0 ? prefix.length : 0,
    })));
  const start = (sequence: Active): void => {
    const slot = free.pop()!;
    session.reset(slot);
    if (shares) session.fork(prefixSlot, slot);
    sequence.slot = slot;
    sequence.fed = shares ? prefix.length : 0;
    sequence.watch ??= options.watch?.();
    active = [...active, sequence].sort((a, b) => a.age - b.age);
  };
  const giveBack = (sequence: Active): void => {
    session.reset(sequence.slot);
    free.push(sequence.slot);
    sequence.slot = -1;
  };
  /** What is computed next. An engine that generates by itself is quicker with prompts and replies apart. */
  const plan = (): { readonly generates: boolean; readonly batch: Planned[] } => {
    const decoding = active.filter(({ next }) => next !== null);
    const alone = scorer === null && decoding.length > 0 && session.canScore(decoding.map(lastOf));
    const generates = alone && decoding.length === active.length;
    const some = alone && !generates ? active.filter(({ next }) => next === null) : active;
    return { generates, batch: fillBatch(some, session.limits.maxTokens) };
  };
  /** The same where it has room: the youngest give way to the others, and at last the common beginning. */
  const fittingPlan = (): ReturnType<typeof plan> => {
    for (;;) {
      const planned = plan();
      if (session.paging.fits(planned.batch.map(({ feed }) => feed))) return planned;
      if (active.length > 1) {
        const youngest = active.pop()!;
        preempt(youngest);
        giveBack(youngest);
        waiting.push(youngest);
        options.onPreempted?.();
      } else if (shares) {
        session.reset(prefixSlot);
        shares = false;
      } else throw new RangeError("the pages do not hold one sequence");
    }
  };
  while (!signal?.aborted) {
    while (free.length > 0 && waiting.length > 0 && admits(waiting.at(-1)!)) start(waiting.pop()!);
    if (active.length === 0) return;
    const { generates, batch } = fittingPlan();
    const ended = new Set<Active>();
    const leave = (): void => {
      ended.forEach(giveBack);
      active = active.filter((sequence) => !ended.has(sequence));
    };
    if (generates) {
      await generate(options, active, ended, results);
      leave();
      continue;
    }
    const feeds = batch.map(({ feed }) => feed);
    const onPick = (index: number, token: number, score: number | Promise<number>): void => {
      const sequence = batch[index]!.sequence;
      const end = take(sequence, token, score, options);
      if (end === null) return;
      ended.add(sequence);
      results.add(sequence, end);
    };
    if (scorer === null) await session.pick(feeds, onPick);
    else {
      await session.run(feeds, (index, _position, logits, likeliest) => {
        const token = likeliest ?? argmax(logits);
        onPick(index, token, scorer.score(logits, token));
      });
    }
    results.check();
    for (const { sequence, feed } of batch) {
      if (sequence.fed === sequence.tokens.length) continue;
      sequence.fed += feed.tokens.length;
      if (sequence.kept === null || sequence.fed < sequence.tokens.length) continue;
      sequence.next = sequence.kept;
      sequence.kept = null;
    }
    options.onBatch?.(batch.reduce((sum, { feed }) => sum + feed.tokens.length, 0));
    leave();
  }
}

/** Steps that an engine generates by itself at most. */
const MOST_STEPS = 256;
/** Of so many sequences one may have ended while the others go on: the fewer, the oftener all wait for new prompts. */
const ENDED_OF = 16;

/** The last token of a sequence whose prompt is computed. */
const lastOf = ({ slot, next }: Active): Last => ({ slot, token: next! });

/**
 * Lets the engine generate until some sequences have ended, whose places are worth the time that prompts take then.
 *
 * @param ended Receives those that have.
 */
async function generate(
  options: BatchOptions,
  active: readonly Active[],
  ended: Set<Active>,
  results: Results,
): Promise<void> {
  const { session, signal } = options, enough = Math.max(1, Math.floor(active.length / ENDED_OF));
  const room = Math.min(...active.map(({ slot }) => session.limits.context - session.length(slot)));
  const entries = active.map(lastOf);
  await session.decode(entries, {
    steps: session.paging.stepsThatFit(entries, Math.min(MOST_STEPS, room)),
    sampling: active.map(() => GREEDY),
    scored: true,
    drains: true,
    onTokens: (ids, _step, logProbabilities) => {
      let computed = 0;
      active.forEach((sequence, i) => {
        // What the engine goes on with for one that has ended is nobody's.
        if (ended.has(sequence)) return;
        computed++;
        // The session throws for logits that are no numbers.
        const end = ids[i]! < 0 ? null : take(sequence, ids[i]!, logProbabilities![i]!, options);
        if (end === null) return;
        ended.add(sequence);
        results.add(sequence, end);
      });
      options.onBatch?.(computed);
      return ended.size < enough && signal?.aborted !== true;
    },
  });
  results.check();
}

/** One token of each sequence that generates, and as much of the prompts as there is room for. */
function fillBatch(active: readonly Active[], room: number): Planned[] {
  const batch: Planned[] = [];
  for (const sequence of active) {
    if (sequence.next === null || room === 0) continue;
    batch.push({ sequence, feed: { slot: sequence.slot, tokens: [sequence.next], logits: "last" } });
    room--;
  }
  for (const sequence of active) {
    if (sequence.next !== null || room === 0) continue;
    const { slot, fed, kept } = sequence, tokens = sequence.tokens.subarray(fed, fed + room);
    const last = fed + tokens.length === sequence.tokens.length && kept === null;
    batch.push({ sequence, feed: { slot, tokens, logits: last ? "last" : "none" } });
    room -= tokens.length;
  }
  return batch;
}

/** Takes the likeliest token; says how the sequence ended, or null if it goes on. */
function take(
  sequence: Active,
  token: number,
  score: number | Promise<number>,
  options: BatchOptions,
): CompletionEnd | null {
  sequence.scores.push(score);
  sequence.next = token;
  if (options.stopIds.has(token)) return "stop";
  sequence.ids.push(token);
  if (sequence.watch?.push(token)) return "text";
  return sequence.ids.length >= options.maxTokens ? "length" : null;
}
