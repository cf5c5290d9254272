/**
 * What an endpoint asks the engine for, and what it gets: token ids in, token ids out. Text, stop strings, harmony and
 * JSON are the business of those who submit.
 */
import type { Tap } from "../../model/gpt_oss.ts";
import type { SamplerOptions } from "../../session/sampler.ts";

/** Narrows what may come next, for constrained sampling. One object belongs to one job. */
export interface TokenMask {
  /**
   * Sets the logits [V] of tokens that must not come next to -Infinity; at least one must stay. Called once before each
   * choice, for all sequences of a batch one after the other: it should take well below a millisecond.
   */
  apply(logits: Float32Array): void;
  /** Takes notice of the token that was chosen, one that ends the sequence included. */
  push(id: number): void;
}

/** Looks at what is computed for a sequence, from one position on. */
export interface JobProbe {
  /** First position that is looked at; it is computed anew even where the cache has it from an earlier request. */
  readonly from: number;
  /** Receives the logits [V] after each such position, before any mask; the array is only valid during the call. */
  readonly logits?: ((position: number, logits: Float32Array) => void) | undefined;
  /** Sees intermediate results of the batches with such positions, which the sequence then has for itself. */
  readonly tap?: Tap | undefined;
}

/** One sequence to continue. */
export interface Job {
  /** At least one token; ids below the vocabulary's size. */
  readonly prompt: Int32Array;
  /** Tokens to generate at most; 0 computes the prompt alone. Prompt and these must fit {@linkcode ModelLimits}. */
  readonly maxTokens: number;
  /** Ids that end the sequence; the one that did is handed out as its last token. */
  readonly stopIds: ReadonlySet<number>;
  /** Tokens before which no stop id is chosen, unless the mask leaves nothing else; default 0. */
  readonly minTokens?: number | undefined;
  /** How to choose; without a seed another reply each time where the temperature is above 0. */
  readonly sampling: SamplerOptions;
  /**
   * Alternatives to report at each position beside the chosen token: 0 for that token's log probability alone; null for
   * none at all, which is faster.
   */
  readonly logprobs: number | null;
  /** Whether log probabilities of the prompt's tokens are wanted as well; needs `logprobs`. */
  readonly echo: boolean;
  readonly mask?: TokenMask | undefined;
  readonly probe?: JobProbe | undefined;
  /**
   * Sees each chosen token at once, before it is handed out, and may end the sequence after it by `true`: the reason is
   * `stop`. For stop strings, whose slot is then free for another sequence in the next batch.
   */
  readonly watch?: ((id: number) => boolean) | undefined;
  /** What it computes is used for jobs with the same salt alone, and so is what others computed for it. */
  readonly salt?: string | undefined;
  /** Who asks: jobs of different clients take turns when they wait for a slot. */
  readonly client: string;
  /** The request that the job is a part of: however many jobs it has, it takes one place of the queue. */
  readonly requestId: string;
  /** Ends the sequence, waiting or running, within a token; by its reason it fails, where that is an ApiError. */
  readonly signal?: AbortSignal | undefined;
}

/** A token with the natural logarithm of its probability, by the model itself: before temperature, top-p and mask. */
export interface ScoredToken {
  readonly id: number;
  /** Null where the job asked for none, and for the first token of a prompt. */
  readonly logProbability: number | null;
  /** As many of the likeliest as the job asked for, the likeliest first, of equal ones the lower id. */
  readonly top: readonly (readonly [id: number, logProbability: number])[];
}

/**
 * Why a sequence ended: a stop id or the job's watch, `maxTokens`, or the job's signal or `cancel`. One that takes
 * longer than the server allows fails, by an ApiError of status 504.
 */
export type FinishReason = "stop" | "length" | "cancelled";

/** How a sequence ended. */
export interface Outcome {
  readonly reason: FinishReason;
  readonly promptTokens: number;
  /** Tokens of the prompt whose keys and values were there from earlier requests. */
  readonly cachedTokens: number;
  /** Tokens that were handed out, one that ended the sequence included. */
  readonly generatedTokens: number;
  readonly timings: Timings;
}

/**
 * How it ended where its text did by a stop string: that may be found in what was held back, after the last token.
 *
 * @param stopString Null: there was none.
 */
export function endedBy(stopString: string | null, outcome: Outcome): Outcome {
  return stopString === null ? outcome : { ...outcome, reason: "stop" };
}

/** Wall-clock times in milliseconds; the sum is the whole. */
export interface Timings {
  /** Until it had a slot. */
  readonly queued: number;
  /** From then until the first token, or the end of a prompt without one. */
  readonly prefill: number;
  /** From then until the last token. */
  readonly decode: number;
}

/**
 * A sequence that is being generated. Tokens wait here until they are taken, so that a slow reader holds up nobody;
 * iterate once. Leaving the loop ends the sequence.
 */
export interface Generation extends AsyncIterable<ScoredToken> {
  /**
   * The prompt's tokens with their log probabilities, when all are computed: empty unless the job asked for `echo`.
   * Rejects where iterating would throw, or with `cancelled` where it ended before.
   */
  readonly prompt: Promise<readonly ScoredToken[]>;
  /** How it ended; rejects where iterating would throw. */
  readonly outcome: Promise<Outcome>;
  /** Ends it within a token. */
  cancel(): void;
}
