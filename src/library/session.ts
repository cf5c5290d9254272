/**
 * Loads a checkpoint into a backend, and computes logits and replies.
 *
 * @module
 */
import type { Checkpoint as Opened } from "../checkpoint/checkpoint.ts";
import { refuseChanged } from "../checkpoint/identity.ts";
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";
import { refuseOutgrown, tokenId } from "../session/batch.ts";
import { type Finish, generate } from "../session/generate.ts";
import { openSetting } from "../session/open.ts";
import { Sampler } from "../session/sampler.ts";
import type { Session as Computing } from "../session/session.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { isMap, type Names, refuseDetached, refuseOtherCount, refuseUnknown, wrongKind } from "./known.ts";
import { behind } from "./opened.ts";
import { contextOf, plannedSetting, type SessionOptions } from "./setting.ts";

export type { Finish, FinishReason, Timings } from "../session/generate.ts";
export { type BackendName, BACKENDS } from "../session/setting.ts";
export type { SessionOptions } from "./setting.ts";

/** How to choose tokens, and when to stop. */
export interface GenerateOptions {
  /** Most tokens to generate; default: as many as the context has room for. */
  readonly maxTokens?: number;
  /**
   * 0 (default): the token with the largest logit, of several the one with the lowest id. Above 0: logits are divided
   * by it and a token is drawn.
   */
  readonly temperature?: number;
  /** Only so many of the likeliest tokens, of equal ones those with lower ids; default 0: all. */
  readonly topK?: number;
  /**
   * Only the likeliest tokens (after `topK`) that together reach this share of the probability, the one that reaches it
   * included; default 1: all.
   */
  readonly topP?: number;
  /**
   * Only tokens with at least this share of the likeliest token's probability (Nguyen et al. 2024, "Min-p sampling",
   * section 3); default 0: all.
   */
  readonly minP?: number;
  /** By token id: what is added to its logit, before everything else. */
  readonly logitBias?: ReadonlyMap<number, number>;
  /**
   * Logits of tokens of prompt and reply are divided by it, negative ones multiplied (Keskar et al. 2019, "CTRL",
   * section 4.1); above 0, default 1: as they are.
   */
  readonly repetitionPenalty?: number;
  /** Is taken from a token's logit for each time that the reply has it; default 0. */
  readonly frequencyPenalty?: number;
  /** Is taken once from the logits of tokens of the reply; default 0. */
  readonly presencePenalty?: number;
  /**
   * 0 to 2^64 - 1, as a safe integer, a bigint, or decimal or `0x` digits; default: a random one. Equal logits, options
   * and seed give equal tokens.
   */
  readonly seed?: number | bigint | string;
  /** Ids that end the reply; default: those of the checkpoint's config. */
  readonly stopIds?: Iterable<number>;
}

/** A loaded model. Each call computes a sequence of its own; one call at a time. */
export interface Session extends AsyncDisposable {
  /** The number format of every linear, and what was contradictory about it. */
  readonly plan: Plan;
  /** What computes, in words. */
  readonly description: string;
  /**
   * Teacher-forced logits of a sequence.
   *
   * @param tokens Token ids; at most {@linkcode SessionOptions.context}. They are copied before the call returns.
   * @returns For each token the logits [V] of the one after it, float32.
   * @throws {InputError} if an id is outside the vocabulary, the sequence outgrows the context, a weight file changed,
   *   or a logit is NaN or infinite because a tensor of the checkpoint is, which it names.
   * @throws {FailureError} if a logit is NaN or infinite for another reason.
   * @throws {TypeError} if another call of this session has not ended, the session is closed, or what should be token
   *   ids is no array.
   */
  logits(tokens: ArrayLike<number>): Promise<Float32Array[]>;
  /**
   * Generates a reply, token by token. The caller may stop at any time.
   *
   * @param prompt Token ids; at least one. They and the options are copied when the first token is asked for.
   * @param options How to choose tokens, and when to stop.
   * @returns Yields the ids of the reply, the stop token included; returns why it ended and how long it took.
   * @throws {InputError} as {@linkcode Session.logits}, and if an option is out of range.
   * @throws {FailureError} as {@linkcode Session.logits}.
   * @throws {TypeError} as {@linkcode Session.logits}.
   */
  generate(prompt: ArrayLike<number>, options?: GenerateOptions): AsyncGenerator<number, Finish, void>;
  /**
   * Waits for a call of `logits`, ends a reply after the token that is being computed, stops worker threads and frees
   * memory; `await using` calls it. To close a second time does nothing.
   */
  close(): Promise<void>;
}

const GENERATE_NAMES: Names<GenerateOptions> = {
  ...{ maxTokens: true, temperature: true, topK: true, topP: true, minP: true, logitBias: true, stopIds: true },
  ...{ repetitionPenalty: true, frequencyPenalty: true, presencePenalty: true, seed: true },
};

/**
 * Loads a checkpoint.
 *
 * @param checkpoint What `openCheckpoint()` of `@mxoss/mxoss/checkpoint` returned.
 * @param options How to compute.
 * @returns The loaded model, which the caller closes.
 * @throws {InputError} if checkpoint and options do not fit together.
 * @throws {TypeError} if `checkpoint` is not of `openCheckpoint()`.
 * @throws {FailureError} if memory, workers or a device cannot be had.
 *
 * @example
 * ```ts
 * import { openCheckpoint } from "@mxoss/mxoss/checkpoint";
 * import { openSession } from "@mxoss/mxoss/session";
 * import { assertEquals } from "@std/assert";
 *
 * const checkpoint = openCheckpoint("models/tiny-gpt-oss");
 * await using session = await openSession(checkpoint, { scheme: "w_mxfp4_a_mxfp4", context: 32 });
 * const logits = await session.logits([1, 2, 3]);
 * assertEquals([logits.length, logits[0]!.length], [3, checkpoint.config.vocab]);
 *
 * const reply: number[] = [];
 * for await (const id of session.generate([1, 2, 3], { maxTokens: 2 })) reply.push(id);
 * assertEquals(reply.length, 2);
 * ```
 */
