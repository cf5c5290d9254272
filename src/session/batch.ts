/** Batches of a session: which tokens of which sequences are computed together. */
import { show } from "../describe.ts";
import { InputError } from "../errors.ts";
import type { Batch } from "../model/backend.ts";
import type { LayerKinds } from "../model/pages.ts";

/** Tokens to append to one sequence. */
export interface Feed {
  readonly slot: number;
  readonly tokens: ArrayLike<number>;
  /** Which logits are wanted: of the last token, of all tokens, or none. */
  readonly logits: "last" | "all" | "none";
}

/** The last known token of a sequence, which is not in the cache yet. */
export interface Last {
  readonly slot: number;
  readonly token: number;
}

/** What a session's sequences share. */
export interface PoolLimits {
  readonly count: number;
  readonly kinds: LayerKinds;
}

/** Sizes that a session was opened with. */
export interface SessionLimits {
  /** Sequences alive at once. */
  readonly slots: number;
  /** Positions of one sequence. */
  readonly context: number;
  /** Tokens of one batch. */
  readonly maxTokens: number;
  readonly vocab: number;
  /** Positions that a sequence can be taken back by; absent: none. */
  readonly rewind?: number;
  /** Pages that sequences share; absent: each has a cache of its own. */
  readonly pages?: PoolLimits | undefined;
}

/**
 * A copy of the tokens to append to a sequence, of however many batches.
 *
 * @param length Positions of the sequence that are in the cache.
 * @throws {InputError} if the sequence would outgrow the context, or a token id is outside the vocabulary.
 * @throws {RangeError} if the last token's logits are wanted where there is none: the row before is another feed's.
 */
export function checkedTokens(feed: Feed, length: number, { context, vocab }: SessionLimits): Int32Array {
  const { tokens, logits } = feed;
  if (logits === "last" && tokens.length === 0) throw new RangeError("a feed without tokens has no last logits");
  refuseOutgrown(length + tokens.length, context);
  const ids = new Int32Array(tokens.length);
  for (let i = 0; i < ids.length; i++) ids[i] = tokenId(tokens[i], vocab);
  return ids;
}

/**
 * The batch that feeds make, in their order.
 *
 * @param lengthOf Positions of a slot that are in the cache.
 * @throws {InputError} or {RangeError} as {@linkcode checkedTokens}.
 */
export function batchOf(feeds: readonly Feed[], lengthOf: (slot: number) => number, limits: SessionLimits): Batch {
  const { maxTokens } = limits;
  const n = feeds.reduce((sum, f) => sum + f.tokens.length, 0);
  if (n < 1 || n > maxTokens) throw new RangeError(`a batch has ${n} tokens, expected 1 to ${maxTokens}`);
  const batch = { ids: new Int32Array(n), slots: new Int32Array(n), positions: new Int32Array(n) };
  let row = 0;
  for (const feed of feeds) {
    const { slot } = feed, length = lengthOf(slot), ids = checkedTokens(feed, length, limits);
    batch.ids.set(ids, row);
    batch.slots.fill(slot, row, row + ids.length);
    for (let i = 0; i < ids.length; i++) batch.positions[row++] = length + i;
  }
  return batch;
}

/** @throws {InputError} if a sequence of so many tokens has no room. */
export function refuseOutgrown(tokens: number, context: number): void {
  if (tokens <= context) return;
  const needed = `the sequence needs ${tokens} positions, but only ${context} were set aside`;
  throw InputError.saying("wrong_value", { name: "context" }, needed);
}

/** @throws {InputError} if it is no id of the vocabulary: a part of it would be cut off in silence. */
export function tokenId(id: unknown, vocab: number): number {
  if (typeof id === "number" && id >= 0 && id < vocab && Number.isInteger(id)) return id;
  throw InputError.of("wrong_value", { name: `token id ${show(id)}` }, `0 to ${vocab - 1}`);
}

/** The rows of a batch whose logits feeds want, and for each of them the index of its feed. */
export function wantedRows(feeds: readonly Feed[]): { readonly rows: Int32Array; readonly owners: readonly number[] } {
  const rows: number[] = [], owners: number[] = [];
  let end = 0;
  feeds.forEach((feed, index) => {
    const start = end;
    end += feed.tokens.length;
    if (feed.logits === "none") return;
    for (let row = feed.logits === "all" ? start : end - 1; row < end; row++) {
      rows.push(row);
      owners.push(index);
    }
  });
  return { rows: Int32Array.from(rows), owners };
}

/** The feed that appends a token and wants its logits. */
export const feedOf = ({ slot, token }: Last): Feed => ({ slot, tokens: [token], logits: "last" });
