/** The likeliest tokens, from logits or without most of them; see `pick` in wasm/ABI.md. */
import { STORED_FORMATS } from "../../formats/format.ts";
import { type Areas, type EmulateTensor, padded } from "./areas.ts";
import type { Gemm } from "./gemm.ts";
import { PICK_TILE } from "./kept_digits.ts";
import { type Machine, wordAt } from "./machine.ts";
import type { EmulateLinear } from "./weights.ts";

/** Columns whose products surely fit the kernel's sums. */
const MOST_COLUMNS = 65_536;
/** Rows below which all logits take less time, and about as long as that many bringing weights to bytes takes. */
const LEAST_ROWS = 12, BRINGING_ROWS = 16;
/** The least rows on processors without a dot product of bytes, where pairs of them are multiplied. */
const LEAST_ROWS_BY_PAIRS = 32;
/** The same of bytes that were kept; one sequence alone is computed as where it is the only one there may be. */
const LEAST_KEPT_ROWS = 2, READING_ROWS = 6;

/** Words of a row's facts, as `digits` writes them, and the places of some. */
const FACTS = { words: 8, fits: 0, norm: 1, rest: 3, dots: 6 } as const;
/**
 * What a row's first digits may leave of it, times the root of its columns, before all weights are multiplied with its
 * second ones, too: of random ones an eighth of the logits has to be looked at with both then.
 */
const MOST_LEFT = 2.5;

/** Words of what a thread has seen of a row, at the beginning of its scratch, and an id that no token has. */
const BEST = { words: 4, id: 1, odd: 2, count: 3 } as const, NONE = 0x7fff_ffff;
/** Part of the logits beyond which computing them one by one takes longer than all, and picks that then do without. */
const MOST_COMPUTED = 1 / 12, PAUSE = 32;

export class Picker {
  /** Picks that are still made from all logits, since too many were computed. */
  #pause = 0;

  /** @param kept Address of digits of the head that are kept, in its memory; 0: they are not. */
  constructor(
    readonly machine: Machine,
    readonly areas: Areas<string>,
    readonly gemm: Gemm,
    readonly kept: number,
  ) {}

  /** {@linkcode Backend.likeliest} of logits that were computed. */
  ofLogits({ memory, rows: vocab }: EmulateLinear, rows: number): Int32Array {
    const { logits, likeliest } = this.areas, at = wordAt(likeliest);
    this.machine.describe(memory).begin(logits, vocab, vocab, likeliest);
    // Three passes at most, of four numbers each.
    this.machine.run("likeliest", memory, rows, vocab);
    return this.machine.views[memory]!.i32.subarray(at, at + rows);
  }

  /** {@linkcode Backend.greedy}. */
  pick(x: EmulateTensor, head: EmulateLinear, rows: Int32Array): Int32Array | undefined {
    if (this.#pause > 0) {
      this.#pause--;
      return undefined;
    }
    const n = rows.length, { memory, cols } = head, { machine, areas: { prepared, logits } } = this;
    if (!this.suits(head, n)) return undefined;
    // What takes part lies where logits would.
    const facts = logits, digits = facts + 4 * FACTS.words * n, pairs = digits + 2 * cols * n, floors = pairs + 8 * n;
    this.gemm.prepareLogits(x, head, rows);
    machine.describe(memory).begin(prepared, padded(cols), cols, digits, facts);
    machine.run("digits", memory, n, 16 * cols);
    const listed = this.#pairs(head, n);
    if (listed === undefined) return undefined;
    const { i32, f32 } = machine.views[memory]!;
    i32.set(listed, wordAt(pairs));
    f32.fill(-Infinity, wordAt(floors), wordAt(floors) + n);
    for (const at of this.#bests(n)) {
      f32[at] = -Infinity;
      i32.set([NONE, NONE, 0], at + 1);
    }
    const { weight, rowStride, rows: vocab } = head, count = listed.length / 2;
    machine.describe(memory)
      .begin(weight, rowStride, vocab, cols, prepared, padded(cols), digits, facts, pairs, count, n, floors)
      .u32(this.kept)
      .u32(0);
    const work = PICK_TILE * cols * (2 * count + (this.kept === 0 ? BRINGING_ROWS : READING_ROWS)) / 4;
    machine.run("pick", memory, Math.ceil(vocab / PICK_TILE), work);
    machine.end();
    return this.#joined(head, n);
  }

  /** {@linkcode Backend.picksGreedily}. */
  suits(head: EmulateLinear, rows: number): boolean {
    const { areas: { logitRows, vocab } } = this, { cols } = head;
    return rows >= (this.kept === 0 ? LEAST_ROWS : LEAST_KEPT_ROWS) && rows <= logitRows &&
      head.format === STORED_FORMATS.bf16.wasm &&
      head.transposed === 0 && head.scaleKind === 0 && head.bias === 0 && !head.multipliesCodes &&
      head.rows > 0 && cols % 32 === 0 && cols <= MOST_COLUMNS && 4 * FACTS.words + 2 * cols + 12 <= 4 * vocab;
  }

  /** The rows of digits that are multiplied together; undefined where a row has none, or they are not worth it. */
  #pairs({ memory, cols }: EmulateLinear, n: number): number[] | undefined {
    const { i32, f32 } = this.machine.views[memory]!, one: number[] = [], two: number[] = [];
    for (let row = 0; row < n; row++) {
      const at = wordAt(this.areas.logits) + FACTS.words * row;
      if (i32[at + FACTS.fits] === 0) return undefined;
      if (i32[at + FACTS.dots] === 0 && this.kept === 0 && n < LEAST_ROWS_BY_PAIRS) return undefined;
      const left = f32[at + FACTS.rest]! * Math.sqrt(cols);
      if (left <= MOST_LEFT * f32[at + FACTS.norm]!) one.push(2 * row);
      else two.push(2 * row, 2 * row + 1);
    }
    // An odd one is multiplied twice.
    return [...one, ...one.length % 2 === 1 ? one.slice(-1) : [], ...two];
  }

  /** Where each thread's scratch has what it has seen of each row. */
  *#bests(n: number): Generator<number> {
    const { machine: { threads }, areas: { scratch, scratchBytes } } = this;
    for (let thread = 0; thread < threads; thread++) {
      const first = wordAt(scratch + thread * scratchBytes);
      for (let row = 0; row < n; row++) yield first + BEST.words * row;
    }
  }

  /** What all threads have seen together. */
  #joined({ memory, rows: vocab }: EmulateLinear, n: number): Int32Array {
    const { machine, areas: { likeliest } } = this, { i32, f32 } = machine.views[memory]!;
    const first = wordAt(likeliest), ids = i32.subarray(first, first + n).fill(NONE);
    const logits = new Float32Array(n).fill(-Infinity), odd = new Int32Array(n).fill(NONE);
    let row = 0, computed = 0;
    for (const at of this.#bests(n)) {
      const logit = f32[at]!, id = i32[at + BEST.id]!;
      if (logit > logits[row]! || logit === logits[row]! && id < ids[row]!) {
        logits[row] = logit;
        ids[row] = id;
      }
      odd[row] = Math.min(odd[row]!, i32[at + BEST.odd]!);
      computed += i32[at + BEST.count]!;
      row = (row + 1) % n;
    }
    odd.forEach((id, row) => {
      if (id !== NONE) ids[row] = ~id;
    });
    if (computed > MOST_COMPUTED * n * vocab) this.#pause = PAUSE;
    return ids;
  }
}
