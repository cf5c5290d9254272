/** Autoregressive generation on top of a session: one token at a time, from logits to ids. */
import type { Session } from "./session.ts";

/** Chooses a token id from logits [V]; see `sampler.ts`. */
export interface Picker {
  sample(logits: Float32Array): number;
}

/** What to generate. */
export interface GenerateOptions {
  readonly session: Session;
  readonly slot: number;
  /** Prompt tokens to append to the sequence first; at least one. */
  readonly prompt: ArrayLike<number>;
  readonly picker: Picker;
  /** Ids that end generation; the stop token itself is yielded last. */
  readonly stopIds: ReadonlySet<number>;
  readonly maxTokens: number;
  /** Called after each prefill chunk with prompt tokens done. */
  readonly onPrefill?: (done: number, total: number) => void;
}

/** Why generation ended: a stop token was sampled, `maxTokens` was reached, or the sequence filled its context. */
export type FinishReason = "stop" | "length" | "context";

/** Wall-clock times of one generation, in milliseconds, and token counts. */
export interface Timings {
  readonly promptTokens: number;
  readonly prefillMilliseconds: number;
  readonly generatedTokens: number;
  readonly decodeMilliseconds: number;
}

/** How generation ended. */
export interface Finish {
  readonly reason: FinishReason;
  readonly timings: Timings;
}

/**
 * Yields generated token ids, the stop token included, and returns how it ended.
 *
 * The caller may stop iterating at any time; the sequence then holds every token that was fed so far.
 */
export async function* generate(options: GenerateOptions): AsyncGenerator<number, Finish, void> {
  const { session, slot, prompt, picker, stopIds, maxTokens } = options;
  const started = performance.now();
  let next = -1;
  await session.feed(
    { slot, tokens: prompt, logits: "last" },
    (_position, logits) => next = picker.sample(logits),
    undefined,
    (done) => options.onPrefill?.(done, prompt.length),
  );
  const prefilled = performance.now();
  let generated = 0;
  const finish = (reason: FinishReason): Finish => ({
    reason,
    timings: {
      promptTokens: prompt.length,
      prefillMilliseconds: prefilled - started,
      generatedTokens: generated,
      decodeMilliseconds: performance.now() - prefilled,
    },
  });
  if (maxTokens <= 0) return finish("length");
  while (true) {
    generated++;
    yield next;
    if (stopIds.has(next)) return finish("stop");
    if (generated >= maxTokens) return finish("length");
    if (session.length(slot) >= session.limits.context) return finish("context");
    await session.step([{ slot, token: next }], (_index, logits) => next = picker.sample(logits));
  }
}
