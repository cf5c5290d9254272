/** Where keys and values lie in a cache of pages, for cases of kernels. */
import { ELEMENTS, encode } from "../../formats/elements.ts";
import { encodePlain } from "../../formats/encode.ts";
import type { KvFormat } from "../../formats/format.ts";
import { PAGE_POSITIONS } from "../../model/pages.ts";
import { type DeviceBuffer, input } from "./job.ts";
import type { Random } from "./random.ts";
import type { CacheFields } from "./structs.ts";

export const NUMBER: Record<KvFormat, { readonly format: number; readonly size: number }> = {
  bf16: { format: 0, size: 2 },
  f32: { format: 1, size: 4 },
  fp8: { format: 3, size: 1 },
};

/** Stored bytes of a row of numbers. */
export function cacheBytes(row: Float32Array, format: KvFormat, scale: number): Uint8Array {
  if (format !== "fp8") return encodePlain(row, format);
  const codes = new Uint8Array(row.length);
  for (let i = 0; i < row.length; i++) codes[i] = encode(ELEMENTS.e4m3fn, Math.fround(row[i]! / scale));
  return codes;
}

/** Sizes of a cache and of the attention over it. */
export interface Shape {
  readonly kv: KvFormat;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dim: number;
  readonly slots: number;
  readonly window: number;
}

/** Entries of a page table behind those that a sequence needs. */
const SPARE_ENTRIES = 3;

/** The pages of some sequences, in no order; the first page is nobody's. */
export class PageLayout {
  /** [slots][stride] */
  readonly table: Int32Array<ArrayBuffer>;
  readonly stride: number;
  /** Pages in all. */
  readonly count: number;

  /**
   * @param lengths Positions of each slot.
   * @param firsts Of each slot the first position that has a page, as those before a window have lost theirs.
   * @param r Shuffles them; null: they lie one after the other.
   */
  constructor(readonly shape: Shape, lengths: readonly number[], firsts: readonly number[], r: Random | null) {
    const entries = lengths.map((length) => Math.ceil(length / PAGE_POSITIONS));
    this.stride = Math.max(...entries) + SPARE_ENTRIES;
    this.count = 1 + entries.reduce((sum, count) => sum + count, 0);
    const pages = Array.from({ length: this.count - 1 }, (_, i) => i + 1);
    // Fisher and Yates.
    for (let i = pages.length - 1; r !== null && i > 0; i--) {
      const j = r.below(i + 1);
      [pages[i], pages[j]] = [pages[j]!, pages[i]!];
    }
    this.table = new Int32Array(lengths.length * this.stride);
    entries.forEach((count, slot) => {
      const first = Math.floor((firsts[slot] ?? 0) / PAGE_POSITIONS);
      for (let i = 0; i < count; i++) this.table[slot * this.stride + i] = i < first ? 0 : pages.pop()!;
    });
  }

  /** Bytes of either half. */
  get bytes(): number {
    return this.shape.kvHeads * this.#headBytes;
  }

  get #headBytes(): number {
    const { dim, kv } = this.shape;
    return this.count * PAGE_POSITIONS * dim * NUMBER[kv].size;
  }

  /** Byte offset of the row of a kv head and position. */
  row(slot: number, head: number, position: number): number {
    const { dim, kv } = this.shape, page = this.table[slot * this.stride + Math.floor(position / PAGE_POSITIONS)]!;
    return head * this.#headBytes + (page * PAGE_POSITIONS + position % PAGE_POSITIONS) * dim * NUMBER[kv].size;
  }

  fields(k: DeviceBuffer, v: DeviceBuffer, kScale: number, vScale: number): CacheFields {
    const pages = { pages: input(this.table), headStride: this.#headBytes, tableStride: this.stride };
    return { ...pages, ...cacheFields(this.shape, k, v, kScale, vScale) };
  }
}

function cacheFields(
  s: Shape,
  k: DeviceBuffer,
  v: DeviceBuffer,
  kScale: number,
  vScale: number,
): Omit<CacheFields, "pages" | "headStride" | "tableStride"> {
  return {
    k,
    v,
    format: NUMBER[s.kv].format,
    heads: s.heads,
    kvHeads: s.kvHeads,
    headDim: s.dim,
    window: s.window,
    kScale,
    vScale,
  };
}
