/** Autoregressive generation on top of a session: one token at a time, from logits to ids. */
import type { Sampling } from "../model/engine.ts";
import { Relay } from "./relay.ts";
import type { Session } from "./session.ts";

/** Chooses a token id from logits [V]; see `sampler.ts`. */
export interface Picker {
  /** @param likeliest The token of the largest logit, where it is known. */
  sample(logits: Float32Array, likeliest?: number): number;
  /** How an engine can pick the next tokens as {@linkcode Picker.sample} would; absent where that takes the logits. */
  readonly sampling?: ((tokens: number) => Sampling) | undefined;
  /** Takes notice that an engine picked tokens. */
  skip?(tokens: number): void;
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
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** From the start to the logits of the prompt's last token. */
  readonly prefillMilliseconds: number;
  /** Tokens of the reply; the first comes out of the prefill. */
  readonly generatedTokens: number;
  /** From then to the last token. */
  readonly decodeMilliseconds: number;
}

/** How generation ended. */
export interface Finish {
  /** Why. */
  readonly reason: FinishReason;
  /** How long it took. */
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
    (_position, logits, likeliest) => next = picker.sample(logits, likeliest),
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
  const room = () => Math.min(maxTokens - generated, session.limits.context - session.length(slot));
  const ended = (): FinishReason | null =>
    stopIds.has(next) ? "stop" : generated >= maxTokens ? "length" : room() <= 0 ? "context" : null;
  generated++;
  yield next;
  for (let reason = ended();; reason = ended()) {
    if (reason) return finish(reason);
    if (picker.sampling && session.canDecode([{ slot, token: next }])) {
      for await (const token of decoded(session, slot, next, picker, room())) {
        next = token;
        generated++;
        yield next;
        if (stopIds.has(next)) break;
      }
    } else {
      await session.step(
        [{ slot, token: next }],
        (_index, logits, likeliest) => next = picker.sample(logits, likeliest),
      );
      generated++;
      yield next;
    }
  }
}

/**
 * Up to `steps` tokens after `token`, picked by the engine, which computes ahead while the caller looks at one. The
 * sequence and the picker are as if only those had been computed that were handed out.
 */
async function* decoded(
  session: Session,
  slot: number,
  token: number,
  picker: Picker,
  steps: number,
): AsyncGenerator<number, void, void> {
  const relay = new Relay<number>();
  const work = session.decode([{ slot, token }], {
    steps,
    sampling: [picker.sampling!(steps)],
    // What is no token is said when the work ends.
    onTokens: ([id]) => id! >= 0 && relay.put(id!),
  }).then((done) => {
    picker.skip?.(done);
    relay.end();
  }, (thrown) => {
    relay.fail(thrown);
    throw thrown;
  });
  // The relay throws a failure where tokens are taken; without this it would count as an unhandled rejection besides.
  work.catch(() => {});
  try {
    for (let next = await relay.take(); next !== null; next = await relay.take()) yield next.value;
  } finally {
    relay.leave();
    await work;
  }
}
