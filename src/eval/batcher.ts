/**
 * Greedy completions of many prompts at once: sequences share batches, and as one ends the next takes its place, so
 * that weights are read once for many tokens and all cores have work. A sequence's tokens do not depend on what shares
 * its batches.
 */
import type { Sampling } from "../model/engine.ts";
import type { Feed, Last } from "../session/batch.ts";
import { comesGenerated, comesPicked, pickGreedily } from "../session/greedy.ts";
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
  /** Whether to say how likely completions were, for which some engines need all logits; default true. */
  readonly logProbabilities?: boolean;
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
  const { session, prefix } = options, scored = options.logProbabilities !== false;
  const results = new Results(options.onDone, scored);
  const sequences = session.limits.slots - slotsNeeded(0, prefix.length);
  const picks = !scored || options.scorer === undefined && comesPicked(session, sequences, scored);
  using own = options.scorer || picks ? null : new Scorer(session.limits.vocab);
  await new Completions(options, scored ? options.scorer ?? own : null, results).run();
  await results.all();
}

/** Completions under way: which of them have a slot, and what is computed next. */
class Completions {
  readonly #options: BatchOptions;
  /** Null where the engine picks, or nothing is scored. */
  readonly #scorer: Scorer | null;
  readonly #results: Results;
  readonly #scored: boolean;
  /** Where the common beginning lies while {@linkcode #shares}. */
  readonly #prefixSlot: number;
  readonly #free: number[];
  /** The first is the last; those that lost their pages are older than all that have not begun. */
  readonly #waiting: Active[];
  /** Those that have a slot, the oldest first. */
  #active: Active[] = [];
  #shares: boolean;

  constructor(options: BatchOptions, scorer: Scorer | null, results: Results) {
    const { session: { limits: { slots } }, prefix, requests } = options;
    this.#options = options;
    this.#scorer = scorer;
    this.#results = results;
    this.#scored = results.scored;
    this.#shares = prefix.length >= SHORTEST_PREFIX;
    this.#prefixSlot = slots - 1;
    this.#free = Array.from({ length: slots - (this.#shares ? 1 : 0) }, (_, slot) => slot).reverse();
    this.#waiting = requests.map(waitingFor).reverse();
  }

