/**
 * What a request adds to logits, or takes from them, before a token is chosen: a bias for some tokens, and penalties
 * for those that were there before.
 *
 * In this order, as vLLM and transformers apply them, each step in float32:
 *
 * 1. Bias: `logit + bias`, as OpenAI's `logit_bias`.
 * 2. Repetition penalty of CTRL (Keskar et al. 2019, section 4.1, with the sign as transformers'
 *    RepetitionPenaltyLogitsProcessor has it): of tokens of the prompt or the reply `logit / penalty` where it is above
 *    0, else `logit * penalty`.
 * 3. `logit - frequency * count - presence`, of tokens that the reply has `count` times, count above 0: the formula of
 *    OpenAI's documentation of its penalties, which vLLM rounds after each of the two.
 */
import { showOrNumber } from "../describe.ts";
import { InputError } from "../errors.ts";

/** What to change; all of it by default nothing. */
export interface AdjustmentOptions {
  /** By token id: what is added to its logit. Ids beyond the vocabulary have no effect. */
  readonly logitBias?: ReadonlyMap<number, number> | undefined;
  /** Above 0; 1 (default) changes nothing, and above it what was there before becomes less likely. */
  readonly repetitionPenalty?: number | undefined;
  /** Default: 0. */
  readonly frequencyPenalty?: number | undefined;
  /** Default: 0. */
  readonly presencePenalty?: number | undefined;
}

const { fround } = Math;
/** The largest float32, and the least above 0. */
export const LARGEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127, LEAST_FLOAT32 = 2 ** -149;

/** In float32; what would be infinite is as large as a number can be, since a logit that is none is a failure. */
const finite = (value: number): number => fround(Math.max(-LARGEST_FLOAT32, Math.min(LARGEST_FLOAT32, value)));

/** Changes logits in place for one sequence, and back. */
export class Adjustments {
  readonly #bias: ReadonlyMap<number, number>;
  readonly #repetition: number;
  readonly #frequency: number;
  readonly #presence: number;
  /** Tokens of prompt and reply, and how often the reply has each. */
  readonly #counts = new Map<number, number>();
  /** The logits that were changed, as they were before. */
  readonly #before = new Map<number, number>();

  private constructor(
    { logitBias = new Map(), repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 }: AdjustmentOptions,
    prompt: ArrayLike<number>,
  ) {
    const numbers: [name: string, value: number, least: number][] = [
      ["repetitionPenalty", repetitionPenalty, Number.MIN_VALUE],
      ["frequencyPenalty", frequencyPenalty, -Infinity],
      ["presencePenalty", presencePenalty, -Infinity],
      ...Array.from(logitBias.values(), (bias): [string, number, number] => ["logitBias", bias, -Infinity]),
    ];
    for (const [name, value, least] of numbers) {
      if (typeof value === "number" && Number.isFinite(fround(value)) && value >= least) continue;
      const expected = `a finite number${least > 0 ? " above 0" : ""} that float32 holds`;
      throw InputError.of("wrong_value", { name }, expected, showOrNumber(value));
    }
    this.#bias = logitBias;
    this.#repetition = Math.max(LEAST_FLOAT32, fround(repetitionPenalty));
    this.#frequency = fround(frequencyPenalty);
    this.#presence = fround(presencePenalty);
    if (this.#repetition !== 1) { for (let i = 0; i < prompt.length; i++) this.#counts.set(prompt[i]!, 0); }
  }

  /**
   * @param prompt Tokens before the reply.
   * @returns Null where nothing is to be changed.
   * @throws {InputError} if an option is out of range.
   */
  static of(options: AdjustmentOptions, prompt: ArrayLike<number>): Adjustments | null {
    const made = new Adjustments(options, prompt);
    const idle = made.#bias.size === 0 && made.#repetition === 1 && made.#frequency === 0 && made.#presence === 0;
    return idle ? null : made;
  }

  /** Changes the logits [V] of the next token, -Infinity excepted, until {@linkcode Adjustments.undo}. */
  apply(logits: Float32Array): void {
    for (const [id, bias] of this.#bias) this.#set(logits, id, (logit) => finite(logit + fround(bias)));
    const repetition = this.#repetition;
    for (const [id, count] of this.#counts) {
      this.#set(logits, id, (logit) => {
        const once = finite(logit > 0 ? logit / repetition : logit * repetition);
        return count === 0 ? once : finite(finite(once - finite(this.#frequency * count)) - this.#presence);
      });
    }
  }

  /** Gives the logits back as they were. */
  undo(logits: Float32Array): void {
    for (const [id, logit] of this.#before) logits[id] = logit;
    this.#before.clear();
  }

  /** Takes notice of the token that was chosen. */
  took(id: number): void {
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  #set(logits: Float32Array, id: number, change: (logit: number) => number): void {
    const logit = logits[id];
    if (logit === undefined || !Number.isFinite(logit)) return;
    if (!this.#before.has(id)) this.#before.set(id, logit);
    logits[id] = change(logit);
  }
}
