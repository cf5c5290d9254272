/** Slot rows (token * topK + k) of a batch, sorted by the expert that each has chosen. */
import type { Areas } from "./areas.ts";
import { type Machine, wordAt } from "./machine.ts";

/** A counting sort, made once for both products of a layer's experts. */
export class SortedRows {
  readonly #ends: Int32Array;
  /** The memory where the sorted list lies; -1: there is none yet. */
  #memory = -1;

  /**
   * @param experts Experts of the whole model.
   * @param expertStart Number of the first one here.
   */
  constructor(
    readonly machine: Machine,
    readonly areas: Areas<string>,
    experts: number,
    readonly expertStart: number,
  ) {
    this.#ends = new Int32Array(experts + 1);
  }

  /** Other experts are chosen than before. */
  forget(): void {
    this.#memory = -1;
  }

  /**
   * Ascending rows within an expert. Rows of other ranks' experts are left out, and stay zero.
   *
   * @param experts How many are here.
   * @param into Word of the memory from which on the list is written.
   * @returns End of each expert's part of it, and behind them the end of all.
   */
  of(memory: number, experts: number, slotRows: number, into: number): Int32Array {
    const ends = this.#ends;
    if (this.#memory === memory) return ends;
    const { i32 } = this.machine.views[memory]!, ids = wordAt(this.areas.routeIds);
    const owner = (row: number): number => {
      const expert = i32[ids + row]! - this.expertStart;
      return expert < experts ? expert : -1;
    };
    ends.fill(0);
    for (let row = 0; row < slotRows; row++) if (owner(row) >= 0) ends[owner(row) + 1]!++;
    for (let e = 0; e < experts; e++) ends[e + 1]! += ends[e]!;
    // What was the start of an expert's part becomes its end.
    for (let row = 0; row < slotRows; row++) if (owner(row) >= 0) i32[into + ends[owner(row)]!++] = row;
    this.#memory = memory;
    return ends;
  }
}
