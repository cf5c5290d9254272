/** Measures one subject with a session. */
import type { Tap } from "../model/gpt_oss.ts";
import { type Feed, feedOf } from "../session/batch.ts";
import { pickGreedily } from "../session/greedy.ts";
import type { Session } from "../session/session.ts";
import type { Share, Subject } from "./figures.ts";
import { type OperationTimes, sharesOf, Stopwatch, together } from "./shares.ts";
import type { Costs, Load, Work } from "../model/work.ts";

/** What was seen of a subject. */
export interface Sample {
  /** Milliseconds of each run. */
  readonly milliseconds: readonly number[];
  /** Tokens of a run. */
  readonly tokens: number;
  readonly work: Work;
  readonly shares: readonly Share[] | null;
}

/** How a measurement is made, and when it ends. */
export interface Manner {
  /** Whether operations can be looked at one by one. */
  readonly tapped: boolean;
  /** Whether an engine that generates by itself also says how likely tokens are; default false. */
  readonly scored?: boolean;
  /** Runs are made until so much time is used, in milliseconds. */
  readonly milliseconds: number;
  /** Whether {@linkcode LEAST_RUNS} more runs are worth their time, given what the first took, which is not counted. */
  readonly goesOn: (warmUp: number) => boolean;
}

/** Runs below which a figure is none. */
export const LEAST_RUNS = 3;
/** Most runs: more would hardly change the median. */
const MOST_RUNS = 64;
/** Runs that are looked at operation by operation: six that count bound a median with 95%, and the first may not. */
const LOOKS = 7;

/** Positions that decoding adds to a sequence at most: runs, looks, and what is recorded on GPUs. */
export const DECODE_ROOM: number = 2 * MOST_RUNS;
/** Steps that an engine which picks tokens itself computes at a time. */
const STRETCH = 16;

/** Measures a subject; null where {@linkcode Manner.goesOn} says that runs take too long. */
export async function measure(
  session: Session,
  costs: Costs,
  subject: Subject,
  { tapped, scored = false, milliseconds: patience, goesOn }: Manner,
): Promise<Sample | null> {
  const runner = subject.kind === "prefill"
    ? new Prefill(session, subject.tokens)
    : await Decode.at(session, subject, scored);
  const began = performance.now(), looks: OperationTimes[] = [];
  let experts: readonly (readonly number[])[] | null = null;
  for (let i = 0; i < (tapped ? LOOKS : 1); i++) {
    if (tapped) {
      const watches = await runner.look();
      // The first look at a decoding step is slower than others, as it loads what later ones find.
      if (i === 1 && runner instanceof Decode) looks.length = 0;
      looks.push(together(watches.map((watch) => watch.times)));
      experts = watches.map((watch) => watch.experts);
    } else await runner.run();
    const warmUp = performance.now() - began;
    if (i === 0 && !goesOn(warmUp)) return null;
    if (warmUp > patience / 4) break;
  }
  const milliseconds: number[] = [], started = performance.now();
  while (
    milliseconds.length < LEAST_RUNS ||
    milliseconds.length < MOST_RUNS && performance.now() - started < patience
  ) milliseconds.push(...await runner.timed(MOST_RUNS - milliseconds.length));
  return {
    milliseconds,
    tokens: runner.tokens,
    work: sum(runner.loads(experts, costs).map((load) => costs.of(load))),
    shares: looks.length > 0 ? sharesOf(looks) : await gpuShares(session, runner),
  };
}

const sum = (works: readonly Work[]): Work => ({
  macs: works.reduce((sum, { macs }) => sum + macs, 0),
  bytes: works.reduce((sum, { bytes }) => sum + bytes, 0),
});

/** Ids that repeat late: words of a text are not alike, and so neither are the experts that they choose. */
const idOf = (i: number, vocab: number): number => (i * 7919 + 13) % vocab;

/** One way to use a session. */
interface Runner {
  /** Tokens of a run. */
  readonly tokens: number;
  /** A run, without a look at the clock. */
  run(): Promise<void>;
  /** A run with taps: a watch for each of its batches. */
  look(): Promise<Stopwatch[]>;
  /** Milliseconds of some runs, at least one and at most `most`. */
  timed(most: number): Promise<number[]>;
  /** The batches of a run. */
  loads(experts: readonly (readonly number[])[] | null, costs: Costs): Load[];
}

/** A prompt. */
class Prefill implements Runner {
  readonly #ids: readonly number[];

  constructor(readonly session: Session, readonly tokens: number) {
    this.#ids = Array.from({ length: tokens }, (_, i) => idOf(i, session.limits.vocab));
  }

