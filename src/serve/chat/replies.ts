/** Replies to a conversation: their jobs, and what each token does to their items. */
import type { SamplerOptions } from "../../session/sampler.ts";
import { ApiError } from "../api_error.ts";
import { endedBy, type Generation, type Outcome, type ScoredToken } from "../engine/job.ts";
import type { ServedModel } from "../engine/service.ts";
import type { Call } from "../http/endpoint.ts";
import { type ItemEvent, type ItemKind, ReplyItems, type TokenItems } from "./items.ts";
import type { Plan } from "./plan.ts";
import { type BadWords, maskOf } from "../text/bad_words.ts";

/** How replies are made. */
export interface ReplyOptions {
  /** Replies to the one conversation. */
  readonly count: number;
  readonly sampling: (index: number) => SamplerOptions;
  readonly stops: readonly string[];
  readonly stopIds: ReadonlySet<number>;
  readonly maxTokens: number;
  /** How many come before its end, of these at most. */
  readonly minTokens: (maxTokens: number) => number;
  readonly logprobs: number | null;
  /** Texts that they do not say. */
  readonly badWords: BadWords | null;
  readonly salt: string | undefined;
}

/** A reply that is being made. */
export interface Reply {
  readonly index: number;
  readonly items: ReplyItems;
  readonly generation: Generation;
}

/** What one token did, or the end. */
export interface Step {
  readonly events: readonly ItemEvent[];
  /** Null at the end. */
  readonly token: ScoredToken | null;
  /** Tokens of which it is known now what they belong to: {@linkcode TokenItems.kinds}. */
  readonly known: readonly { readonly token: ScoredToken; readonly kind: ItemKind | null }[];
  /** At the end. */
  readonly outcome: Outcome | null;
}

/** Submits a job for each reply. */
export function startReplies(
  { service, client, requestId, signal }: Pick<Call<unknown>, "service" | "client" | "requestId" | "signal">,
  model: ServedModel,
  { prompt, mask, customs }: Plan,
  { count, sampling, stops, stopIds, maxTokens, minTokens: least, logprobs, badWords, salt }: ReplyOptions,
): Reply[] {
  const minTokens = least(maxTokens);
  return Array.from({ length: count }, (_, index) => {
    const items = new ReplyItems(model.tokenizer, { stops, stopIds, minTokens, customs });
    const generation = service.submit(model, {
      prompt,
      maxTokens,
      minTokens,
      stopIds,
      sampling: sampling(index),
      logprobs,
      echo: false,
      mask: maskOf(mask, badWords),
      salt,
      watch: items.watch,
      client,
      requestId,
      signal,
    });
    return { index, items, generation };
  });
}

/**
 * The steps of a reply, its end included.
 *
 * @throws {ApiError} 499 where it was cancelled.
 */
export async function* stepsOf({ items, generation }: Reply): AsyncGenerator<Step, void, void> {
  const unknown: ScoredToken[] = [];
  const stepOf = ({ events, kinds }: TokenItems): Pick<Step, "events" | "known"> => ({
    events,
    known: kinds.map((kind) => ({ token: unknown.shift()!, kind })),
  });
  for await (const token of generation) {
    unknown.push(token);
    yield { ...stepOf(items.take()), token, outcome: null };
  }
  const outcome = await generation.outcome;
  if (outcome.reason === "cancelled") throw new ApiError(499, "the request was cancelled", { code: "cancelled" });
  yield { ...stepOf(items.finish()), token: null, outcome: endedBy(items.stopString, outcome) };
}

/** Of the tokens that a step made known, those of a kind. */
export function tokensOf({ known }: Step, kind: ItemKind): ScoredToken[] {
  return known.flatMap((one) => one.kind === kind ? [one.token] : []);
}

/** An id for what is written once, with a word in front of it as OpenAI has them. */
export function newId(word: string): string {
  return `${word}_${crypto.randomUUID().replaceAll("-", "")}`;
}
