/** What computes batches: the graph on this thread, or ranks elsewhere. A session does not know which. */
import { Breath } from "../breath.ts";
import type { BackendInfo, Batch } from "./backend.ts";
import type { GptOss, Tap } from "./gpt_oss.ts";

/** How the next tokens of a sequence are picked by an engine. */
export interface Sampling {
  /** 0: the largest logit, of several the one with the lowest id. */
  readonly temperature: number;
  /** 1: all tokens. */
  readonly topP: number;
  /** 0: all tokens. */
  readonly topK: number;
  /** A number in [0, 1) for each step, the first for the first step; unused where temperature is 0. */
  readonly uniforms: Float32Array;
}

/** Tokens to generate. */
export interface DecodeRequest {
  /** One token of each sequence, the last that is known; its keys and values are computed by the first step. */
  readonly batch: Batch;
  /** Most steps; positions up to the last one's must fit the context. */
  readonly steps: number;
  /** Per token of the batch. */
  readonly sampling: readonly Sampling[];
  /**
   * Receives the picked ids of each step, in the order of the batch; the array is only valid during the call. The next
   * step's come when the answer is there. Less than 0, ~id, where the logit of that id is NaN or infinite: later ids of
   * that sequence mean nothing, those of others are what they would be without it.
   *
   * @param logProbabilities Logarithms of the picks' probabilities, where `scored`; valid during the call.
   * @returns False to begin no further step. The engine may have begun a few more by then.
   */
  readonly onTokens: (
    ids: Int32Array,
    step: number,
    logProbabilities?: Float64Array,
  ) => boolean | Promise<boolean>;
  /** Whether probabilities are wanted: of the likeliest tokens, by an engine that {@linkcode Engine.scores}. */
  readonly scored?: boolean;
  /**
   * Fires where no further step is to be begun, be it before the next tokens. An engine whose steps are short may wait
   * for the answer of `onTokens` instead.
   */
  readonly signal?: AbortSignal;
  /** Whether tokens of steps that had begun then are handed out as well; otherwise it is as if they had not. */
  readonly drains?: boolean;
}

/** What was generated. */
export interface DecodeResult {
  /** Steps whose tokens were handed out; each added one position to every sequence. */
  readonly steps: number;
  /** Time that the calling thread spent on launches and copies, not counting waits and `onTokens`. */
  readonly hostMilliseconds: number;
}

/** The likeliest next tokens. */
export interface Picks {
  /** Of several with the largest logit the lowest id; less than 0, ~id, where the logit of that id is no number. */
  readonly ids: Int32Array;
  /** Logarithms of their probabilities. */
  readonly logProbabilities: Float64Array;
}

/**
 * Receives a row of the batch and its logits [V], which are only valid during the call.
 *
 * @param likeliest The token of the largest, where the engine has looked; as `Picks.ids`.
 */
export type OnRow = (row: number, logits: Float32Array, likeliest?: number) => void;

/** Computes batches; one call at a time. */
export interface Engine {
  readonly info: BackendInfo;
  /** Why it computes nothing any more and never will, as a thread of it failed; undefined while it does. */
  readonly failure?: Error | undefined;
  /**
   * Computes one batch and hands out logits of the rows asked for, in order.
   */
  compute(batch: Batch, rows: Int32Array, onRow: OnRow, tap?: Tap): Promise<void>;
  /** Copies the first `length` cached positions of one sequence to another. */
  copySlot(from: number, to: number, length: number): void;
  /** Fills the cache at a batch's positions without computing; see `GptOss.pretend`. Absent where that cannot be. */
  pretend?(batch: Batch): void;
  /** Whether {@linkcode Engine.decode} takes such a batch; engines without it pick nothing themselves. */
  canDecode?(batch: Batch): boolean;
  /**
   * Generates up to `steps` tokens of each sequence where the logits are, without handing them out: the tokens that
   * `Sampler` would pick.
   */
  decode?(request: DecodeRequest): Promise<DecodeResult>;
  /** Whether {@linkcode Engine.decode} hands out the probabilities of what it picks. */
  readonly scores?: boolean;
  /** Whether {@linkcode Engine.pick} has room for so many rows; engines without it pick nothing themselves. */
  canPick?(rows: number): boolean;
  /**
   * Computes one batch, as {@linkcode Engine.compute} does, and picks the likeliest token after each of some rows where
   * the logits are.
   */
  pick?(batch: Batch, rows: Int32Array): Promise<Picks>;
  /**
   * Computes one batch, as {@linkcode Engine.compute} does, and says which tokens are the likeliest after some rows, as
   * `Picks.ids`, where that can be found without computing all of their logits. Their probabilities are not known.
   */
  likeliest?(batch: Batch, rows: Int32Array, tap?: Tap): Promise<Int32Array>;
  /** Whether {@linkcode Engine.likeliest} has a way to do so after so many rows. */
  sparesLogits?(rows: number): boolean;
  /** Ends threads and frees memory. */
  close(): Promise<void>;
}

/** Logit rows computed at once: logits of a long chunk over 201,088 words would be larger than the model's layers. */
export const LOGIT_ROWS = 16;
/**
 * The same of an engine on this process's processor alone, which reads and decodes the head's weights anew for every so
 * many rows. 64 rows of 201,088 words are 51 MB, of which only those are touched that a batch has.
 */
export const PROCESSOR_LOGIT_ROWS = 64;

/** The graph on the calling thread. */
export class LocalEngine implements Engine {
  readonly #breath = new Breath();

  /** @param logitRows Rows whose logits are computed at once. */
  constructor(readonly model: GptOss, readonly vocab: number, readonly logitRows = LOGIT_ROWS) {}

  get info(): BackendInfo {
    return this.model.backend.info;
  }

  async compute(batch: Batch, rows: Int32Array, onRow: OnRow, tap?: Tap): Promise<void> {
    await this.#forward(batch, tap);
    await this.logits(rows, onRow);
  }

  async #forward(batch: Batch, tap: Tap | undefined): Promise<void> {
    for (const _ of this.model.layersOf(batch, tap)) if (this.#breath.due) await this.#breath.take();
  }

  async likeliest(batch: Batch, rows: Int32Array, tap?: Tap): Promise<Int32Array> {
    await this.#forward(batch, tap);
    const ids = new Int32Array(rows.length);
    for (const _ of this.model.greedyParts(rows, this.logitRows, ids)) if (this.#breath.due) await this.#breath.take();
    return ids;
  }

  sparesLogits(rows: number): boolean {
    const { backend } = this.model, most = Math.min(rows, this.logitRows);
    return backend.picksGreedily?.(backend.weights.head, most) === true;
  }

  /** Logits of rows of the batch that was computed last. */
  async logits(rows: Int32Array, onRow: OnRow): Promise<void> {
    for (let at = 0; at < rows.length; at += this.logitRows) {
      const part = rows.subarray(at, at + this.logitRows);
      const logits = this.model.logits(part), likeliest = this.model.likeliest(part.length);
      part.forEach((row, i) => onRow(row, logits.subarray(i * this.vocab, (i + 1) * this.vocab), likeliest?.[i]));
      if (this.#breath.due) await this.#breath.take();
    }
  }

  copySlot(from: number, to: number, length: number): void {
    this.model.backend.copySlot(from, to, length);
  }

  pretend(batch: Batch): void {
    this.model.pretend(batch);
  }

  close(): Promise<void> {
    return this.model.backend.close();
  }
}