  /** Computes until all are done or the signal fires. */
  async run(): Promise<void> {
    const { signal, onBatch } = this.#options;
    if (this.#shares) await this.#computePrefix();
    while (!signal?.aborted) {
      while (this.#free.length > 0 && this.#waiting.length > 0 && this.#admits(this.#waiting.at(-1)!)) {
        this.#start(this.#waiting.pop()!);
      }
      if (this.#active.length === 0) return;
      const { generates, batch } = this.#fittingPlan(), ended = new Set<Active>();
      if (generates) await generate(this.#options, this.#active, ended, this.#results);
      else {
        await this.#compute(batch, ended);
        onBatch?.(batch.reduce((sum, { feed }) => sum + feed.tokens.length, 0));
      }
      ended.forEach((sequence) => this.#giveBack(sequence));
      this.#active = this.#active.filter((sequence) => !ended.has(sequence));
    }
  }

  async #computePrefix(): Promise<void> {
    const { session, prefix, onBatch } = this.#options;
    session.reset(this.#prefixSlot);
    await session.feed({ slot: this.#prefixSlot, tokens: prefix, logits: "none" });
    onBatch?.(prefix.length);
  }

  /** Whether there are pages for one more beside those that are under way. */
  #admits(next: Active): boolean {
    const { session, prefix } = this.#options;
    const lengthOf = ({ slot, tokens }: Active) => Math.max(tokens.length, slot < 0 ? 0 : session.length(slot));
    return this.#active.length === 0 ||
      session.paging.holds([...this.#active, next].map((one, i) => ({
        length: lengthOf(one),
        // The first one stands for the slot that has what all begin with.
        shared: this.#shares && i > 0 ? prefix.length : 0,
      })));
  }

  #start(sequence: Active): void {
    const { session, prefix, watch } = this.#options, slot = this.#free.pop()!;
    session.reset(slot);
    if (this.#shares) session.fork(this.#prefixSlot, slot);
    sequence.slot = slot;
    sequence.fed = this.#shares ? prefix.length : 0;
    sequence.watch ??= watch?.();
    this.#active = [...this.#active, sequence].sort((a, b) => a.age - b.age);
  }

  #giveBack(sequence: Active): void {
    this.#options.session.reset(sequence.slot);
    this.#free.push(sequence.slot);
    sequence.slot = -1;
  }

  /** What is computed next. An engine that generates by itself is quicker with prompts and replies apart. */
  #plan(): { readonly generates: boolean; readonly batch: Planned[] } {
    const { session } = this.#options, active = this.#active;
    const decoding = active.filter(({ next }) => next !== null);
    const alone = this.#scorer === null && decoding.length > 0 &&
      comesGenerated(session, decoding.map(lastOf), this.#scored);
    const generates = alone && decoding.length === active.length;
    const some = alone && !generates ? active.filter(({ next }) => next === null) : active;
    return { generates, batch: fillBatch(some, session.limits.maxTokens) };
  }

  /** The same where it has room: the youngest give way to the others, and at last the common beginning. */
  #fittingPlan(): { readonly generates: boolean; readonly batch: Planned[] } {
    const { session, onPreempted } = this.#options;
    for (;;) {
      const planned = this.#plan();
      if (session.paging.fits(planned.batch.map(({ feed }) => feed))) return planned;
      if (this.#active.length > 1) {
        const youngest = this.#active.pop()!;
        preempt(youngest);
        this.#giveBack(youngest);
        this.#waiting.push(youngest);
        onPreempted?.();
      } else if (this.#shares) {
        session.reset(this.#prefixSlot);
        this.#shares = false;
      } else throw new RangeError("the pages do not hold one sequence");
    }
  }

  /** Computes a batch; `ended` receives the sequences that its tokens end. */
  async #compute(batch: readonly Planned[], ended: Set<Active>): Promise<void> {
    const { session } = this.#options, scorer = this.#scorer, feeds = batch.map(({ feed }) => feed);
    const onPick = (index: number, token: number, score: number | Promise<number> | null): void => {
      const { sequence } = batch[index]!, end = take(sequence, token, score, this.#options);
      if (end === null) return;
      ended.add(sequence);
      this.#results.add(sequence, end);
    };
    if (!this.#scored) await pickGreedily(session, feeds, (index, token) => onPick(index, token, null));
    else if (scorer === null) await session.pick(feeds, onPick);
    else {
      await session.run(feeds, (index, _position, logits, likeliest) => {
        const token = likeliest ?? argmax(logits);
        onPick(index, token, scorer.score(logits, token));
      });
    }
    this.#results.check();
    for (const { sequence, feed } of batch) noteFed(sequence, feed.tokens.length);
  }
}

/** Takes notice that so many more tokens are in the cache; the last of a prompt brings back what was chosen before. */
function noteFed(sequence: Active, tokens: number): void {
  if (sequence.fed === sequence.tokens.length) return;
  sequence.fed += tokens;
  if (sequence.kept === null || sequence.fed < sequence.tokens.length) return;
  sequence.next = sequence.kept;
  sequence.kept = null;
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
    scored: results.scored,
    drains: true,
    onTokens: (ids, _step, logProbabilities) => {
      let computed = 0;
      active.forEach((sequence, i) => {
        // What the engine goes on with for one that has ended is nobody's.
        if (ended.has(sequence)) return;
        computed++;
        // The session throws for logits that are no numbers.
        const end = ids[i]! < 0
          ? null
          : take(sequence, ids[i]!, results.scored ? logProbabilities![i]! : null, options);
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
  score: number | Promise<number> | null,
  options: BatchOptions,
): CompletionEnd | null {
  if (score !== null) sequence.scores.push(score);
  sequence.next = token;
  if (options.stopIds.has(token)) return "stop";
  sequence.ids.push(token);
  if (sequence.watch?.push(token)) return "text";
  return sequence.ids.length >= options.maxTokens ? "length" : null;
}
