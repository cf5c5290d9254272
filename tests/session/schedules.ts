/**
 * Random schedules of a session: pieces of several sequences in one batch, prompts in chunks, forks, sequences that are
 * taken back or forgotten, slots that are used again; beside a list of what each sequence has.
 */
import type { Session } from "../../src/session/session.ts";
import { integers } from "../formats/seeded.ts";
import { assertEquals } from "../assert.ts";

/** Logits [V] that a session gave after some tokens. */
export interface Seen {
  readonly tokens: readonly number[];
  readonly logits: Float32Array;
  /** The operation that gave them, in words. */
  readonly where: string;
}

type Piece = { readonly slot: number; readonly tokens: number[]; readonly logits: "last" | "all" };

/** What one schedule does to a session, and what that said. */
export class Schedule {
  readonly seen: Seen[] = [];
  readonly #sequences: number[][];
  readonly #next: () => number;

  constructor(readonly session: Session, seed: number) {
    this.#next = integers(seed);
    this.#sequences = Array.from({ length: session.limits.slots }, () => []);
    this.#sequences.forEach((_, slot) => session.reset(slot));
  }

  /** Does so many operations, and compares what the session says of its sequences after each. */
  async run(operations: number): Promise<void> {
    for (let i = 0; i < operations; i++) {
      const name = ["run", "run", "run", "feed", "step", "fork", "rewind", "rewind", "reset"][this.#below(9)]!;
      await this.#operate(name, `operation ${i}, ${name}`);
      this.#sequences.forEach((tokens, slot) => assertEquals(this.session.tokens(slot), tokens, `slot ${slot}`));
    }
  }

  /** An integer from 0 up to, and without, `most`. */
  #below(most: number): number {
    return this.#next() % most;
  }

  async #operate(name: string, where: string): Promise<void> {
    const slot = this.#below(this.#sequences.length), other = this.#below(this.#sequences.length);
    switch (name) {
      case "fork":
        this.session.fork(slot, other);
        this.#sequences[other] = this.#sequences[slot]!.slice();
        return;
      case "rewind":
        return this.#rewind(slot);
      case "reset":
        return this.#forget(slot);
      case "feed":
        return await this.#feed(slot, where);
      default:
        return await this.#batch(name === "step", where);
    }
  }

  #forget(slot: number): void {
    this.session.reset(slot);
    this.#sequences[slot] = [];
  }

  /** Few different tokens: sequences are to begin alike now and then. */
  #tokens(count: number): number[] {
    return Array.from({ length: count }, () => this.#below(this.session.limits.vocab));
  }

  /** Takes a sequence back to something that begins as it does. */
  #rewind(slot: number): void {
    const own = this.#sequences[slot]!, kept = Math.max(0, own.length - this.#below(this.#below(2) === 0 ? 8 : 90));
    const length = this.session.rewind(slot, [...own.slice(0, kept), ...this.#tokens(1 + this.#below(3))]);
    this.#sequences[slot] = own.slice(0, length);
  }

  async #feed(slot: number, where: string): Promise<void> {
    const before = this.#sequences[slot]!, { context } = this.session.limits;
    const tokens = this.#tokens(Math.min(1 + this.#below(90), context - before.length));
    if (tokens.length === 0) return this.#forget(slot);
    // Of pages that are few, one sequence always has enough.
    if (this.session.paging.shares) this.#sequences.forEach((_, one) => one !== slot && this.#forget(one));
    await this.session.feed(
      { slot, tokens, logits: "all" },
      (position, logits) => this.#keep(before, tokens, position, logits, where),
    );
    before.push(...tokens);
  }

  /** One batch of all that has room in it. */
  async #batch(single: boolean, where: string): Promise<void> {
    const { maxTokens, context } = this.session.limits, pieces: Piece[] = [];
    let room = maxTokens;
    const first = this.#below(this.#sequences.length);
    for (let i = 0; i < this.#sequences.length; i++) {
      const slot = (first + i) % this.#sequences.length, wanted = single || this.#below(3) === 0 ? 1 : this.#below(40);
      const length = Math.min(wanted, room, context - this.#sequences[slot]!.length);
      if (length === 0) continue;
      room -= length;
      pieces.push({ slot, tokens: this.#tokens(length), logits: this.#below(2) === 0 ? "all" : "last" });
    }
    while (pieces.length > 0 && !this.session.paging.fits(pieces)) this.#forget(pieces.pop()!.slot);
    if (pieces.length === 0) return;
    const see = (index: number, position: number, logits: Float32Array) => {
      const { slot, tokens } = pieces[index]!;
      this.#keep(this.#sequences[slot]!, tokens, position, logits, `${where} of slot ${slot}`);
    };
    if (single) {
      const entries = pieces.map(({ slot, tokens }) => ({ slot, token: tokens[0]! }));
      await this.session.step(entries, (i, logits) => see(i, this.#sequences[entries[i]!.slot]!.length, logits));
    } else await this.session.run(pieces, see);
    for (const { slot, tokens } of pieces) this.#sequences[slot]!.push(...tokens);
  }

  #keep(before: readonly number[], tokens: number[], position: number, logits: Float32Array, where: string): void {
    const all = [...before, ...tokens.slice(0, position + 1 - before.length)];
    this.seen.push({ tokens: all, logits: logits.slice(), where: `${where}, position ${position}` });
  }
}

/**
 * What a session said that is not what sequences computed alone, in one go, have.
 *
 * @param alone Logits of every position of a sequence.
 */
export async function differences(
  seen: readonly Seen[],
  alone: (tokens: readonly number[]) => Promise<readonly Float32Array[]>,
): Promise<string[]> {
  // A sequence that is the beginning of another was computed with that.
  const longestFirst = seen.toSorted((a, b) => b.tokens.length - a.tokens.length);
  const computed = new Map<string, Float32Array>(), different: string[] = [];
  for (const { tokens, logits, where } of longestFirst) {
    if (!computed.has(tokens.join())) {
      const rows = await alone(tokens);
      rows.forEach((row, i) => computed.set(tokens.slice(0, i + 1).join(), row));
    }
    const expected = new Uint32Array(computed.get(tokens.join())!.slice().buffer);
    if (new Uint32Array(logits.buffer).some((bits, i) => bits !== expected[i])) different.push(where);
  }
  return different;
}
