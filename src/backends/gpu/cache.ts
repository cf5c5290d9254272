/** Copies inside a layer's KV cache. */
import type { DeviceRange, Stream } from "../../../ffi/runtime.ts";
import type { Cache } from "./abi.ts";

/** Copies the first `length` positions of a sequence from one slot to another; of a ring, those that it still holds. */
export function copyCacheSlot(stream: Stream, cache: Cache, from: number, to: number, length: number): void {
  const bytes = Math.min(length, cache.capacity) * cache.headDim * cache.elementBytes;
  if (bytes === 0) return;
  for (const half of [cache.k, cache.v]) {
    for (let head = 0; head < cache.kvHeads; head++) {
      const at = (slot: number) => part(half, slot * cache.slotStride + head * cache.headStride, bytes);
      stream.copy(at(to), at(from), bytes);
    }
  }
}

function part(range: DeviceRange, offset: number, bytes: number): DeviceRange {
  return range.buffer.range(range.offset + offset, bytes);
}
