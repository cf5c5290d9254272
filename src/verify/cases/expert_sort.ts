/** Cases of `expert_sort`, and what it computes, which the experts' products read. */
import { exactly, type KernelCase, worstOf } from "./check.ts";
import { i32, input, ints, output, pointer } from "./job.ts";
import { Random } from "./random.ts";

/** Experts among which those with most rows come first. */
const WINDOW = 128;

/** Slot rows by local expert, their offsets and tiles: what expert_sort computes. */
export function sortByExpert(ids: Int32Array, first: number, count: number, tileRows: number) {
  const sorted: number[] = [], offsets = [0], tiles: number[] = [];
  for (let e = 0; e < count; e++) {
    ids.forEach((id, slot) => id - first === e && sorted.push(slot));
    offsets.push(sorted.length);
  }
  const rows = (e: number) => offsets[e + 1]! - offsets[e]!;
  for (let base = 0; base < count; base += WINDOW) {
    const window = Array.from({ length: Math.min(WINDOW, count - base) }, (_, i) => base + i);
    for (const e of window.sort((a, b) => rows(b) - rows(a) || a - b)) {
      for (let at = offsets[e]!; at < offsets[e + 1]!; at += tileRows) tiles.push(e, at);
    }
  }
  return { sorted: Int32Array.from(sorted), offsets: Int32Array.from(offsets), tiles: Int32Array.from(tiles) };
}

/** A launch of `expert_sort` with random choices. */
export function sortCase(
  seed: number,
  slots: number,
  experts: number,
  first: number,
  count: number,
  tileRows: number,
): KernelCase {
  const r = new Random(seed), ids = Int32Array.from({ length: slots }, () => Math.floor(r.next() ** 2 * experts));
  const want = sortByExpert(ids, first, count, tileRows), most = Math.ceil(slots / tileRows) + count;
  const sorted = output(4 * slots), offsets = output(4 * (count + 1)), tiles = output(8 * most), used = output(4);
  return {
    name: `expert_sort ${slots} slot rows, experts ${first} to ${
      first + count - 1
    } of ${experts}, tiles of ${tileRows}`,
    job: {
      entry: "expert_sort",
      grid: [1, 1, 1],
      threads: 1024,
      lds: 0,
      arguments: [
        ...[pointer(input(ids)), i32(slots), i32(first), i32(count), i32(tileRows)],
        ...[pointer(sorted), pointer(offsets), pointer(tiles), pointer(used)],
      ],
    },
    check: () =>
      worstOf(
        exactly(ints(sorted).subarray(0, want.sorted.length), want.sorted),
        exactly(ints(offsets), want.offsets),
        exactly(ints(used), [want.tiles.length / 2]),
        exactly(ints(tiles).subarray(0, want.tiles.length), want.tiles),
      ),
  };
}