export async function openSession(checkpoint: Checkpoint, options: SessionOptions = {}): Promise<Session> {
  const opened = behind(checkpoint);
  const setting = plannedSetting(opened, options), context = contextOf(options.context, opened.config.maxPositions);
  const computing = await openSetting(setting, { slots: 1, context }, options.onProgress);
  return new LoadedModel(opened, setting.planned.plan, computing);
}

/**
 * Refuses ids that no token has: they would change nothing, in silence.
 *
 * @throws {InputError} naming the option and the first of them.
 */
function refuseStrayIds(logitBias: ReadonlyMap<number, number>, stopIds: Iterable<number>, vocab: number): void {
  for (const [name, ids] of [["logitBias", logitBias.keys()], ["stopIds", stopIds]] as const) {
    for (const id of ids) {
      if (Number.isInteger(id) && id >= 0 && id < vocab) continue;
      throw InputError.of("wrong_value", { name }, `token ids from 0 to ${vocab - 1}`, show(id));
    }
  }
}

/** A copy, which the caller cannot change while it is computed with. */
function biasOf(given: GenerateOptions["logitBias"]): ReadonlyMap<number, number> {
  if (given === undefined) return new Map();
  if (isMap(given)) return new Map(given);
  throw InputError.of("wrong_value", { name: "logitBias" }, "a Map from token ids to numbers", show(given));
}

/** Likewise; the ids may be such as can be looked at once only. */
function stopsOf(given: Iterable<number>): ReadonlySet<number> {
  if (typeof given?.[Symbol.iterator] === "function") return new Set(given);
  throw InputError.of("wrong_value", { name: "stopIds" }, "token ids that can be iterated", show(given));
}

class LoadedModel implements Session {
  readonly #opened: Opened;
  readonly #computing: Computing;
  #busy = false;
  /** Ends what is computed; resolves when nothing is. */
  #end: () => Promise<unknown> = () => Promise.resolve();
  #closed: Promise<void> | null = null;

  constructor(opened: Opened, readonly plan: Plan, computing: Computing) {
    this.#opened = opened;
    this.#computing = computing;
  }

  get description(): string {
    return this.#computing.engine.info.description;
  }

  async logits(tokens: ArrayLike<number>): Promise<Float32Array[]> {
    this.#refuseClosed();
    const ids = this.#idsOf("tokens", tokens);
    using _turn = this.#begin();
    const rows: Float32Array[] = [];
    const fed = this.#computing.feed(
      { slot: 0, tokens: ids, logits: "all" },
      (_position, logits) => rows.push(logits.slice()),
    );
    this.#end = () => fed;
    await fed;
    refuseChanged(this.#opened.identity);
    return rows;
  }

  async *generate(prompt: ArrayLike<number>, options: GenerateOptions = {}): AsyncGenerator<number, Finish, void> {
    this.#refuseClosed();
    const ids = this.#idsOf("prompt", prompt);
    if (ids.length === 0) throw InputError.of("missing", { name: "prompt" }, "at least one token", "none");
    refuseUnknown(options, GENERATE_NAMES);
    const { maxTokens = Infinity, stopIds, ...sampling } = options, { eosTokenIds, vocab } = this.#opened.config;
    if (maxTokens !== Infinity) refuseOtherCount("maxTokens", 0, maxTokens);
    const stops = stopsOf(stopIds === undefined ? eosTokenIds : stopIds), logitBias = biasOf(sampling.logitBias);
    refuseStrayIds(logitBias, stopIds === undefined ? [] : stops, vocab);
    const picker = new Sampler({ ...sampling, logitBias }, ids);
    using _turn = this.#begin();
    const request = { session: this.#computing, slot: 0, prompt: ids, picker, stopIds: stops, maxTokens };
    const reply = generate(request), end = async () => await reply.return(undefined as never);
    this.#end = end;
    try {
      for (;;) {
        this.#refuseClosed();
        const { done, value } = await reply.next();
        if (done) {
          refuseChanged(this.#opened.identity);
          return value;
        }
        yield value;
      }
    } finally {
      await end();
    }
  }

  /**
   * A copy of token ids, which the caller cannot change while they are computed; all of them are looked at before the
   * first is.
   */
  #idsOf(name: string, given: ArrayLike<number>): Int32Array {
    const isArray = typeof given === "object" && given !== null && Number.isSafeInteger(given.length);
    if (!isArray || given.length < 0) throw wrongKind(name, "an array of token ids", given);
    refuseDetached(name, "an array of token ids", given);
    const { context } = this.#computing.limits, { vocab } = this.#opened.config;
    refuseOutgrown(given.length, context);
    return Int32Array.from({ length: given.length }, (_, i) => tokenId(given[i], vocab));
  }

  /** Begins a sequence, whose turn ends when the result is disposed of. */
  #begin(): Disposable {
    this.#refuseClosed();
    if (this.#busy) throw new TypeError("session: expected one call at a time, got a second before the first ended");
    this.#busy = true;
    this.#computing.reset(0);
    return { [Symbol.dispose]: () => this.#busy = false };
  }

  #refuseClosed(): void {
    if (this.#closed !== null) throw new TypeError("session: expected an open one, got a call after it was closed");
  }

  close(): Promise<void> {
    // Memory that is computed with, a device's above all, must not go before that has ended. How it ended is said to
    // who called.
    return this.#closed ??= this.#end().catch(() => {}).then(() => this.#computing.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
