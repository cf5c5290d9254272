/**
 * An engine whose tokens follow from what its pages hold: each page remembers the tokens of its positions, and the next
 * token is a sum over those that a layer of either kind would see. A page that is missing, given to two, copied late or
 * released early gives other tokens, or throws.
 */
import type { Batch } from "../../src/model/backend.ts";
import type { DecodeRequest, DecodeResult, Engine } from "../../src/model/engine.ts";
import { type LayerKinds, PAGE_POSITIONS, pagesFor } from "../../src/model/pages.ts";
import { Session } from "../../src/session/session.ts";

export const VOCAB = 97;
export const KINDS: LayerKinds = { full: 2, sliding: 2, window: 20 };

/** The token after some others. */
export function nextOf(tokens: ArrayLike<number>): number {
  let sum = 5;
  for (let i = 0; i < tokens.length; i++) sum = (sum * 31 + tokens[i]! * (i + 3)) % 100_003;
  for (let i = Math.max(0, tokens.length - KINDS.window); i < tokens.length; i++) {
    sum = (sum + 7 * tokens[i]!) % 100_003;
  }
  return sum % VOCAB;
}

/** What follows a prompt, token by token. */
export function replyTo(prompt: ArrayLike<number>, tokens: number): number[] {
  const all = Array.from(prompt);
  for (let i = 0; i < tokens; i++) all.push(nextOf(all));
  return all.slice(prompt.length);
}

/** Sizes of the session. */
export interface PagedSizes {
  readonly slots: number;
  readonly context: number;
  readonly maxTokens: number;
  /** Pages that sequences share. */
  readonly pages: number;
  readonly rewind?: number;
}

export class PagedEngine implements Engine {
  readonly info = { description: "pages", weightBytes: 0, loadMilliseconds: 0 };
  readonly scores = true;
  readonly #tables: Int32Array;
  readonly #memory: Int32Array;
  /** Tokens that were computed. */
  computed = 0;
  /** Most steps that {@linkcode decode} was asked for. */
  steps = 0;

  /** @param decodes Whether it generates by itself. */
  constructor(readonly sizes: PagedSizes, readonly decodes: boolean) {
    this.#tables = new Int32Array(2 * sizes.slots * pagesFor(sizes.context));
    this.#memory = new Int32Array((sizes.pages + 1) * PAGE_POSITIONS).fill(-1);
  }

  async compute(batch: Batch, rows: Int32Array, onRow: (row: number, logits: Float32Array) => void): Promise<void> {
    await Promise.resolve();
    const next = this.#forward(batch);
    for (const row of rows) onRow(row, new Float32Array(VOCAB).fill(-8).fill(8, next[row]!, next[row]! + 1));
  }

  canDecode(batch: Batch): boolean {
    return this.decodes && new Set(batch.slots).size === batch.slots.length;
  }

  async decode({ batch, steps, onTokens }: DecodeRequest): Promise<DecodeResult> {
    this.steps = Math.max(this.steps, steps);
    let now = batch, done = 0;
    while (done < steps) {
      const ids = this.#forward(now);
      now = { ids, slots: batch.slots, positions: now.positions.map((p) => p + 1) };
      if (!await onTokens(ids, done++, new Float64Array(ids.length))) break;
    }
    return { steps: done, hostMilliseconds: 0 };
  }

  canPick(): boolean {
    return this.decodes;
  }

  pick(batch: Batch, rows: Int32Array) {
    const next = this.#forward(batch);
    return Promise.resolve({ ids: rows.map((row) => next[row]!), logProbabilities: new Float64Array(rows.length) });
  }

  copySlot(): void {
    throw new Error("sequences share pages");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Stores a batch; gives the token after each of its own. */
  #forward({ ids, slots, positions, pages }: Batch): Int32Array {
    this.computed += ids.length;
    if (pages !== undefined) {
      const { copies, entries } = pages;
      for (let i = 0; i < copies.length; i += 2) {
        const from = copies[i]! * PAGE_POSITIONS;
        this.#memory.copyWithin(copies[i + 1]! * PAGE_POSITIONS, from, from + PAGE_POSITIONS);
      }
      for (let i = 0; i < entries.length; i += 2) this.#tables[entries[i]!] = entries[i + 1]!;
    }
    for (const kind of [0, 1]) {
      for (let row = 0; row < ids.length; row++) this.#memory[this.#at(slots[row]!, kind, positions[row]!)] = ids[row]!;
    }
    return ids.map((_, row) => {
      const slot = slots[row]!, end = positions[row]! + 1;
      const seen = (kind: number, from: number) =>
        Array.from({ length: end - from }, (_, i) => this.#memory[this.#at(slot, kind, from + i)]!);
      const all = seen(0, 0), from = Math.max(0, end - KINDS.window), window = seen(1, from);
      if (window.some((id, i) => id !== all[from + i] || id < 0)) throw new Error(`pages of slot ${slot} differ`);
      return nextOf(all);
    });
  }

  #at(slot: number, kind: number, position: number): number {
    const places = pagesFor(this.sizes.context);
    const page = this.#tables[(2 * slot + kind) * places + Math.floor(position / PAGE_POSITIONS)]!;
    if (page === 0) throw new Error(`position ${position} of slot ${slot} has no page`);
    return page * PAGE_POSITIONS + position % PAGE_POSITIONS;
  }
}

/** A session over such an engine. */
export function openPaged(sizes: PagedSizes, decodes = false): { readonly session: Session; engine: PagedEngine } {
  const engine = new PagedEngine(sizes, decodes), { slots, context, maxTokens, rewind = 0 } = sizes;
  const pages = { count: sizes.pages, kinds: KINDS };
  return { engine, session: new Session(engine, { slots, context, maxTokens, vocab: VOCAB, rewind, pages }) };
}
