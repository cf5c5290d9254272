/** Where keys and values lie in a cache, for cases of kernels. */
import { ELEMENTS, encode } from "../../formats/elements.ts";
import { encodePlain } from "../../formats/encode.ts";
import type { KvFormat } from "../../formats/format.ts";
import type { DeviceBuffer } from "./job.ts";
import type { CacheFields } from "./structs.ts";

export const NUMBER: Record<KvFormat, { readonly format: number; readonly size: number }> = {
  bf16: { format: 0, size: 2 },
  f32: { format: 1, size: 4 },
  fp8: { format: 3, size: 1 },
};

/** Stored bytes of a number. */
export function cacheBytes(value: number, format: KvFormat, scale: number): Uint8Array {
  if (format === "fp8") return Uint8Array.of(encode(ELEMENTS.e4m3fn, Math.fround(value / scale)));
  return encodePlain(Float32Array.of(value), format);
}

/** Sizes of a cache and of the attention over it. */
export interface Shape {
  readonly kv: KvFormat;
  readonly heads: number;
  readonly kvHeads: number;
  readonly dim: number;
  readonly slots: number;
  readonly capacity: number;
  readonly window: number;
}

export function cacheFields(s: Shape, k: DeviceBuffer, v: DeviceBuffer, kScale: number, vScale: number): CacheFields {
  const { format, size } = NUMBER[s.kv];
  return {
    ...{
      k,
      v,
      format,
      capacity: s.capacity,
      heads: s.heads,
      kvHeads: s.kvHeads,
      headDim: s.dim,
      window: s.window,
      kScale,
      vScale,
    },
    headStride: s.capacity * s.dim * size,
    slotStride: s.kvHeads * s.capacity * s.dim * size,
  };
}
