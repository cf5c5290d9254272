/** A cache of pages that holds random keys and values, for cases of attention. */
import { softmaxWithSink } from "../../backends/reference/attention.ts";
import { throughCache } from "../../backends/reference/cache.ts";
import { PAGE_POSITIONS } from "../../model/pages.ts";
import { cacheBytes, PageLayout, type Shape } from "./cache_layout.ts";
import { input, output } from "./job.ts";
import { Random } from "./random.ts";
import type { CacheFields } from "./structs.ts";

/** Where a filled cache's pages lie, and what it holds. */
interface FillOptions {
  /** False: pages lie one after the other, as their table has them. */
  readonly shuffled?: boolean;
  /** Kernels write into it: what they have to add, the last position of each slot, is not there. */
  readonly changed?: boolean;
}

/**
 * A filled cache: for kernels, and by (slot, head, position) as numbers. What no token sees lies in no page or is NaN,
 * and must not count, not even times zero.
 */
export class FilledCache {
  readonly fields: CacheFields;
  readonly #pages: PageLayout;
  readonly #k = new Map<string, Float32Array>();
  readonly #v = new Map<string, Float32Array>();

  /** @param tokens Which attend to it; those at position -1 are nobody's. */
  constructor(
    r: Random,
    readonly shape: Shape,
    tokens: readonly (readonly [slot: number, position: number])[],
    { shuffled = true, changed = false }: FillOptions = {},
  ) {
    const order = r.below(2 ** 31), slots = Array.from({ length: shape.slots }, (_, slot) => slot);
    const ownOf = (slot: number) => tokens.filter(([own, p]) => own === slot && p >= 0).map(([, position]) => position);
    const lengths = slots.map((slot) => Math.max(0, ...ownOf(slot).map((p) => p + 1)));
    const firsts = slots.map((slot) =>
      shape.window > 0 ? Math.max(0, Math.min(Infinity, ...ownOf(slot)) - shape.window + 1) : 0
    );
    this.#pages = new PageLayout(shape, lengths, firsts, shuffled ? new Random(order) : null);
    const bytes = this.#pages.bytes, memory = () => changed ? output(bytes) : input(new Uint8Array(bytes).fill(0xff));
    this.fields = this.#pages.fields(memory(), memory(), Math.fround(0.021), Math.fround(0.017));
    lengths.forEach((length, slot) => {
      const first = Math.floor(firsts[slot]! / PAGE_POSITIONS) * PAGE_POSITIONS;
      for (let p = first; p < (changed ? length - 1 : length); p++) {
        for (let g = 0; g < shape.kvHeads; g++) {
          for (const which of ["k", "v"] as const) this.put(which, slot, g, p, r.row(shape.dim, true));
        }
      }
    });
  }

  /** Keeps a key or value: its number for the reference and, if `visible`, its bytes for kernels. Returns the bytes. */
  put(which: "k" | "v", slot: number, g: number, p: number, row: Float32Array, visible = true): Uint8Array {
    const { kv } = this.shape, scale = this.fields[which === "k" ? "kScale" : "vScale"];
    const bytes = cacheBytes(row, kv, scale);
    if (visible) this.fields[which].bytes.set(bytes, this.at(slot, g, p));
    const map = which === "k" ? this.#k : this.#v;
    map.set(`${slot} ${g} ${p}`, row.map((x) => throughCache(x, kv, scale)));
    return bytes;
  }

  /** Where the row of a position begins, in bytes. */
  at(slot: number, g: number, p: number): number {
    return this.#pages.row(slot, g, p);
  }

  /** Attention of one query head in float64. */
  attend(query: Float32Array, slot: number, position: number, head: number, sink: number): Float64Array {
    const { dim, heads, kvHeads, window } = this.shape, g = Math.floor(head / (heads / kvHeads));
    const first = window > 0 ? Math.max(0, position - window + 1) : 0, out = new Float64Array(dim);
    const rows = Array.from({ length: position - first + 1 }, (_, j) => `${slot} ${g} ${first + j}`);
    const scale = Math.fround(1 / Math.sqrt(dim));
    const scores = rows.map((row) => this.#k.get(row)!.reduce((sum, k, d) => sum + k * query[d]!, 0) * scale);
    softmaxWithSink(scores, sink).forEach((p, j) => this.#v.get(rows[j]!)!.forEach((v, d) => out[d]! += p * v));
    return out;
  }
}
