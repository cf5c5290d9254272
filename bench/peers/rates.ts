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
  return 1000 * sequences / median((await stepTimes(session, sequences, context, steps, picks)).slice(1));
}

/** The same of all steps but the first, as llama.cpp's benches count: their mean; and the median of each quarter. */
export async function decodeQuarters(
  session: Session,
  sequences: number,
  context: number,
  steps: number,
  picks = false,
): Promise<{ readonly rate: number; readonly quarters: readonly number[] }> {
  const times = (await stepTimes(session, sequences, context, steps, picks)).slice(1);
  const quarters = [0, 1, 2, 3].map((i) => times.slice(i * steps / 4, (i + 1) * steps / 4));
  return {
    rate: 1000 * sequences * times.length / times.reduce((sum, time) => sum + time, 0),
    quarters: quarters.map((part) => 1000 * sequences / median(part)),
  };
}

/** Milliseconds of each of `steps` + 1 steps. */
async function stepTimes(
  session: Session,
  sequences: number,
  context: number,
  steps: number,
  picks: boolean,
): Promise<number[]> {
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
  return times;
}
