/** How the next token is chosen, as it is asked for. */
import { showOrNumber } from "../describe.ts";
import { InputError } from "../errors.ts";
import type { AdjustmentOptions } from "./adjustments.ts";

/** How to choose. */
export interface SamplerOptions extends AdjustmentOptions {
  /**
   * 0 (default): the token with the largest logit, of several the one with the lowest id. Above 0: logits are divided
   * by it.
   */
  readonly temperature?: number | undefined;
  /** Only this many of the likeliest tokens, of equal ones those with lower ids; 0 (default): all. */
  readonly topK?: number | undefined;
  /**
   * Only the likeliest tokens (after `topK`) that together reach this share of the probability, the one that reaches it
   * included; 1 (default): all.
   */
  readonly topP?: number | undefined;
  /**
   * Only tokens with at least this share of the likeliest token's probability (Nguyen et al. 2024, "Min-p sampling",
   * section 3); 0 (default): all.
   */
  readonly minP?: number | undefined;
  /** 0 to 2^64 - 1, as a safe integer, a bigint, or decimal or `0x` digits; default: a random one. */
  readonly seed?: number | bigint | string | undefined;
}

/**
 * The options of a draw, with defaults.
 *
 * @throws {InputError} if one is out of range.
 */
export function checked(options: SamplerOptions) {
  const { temperature = 0, topK = 0, topP = 1, minP = 0, seed } = options;
  const within = (name: string, expected: string, given: unknown, holds: (value: number) => boolean) => {
    // Callers without types may give a text, which compares as a number.
    if (typeof given === "number" && holds(given)) return;
    throw InputError.of("wrong_value", { name }, expected, showOrNumber(given));
  };
  within("temperature", "a number of at least 0", temperature, (value) => value >= 0 && value < Infinity);
  within("topK", "an integer of at least 0", topK, (value) => Number.isInteger(value) && value >= 0);
  within("topP", "a number above 0 and up to 1", topP, (value) => value > 0 && value <= 1);
  within("minP", "a number from 0 to 1", minP, (value) => value >= 0 && value <= 1);
  return { temperature, topK, topP, minP, seed };
}
