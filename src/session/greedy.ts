/** The likeliest tokens in the way that takes an engine the least time. */
import type { Tap } from "../model/gpt_oss.ts";
import type { Feed, Last } from "./batch.ts";
import { argmax } from "./likelihood.ts";
import type { Session } from "./session.ts";

/**
 * Whether the likeliest tokens of so many sequences come without their logits; scored ones only of an engine that says
 * how likely they are.
 */
export function comesPicked(session: Session, sequences: number, scored: boolean): boolean {
  return !scored || session.canPick(sequences);
}

/** Whether the engine generates for these sequences by itself, and says how likely tokens are where they are scored. */
export function comesGenerated(session: Session, entries: Last[], scored: boolean): boolean {
  return scored ? session.canScore(entries) : session.canDecode(entries);
}

/**
 * Computes one batch as {@linkcode Session.run} does, and hands out the likeliest token after every feed that wants its
 * last logits: picked by the engine, if it can, without most of the logits.
 *
 * @param onToken Receives the index of the feed and the token, in order.
 * @throws {InputError} as {@linkcode Session.pick}.
 */
export async function pickGreedily(
  session: Session,
  feeds: readonly Feed[],
  onToken: (index: number, token: number) => void,
  tap?: Tap,
): Promise<void> {
  const { engine } = session;
  if (tap === undefined && session.canPick(feeds.length)) return await session.pick(feeds, onToken);
  if (engine.likeliest === undefined) {
    return await session.run(feeds, (i, _position, logits, token) => onToken(i, token ?? argmax(logits)), tap);
  }
  await session.pick(feeds, onToken, async (batch, rows) => ({ ids: await engine.likeliest!(batch, rows, tap) }));
}
