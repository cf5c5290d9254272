/** Tokens per second of a session, by the clock. */
import { median } from "../../src/median.ts";
import { pickGreedily } from "../../src/session/greedy.ts";
import type { Session } from "../../src/session/session.ts";

const tokenAt = (session: Session, i: number): number => (i * 7919 + 13) % session.limits.vocab;

/** Tokens per second of prompts of so many tokens, `runs` times after a short one. */
export async function prefill(session: Session, tokens: number, runs: number): Promise<number[]> {
  const ids = Array.from({ length: tokens }, (_, i) => tokenAt(session, i));
  const run = async (count: number) => {
    session.reset(0);
    const began = performance.now();
    await session.feed({ slot: 0, tokens: ids.slice(0, count), logits: "last" });
    return 1000 * count / (performance.now() - began);
  };
  await run(Math.min(tokens, 64));
  const rates: number[] = [];
  while (rates.length < runs) rates.push(await run(tokens));
  return rates;
}

/**
 * Tokens per second of steps that decode one token of each of so many sequences: the median step.
 *
 * @param picks Whether the likeliest tokens are all that is wanted of a step, as by `eval --logprobs none`.
 */
export async function decode(
  session: Session,
  sequences: number,
  context: number,
  steps: number,
  picks = false,
): Promise<number> {
  for (let slot = 0; slot < sequences; slot++) {
    session.reset(slot);
    await session.pretend(slot, context);
  }
  const times: number[] = [];
  for (let i = 0; i <= steps; i++) {
    const entries = Array.from({ length: sequences }, (_, slot) => ({
      slot,
      token: tokenAt(session, i * sequences + slot),
    }));
    const began = performance.now();
    if (picks) {
      await pickGreedily(
        session,
        entries.map(({ slot, token }) => ({ slot, tokens: [token], logits: "last" })),
        () => {},
      );
    } else await session.step(entries, () => {});
    times.push(performance.now() - began);
  }
  return 1000 * sequences / median(times.slice(1));
}
