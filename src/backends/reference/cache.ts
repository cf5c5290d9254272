/** Keys and values of one layer, for all slots. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { ELEMENTS, quantize } from "../../formats/elements.ts";
import type { KvFormat } from "../../formats/format.ts";

/** Sizes of a layer's cache. */
export interface CacheSizes {
  readonly slots: number;
  /** Positions kept per slot; position p lies at p modulo it. */
  readonly capacity: number;
  /** kvHeads * D */
  readonly width: number;
}

/** What of a number survives in the cache. FP8: saturate(x / scale) to the nearest code, times scale, float32. */
export function throughCache(value: number, format: KvFormat, scale: number): number {
  switch (format) {
    case "f32":
      return value;
    case "bf16":
      return roundToBf16(value);
    case "fp8":
      return Math.fround(quantize(ELEMENTS.e4m3fn, Math.fround(value / scale)) * scale);
  }
}

/** Keys or values of one layer as they come back from the cache: [slots, capacity, width] float32. */
export class CacheHalf {
  readonly #values: Float32Array;

  constructor(readonly sizes: CacheSizes, readonly format: KvFormat, readonly scale: number) {
    this.#values = new Float32Array(sizes.slots * sizes.capacity * sizes.width);
  }

  /** The row [kvHeads * D] at a position of a slot, a view. */
  row(slot: number, position: number): Float32Array {
    const { capacity, width } = this.sizes;
    const at = (slot * capacity + position % capacity) * width;
    return this.#values.subarray(at, at + width);
  }

  store(slot: number, position: number, values: Float32Array): void {
    this.row(slot, position).set(values.map((value) => throughCache(value, this.format, this.scale)));
  }

  /** Makes one slot a copy of another, all positions. */
  copySlot(from: number, to: number): void {
    const size = this.sizes.capacity * this.sizes.width;
    this.#values.copyWithin(to * size, from * size, (from + 1) * size);
  }
}
