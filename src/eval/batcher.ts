/**
 * Greedy completions of many prompts at once: sequences share batches, and as one ends the next takes its place, so
 * that weights are read once for many tokens and all cores have work. A sequence's tokens do not depend on what shares
 * its batches.
 */
import type { Sampling } from "../model/engine.ts";
import type { Feed, Last } from "../session/batch.ts";
import { argmax } from "../session/likelihood.ts";
import type { Session } from "../session/session.ts";
import { Scorer, sumInOrder } from "./scorer.ts";

/** A prompt to complete. */
export interface CompletionRequest {
  readonly index: number;
  readonly prompt: Int32Array;
}

/** Why a completion ended: a stop token, a text that ends it, or too long. */
export type CompletionEnd = "stop" | "text" | "length";

/** A finished completion. */
export interface Completion {
  readonly index: number;
  readonly promptTokens: number;
  /** Without the stop token. */
  readonly ids: readonly number[];
  readonly end: CompletionEnd;
  /** Tokens that were chosen, the stop token included. */
  readonly generatedTokens: number;
  /** Sum of the log probabilities of the chosen tokens, the stop token included. */
  readonly logProbability: number;
}

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
  /** Ends the work between two batches. */
  readonly signal?: AbortSignal;
  /** Instead of one of the vocabulary's size, for tests. */
  readonly scorer?: Scorer;
}

/** The likeliest token. */
const GREEDY: Sampling = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };

/** Shared beginnings shorter than this are not worth a copy of the cache. */
const SHORTEST_PREFIX = 8;

/** Slots that {@linkcode completeAll} needs to have `sequences` at once. */
export function slotsNeeded(sequences: number, prefix: number): number {
  return sequences + (prefix >= SHORTEST_PREFIX ? 1 : 0);
}

/** A sequence that is being completed. */
interface Active {
  readonly slot: number;
  readonly request: CompletionRequest;
  /** Prompt tokens that are in the cache. */
  fed: number;
  /** The token to feed next, once the prompt is done. */
  next: number | null;
  readonly ids: number[];
  /** Log probabilities of the chosen tokens, which may still be computed. */
  readonly scores: (number | Promise<number>)[];
  readonly watch: { push(id: number): boolean } | undefined;
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
  const shares = prefix.length >= SHORTEST_PREFIX;
  const prefixSlot = session.limits.slots - 1;
  const free = Array.from({ length: session.limits.slots - (shares ? 1 : 0) }, (_, slot) => slot).reverse();
  if (shares) {
    session.reset(prefixSlot);
    await session.feed({ slot: prefixSlot, tokens: prefix, logits: "none" });
    options.onBatch?.(prefix.length);
  }
  const waiting = [...requests].reverse();
  let active: Active[] = [];
  const start = (request: CompletionRequest): void => {
    const slot = free.pop()!;
    session.reset(slot);
    if (shares) session.fork(prefixSlot, slot);
    const fed = shares ? prefix.length : 0;
    active.push({ slot, request, fed, next: null, ids: [], scores: [], watch: options.watch?.() });
  };
  while (!signal?.aborted) {
    while (free.length > 0 && waiting.length > 0) start(waiting.pop()!);
    if (active.length === 0) return;
    const ended = new Set<Active>();
    const leave = (): void => {
      for (const { slot } of ended) free.push(slot);
      active = active.filter((sequence) => !ended.has(sequence));
    };
    const decoding = active.filter(({ next }) => next !== null);
    const alone = scorer === null && decoding.length > 0 && session.canScore(decoding.map(lastOf));
    if (alone && decoding.length === active.length) {
      await generate(options, active, ended, results);
      leave();
      continue;
    }
    // An engine that generates by itself is quicker with prompts and replies apart.
    const batch = fillBatch(alone ? active.filter(({ next }) => next === null) : active, session.limits.maxTokens);
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
      await session.run(feeds, (index, _position, logits) => {
        const token = argmax(logits);
        onPick(index, token, scorer.score(logits, token));
      });
    }
    results.check();
    for (const { sequence, feed } of batch) {
      if (sequence.fed < sequence.request.prompt.length) sequence.fed += feed.tokens.length;
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
  await session.decode(active.map(lastOf), {
    steps: Math.min(MOST_STEPS, room),
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
function fillBatch(active: readonly Active[], room: number): { sequence: Active; feed: Feed }[] {
  const batch: { sequence: Active; feed: Feed }[] = [];
  for (const sequence of active) {
    if (sequence.next === null || room === 0) continue;
    batch.push({ sequence, feed: { slot: sequence.slot, tokens: [sequence.next], logits: "last" } });
    room--;
  }
  for (const sequence of active) {
    if (sequence.next !== null || room === 0) continue;
    const { prompt } = sequence.request;
    const tokens = prompt.subarray(sequence.fed, sequence.fed + room);
    const last = sequence.fed + tokens.length === prompt.length;
    batch.push({ sequence, feed: { slot: sequence.slot, tokens, logits: last ? "last" : "none" } });
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

/** Finished completions, which are handed out when their log probabilities are there. */
class Results {
  readonly #onDone: BatchOptions["onDone"];
  readonly #pending: Promise<void>[] = [];
  #failure: { readonly thrown: unknown } | null = null;

  constructor(onDone: BatchOptions["onDone"]) {
    this.#onDone = onDone;
  }

  add(sequence: Active, end: CompletionEnd): void {
    const sum = sumInOrder(sequence.scores), done = (sum: number) => this.#onDone(finished(sequence, end, sum));
    if (typeof sum === "number") return done(sum);
    this.#pending.push(
      sum.then(done).catch((thrown) => {
        this.#failure ??= { thrown };
      }),
    );
  }

  /** Throws what failed so far. */
  check(): void {
    if (this.#failure !== null) throw this.#failure.thrown;
  }

  /** Waits for all that were added. */
  async all(): Promise<void> {
    await Promise.all(this.#pending);
    this.check();
  }
}

function finished(sequence: Active, end: CompletionEnd, logProbability: number): Completion {
  return {
    index: sequence.request.index,
    promptTokens: sequence.request.prompt.length,
    ids: sequence.ids,
    end,
    generatedTokens: sequence.ids.length + (end === "stop" ? 1 : 0),
    logProbability,
  };
}
