/** Which tokens of which sequences the next batch has. */
import type { Feed } from "../../session/batch.ts";
import type { Sequence } from "./sequence.ts";

/** A sequence with its slot. */
export interface Active {
  readonly slot: number;
  readonly sequence: Sequence;
}

/** What of a sequence is computed in a batch. */
export interface Share extends Active {
  readonly feed: Feed;
}

/**
 * One token of each sequence that generates, and pieces of prompts in the room that is left: half of it for the one
 * that came first, then those of which the least is left, so that a short prompt does not wait for the end of a long
 * one, nor a long one for ever. A sequence whose intermediate results are looked at is alone.
 *
 * @param active In the order in which they came.
 * @param room Tokens of a batch.
 */
export function planBatch(active: readonly Active[], room: number): Share[] {
  const begun = active.filter(({ sequence }) => sequence.begun);
  const tapped = begun.find(({ sequence }) => sequence.tap !== undefined);
  const shares: Share[] = [];
  const add = ({ slot, sequence }: Active, most: number) => {
    const feed = sequence.feed(slot, most);
    shares.push({ slot, sequence, feed });
    room -= feed.tokens.length;
  };
  if (tapped !== undefined) {
    add(tapped, room);
    return shares;
  }
  for (const one of begun) if (one.sequence.decodes && room > 0) add(one, 1);
  const prompts = begun.filter(({ sequence }) => !sequence.decodes);
  const parts = new Map<Active, number>(), left = ({ sequence }: Active) => sequence.promptLeft;
  const give = (one: Active, most: number) => {
    const more = Math.min(most, room, left(one) - (parts.get(one) ?? 0));
    parts.set(one, (parts.get(one) ?? 0) + more);
    room -= more;
  };
  const [first] = prompts;
  if (first === undefined) return shares;
  give(first, Math.ceil(room / 2));
  for (const one of prompts.toSorted((a, b) => left(a) - left(b))) give(one, room);
  for (const [one, part] of parts) {
    if (part > 0) shares.push({ ...one, feed: one.sequence.feed(one.slot, part) });
  }
  return shares;
}
