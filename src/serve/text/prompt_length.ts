/**
 * Refuses texts that cannot be prompts before they are made tokens, which takes a second of processor time for a
 * megabyte or so.
 */
import { wrongField } from "../api_error.ts";
import type { ModelLimits, ServedModel } from "../engine/service.ts";
import { MAX_PROMPT_BYTES } from "../../text/prompt_bytes.ts";

/** What is known of the model whose prompt it is to be. */
type Model = Pick<ServedModel, "tokenizer" | "limits">;

/**
 * @param units UTF-16 units of the text.
 * @param field What messages call it.
 * @throws {ApiError} if the text is longer than any prompt.
 */
export function refuseLongText(units: number, field: string): void {
  if (units <= MAX_PROMPT_BYTES) return;
  const most = `expected a text of at most ${MAX_PROMPT_BYTES} characters, got ${units}`;
  throw wrongField(field, most, "context_length_exceeded");
}

/** @throws {ApiError} if a prompt of so many tokens is too long. */
export function refuseManyTokens({ promptTokens: most }: ModelLimits, tokens: number, field: string): void {
  if (tokens <= most) return;
  throw wrongField(field, `expected at most ${most} tokens, got ${tokens}`, "context_length_exceeded");
}

/**
 * @param units UTF-16 units of the text.
 * @param field What messages call it.
 * @throws {ApiError} if it makes more tokens than a prompt may have, however long each of them is.
 */
export function refuseLongPrompt({ tokenizer, limits }: Model, units: number, field: string): void {
  refuseLongText(units, field);
  const fewest = tokenizer.fewestTokens(units), most = limits.promptTokens;
  if (fewest <= most) return;
  throw wrongField(field, `expected at most ${most} tokens, got at least ${fewest}`, "context_length_exceeded");
}