  async run(): Promise<void> {
    this.session.reset(0);
    await this.session.feed({ slot: 0, tokens: this.#ids, logits: "last" });
  }

  async look(): Promise<Stopwatch[]> {
    this.session.reset(0);
    const watches: Stopwatch[] = [];
    for (const { start, count } of this.#chunks()) {
      const watch = new Stopwatch(), last = start + count === this.tokens;
      const tokens = this.#ids.slice(start, start + count);
      await this.session.feed({ slot: 0, tokens, logits: last ? "last" : "none" }, undefined, watch.tap);
      watches.push(watch.stop());
    }
    return watches;
  }

  async timed(): Promise<number[]> {
    const started = performance.now();
    await this.run();
    return [performance.now() - started];
  }

  loads(experts: readonly (readonly number[])[] | null, costs: Costs): Load[] {
    return this.#chunks().map(({ start, count }, i) => ({
      pieces: [{ start, count }],
      logits: start + count === this.tokens ? 1 : 0,
      experts: experts?.[i] ?? costs.expectedExperts(count),
    }));
  }

  #chunks() {
    const { maxTokens } = this.session.limits;
    return Array.from({ length: Math.ceil(this.tokens / maxTokens) }, (_, i) => {
      const start = i * maxTokens;
      return { start, count: Math.min(maxTokens, this.tokens - start) };
    });
  }
}

type DecodeSubject = Extract<Subject, { readonly kind: "decode" }>;

/** A token for each of several sequences. */
class Decode implements Runner {
  #next = 0;

  private constructor(
    readonly session: Session,
    readonly tokens: number,
    readonly context: number,
    readonly allLogits: boolean,
    readonly scored: boolean,
  ) {}

  static async at(
    session: Session,
    { sequences, context, logits }: DecodeSubject,
    scored: boolean,
  ): Promise<Decode> {
    for (let slot = 0; slot < sequences; slot++) {
      if (session.length(slot) > context) session.reset(slot);
      await session.pretend(slot, context);
    }
    return new Decode(session, sequences, context, logits === "all", scored);
  }

  #entries() {
    return Array.from({ length: this.tokens }, (_, slot) => ({
      slot,
      token: idOf(this.#next++, this.session.limits.vocab),
    }));
  }

  async run(): Promise<void> {
    await this.timed(1);
  }

  async look(): Promise<Stopwatch[]> {
    const watch = new Stopwatch();
    await this.#step(this.#entries().map(feedOf), watch.tap);
    return [watch.stop()];
  }

  async #step(feeds: readonly Feed[], tap?: Tap): Promise<void> {
    if (this.allLogits) await this.session.run(feeds, () => {}, tap);
    else await pickGreedily(this.session, feeds, () => {}, tap);
  }

  async timed(most: number): Promise<number[]> {
    const { session } = this, entries = this.#entries();
    if (this.allLogits || !session.canDecode(entries)) {
      const started = performance.now();
      await this.#step(entries.map(feedOf));
      return [performance.now() - started];
    }
    // The engine computes ahead: what counts is the time from one step's tokens to the next one's.
    const at: number[] = [];
    const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
    await session.decode(entries, {
      steps: Math.min(most, STRETCH) + 1,
      sampling: entries.map(() => greedy),
      scored: this.scored,
      onTokens: () => at.push(performance.now()) > 0,
    });
    return at.slice(1).map((time, i) => time - at[i]!);
  }

  loads(experts: readonly (readonly number[])[] | null, costs: Costs): Load[] {
    const pieces = Array.from({ length: this.tokens }, () => ({ start: this.context, count: 1 }));
    return [{ pieces, logits: this.tokens, experts: experts?.[0] ?? costs.expectedExperts(this.tokens) }];
  }
}

/** Shares of a decode step by recordings that hold one kind of step each; of other batches nothing is known. */
async function gpuShares({ engine }: Session, runner: Runner): Promise<Share[] | null> {
  if (engine.canDecode === undefined || !(runner instanceof Decode)) return null;
  const [{ GpuEngine }, { profileSteps }] = await Promise.all([
    import("../backends/gpu/engine.ts"),
    import("../backends/gpu/profile.ts"),
  ]);
  if (!(engine instanceof GpuEngine)) return null;
  const rows = runner.tokens, slots = Int32Array.from({ length: rows }, (_, slot) => slot);
  const batch = { ids: new Int32Array(rows), slots, positions: slots.map(() => runner.context) };
  if (!engine.canDecode(batch)) return null;
  const parts = profileSteps(engine, batch, GPU_REPEATS).filter(({ of }) => of === "step");
  return sharesOf([new Map(parts.map(({ label, milliseconds }) => [label, milliseconds]))]);
}
const GPU_REPEATS = 20;
