/**
 * Refuses texts that cannot be prompts before they are made tokens, which takes a second of processor time for a
 * megabyte or so.
 */
import { type ApiError, wrongField } from "../api_error.ts";
import type { ModelLimits, ServedModel } from "../engine/service.ts";
import { MAX_PROMPT_BYTES } from "../../text/prompt_bytes.ts";

/** What is known of the model whose prompt it is to be. */
type Model = Pick<ServedModel, "tokenizer" | "limits">;

/**
 * What does not fit a model. Beside the code there are OpenAI's own words, by which litellm, and what is built upon it,
 * knows that a shorter conversation may do.
 *
 * @param field What messages call it.
 */
export function tooLong({ context }: ModelLimits, field: string, message: string): ApiError {
  const words = `${message}; this model's maximum context length is ${context} tokens`;
  return wrongField(field, words, "context_length_exceeded");
}

/**
 * @param units UTF-16 units of the text.
 * @param field What messages call it.
 * @param limits Of the model whose prompt it is to be; none: it is not to be one.
 * @throws {ApiError} if the text is longer than any prompt.
 */
export function refuseLongText(units: number, field: string, limits?: ModelLimits): void {
  if (units <= MAX_PROMPT_BYTES) return;
  const most = `expected a text of at most ${MAX_PROMPT_BYTES} characters, got ${units}`;
  throw limits === undefined ? wrongField(field, most, "context_length_exceeded") : tooLong(limits, field, most);
}

/** @throws {ApiError} if a prompt of so many tokens is too long. */
export function refuseManyTokens(limits: ModelLimits, tokens: number, field: string): void {
  const most = limits.promptTokens;
  if (tokens > most) throw tooLong(limits, field, `expected at most ${most} tokens, got ${tokens}`);
}

/**
 * @param units UTF-16 units of the text.
 * @param field What messages call it.
 * @throws {ApiError} if it makes more tokens than a prompt may have, however long each of them is.
 */
export function refuseLongPrompt({ tokenizer, limits }: Model, units: number, field: string): void {
  refuseLongText(units, field, limits);
  const fewest = tokenizer.fewestTokens(units), most = limits.promptTokens;
  if (fewest > most) throw tooLong(limits, field, `expected at most ${most} tokens, got at least ${fewest}`);
}
