/** Where the memory of sums over ranks lies. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { exchangedBytes, exchangeMemory, roomFor, tableBytes } from "../../../src/backends/gpu/exchanged.ts";
import { assert, assertEquals } from "../../assert.ts";

/** A range of so many bytes, and what is taken of it. */
function memoryOf(bytes: number): DeviceRange {
  const range = (offset: number, bytes: number) => ({ offset, bytes, buffer: { range } }) as unknown as DeviceRange;
  return range(0, bytes);
}

Deno.test("memory of sums over ranks: each part begins at a line of its own, within what was asked for", () => {
  for (const [tp, ep] of [[2, 1], [1, 2], [2, 2], [2, 3], [4, 2], [2, 4]] as const) {
    for (const hidden of [64, 192, 2880]) {
      for (let most = 1; most <= 600; most++) {
        const sizes = { tp, ep }, bytes = exchangedBytes(sizes, most, hidden), named = `${tp} ${ep} ${hidden} ${most}`;
        const groups = exchangeMemory(sizes, roomFor(most, hidden), memoryOf(bytes), memoryOf(tableBytes(sizes)));
        assertEquals(groups.length, tp > 1 && ep > 1 ? 2 : 1, named);
        let end = 0;
        for (const { memory } of groups) {
          for (const [name, part] of Object.entries(memory)) {
            assertEquals(part.offset % 128, 0, `${named} ${name}`);
            assert(part.offset >= end, `${named} ${name}`);
            end = part.offset + part.bytes;
          }
        }
        assert(end <= bytes, named);
      }
    }
  }
});
