/** Which pages sequences of a pool need, take and give back, counted by hand. */
import { PAGE_POSITIONS } from "../../src/model/pages.ts";
import { PagePool, type PoolSize, type Sharing } from "../../src/session/page_pool.ts";
import { assertEquals } from "../assert.ts";

const KINDS = { full: 2, sliding: 2, window: 20 };
const SIZE: PoolSize = { count: 100, slots: 2, context: 640, maxTokens: 64, rewind: 0, kinds: KINDS };

/** Pages of the smallest pool that has room for these sequences. */
function fewest(sequences: readonly Sharing[], size: Partial<PoolSize> = {}): number {
  let count = 0;
  while (!new PagePool({ ...SIZE, ...size, count }, () => 0).holds(sequences)) count++;
  return count;
}

Deno.test("holds() counts what sequences have of their own and a page to grow, their windows, and a batch", () => {
  assertEquals(PAGE_POSITIONS, 64);
  const one = { length: 100, shared: 0 };
  // Positions 0 to 163 lie in three pages; a window lies in two, and so may a batch, of which there is one.
  assertEquals([fewest([one]), fewest([one, one])], [3 + 2 + 2, 2 * (3 + 2) + 2]);
  assertEquals(fewest([one], { maxTokens: 65 }), 3 + 2 + 3);
  // Of what it shares the whole pages are another's.
  const sharing = (shared: number) => fewest([{ length: 100, shared }]);
  assertEquals([sharing(63), sharing(64), sharing(70)], [7, 6, 6]);
  // Where the context ends nothing grows, but the last page is written to.
  assertEquals(fewest([{ length: 128, shared: 128 }], { context: 128 }), 1 + 2 + 2);
  assertEquals([fewest([{ length: 128, shared: 128 }]), fewest([{ length: 0, shared: 0 }])], [1 + 2 + 2, 1 + 1 + 2]);
  // However many layers there are of a kind they share its pages, and a kind of which there is none takes nothing.
  assertEquals(fewest([one, one], { kinds: { full: 1, sliding: 1, window: 20 } }), 2 * (3 + 2) + 2);
  assertEquals(fewest([one, one], { kinds: { ...KINDS, sliding: 0 } }), 2 * 3);
  assertEquals(fewest([one, one], { kinds: { ...KINDS, full: 0 } }), 2 * 2 + 2);
});

Deno.test("reserve() takes pages of the kinds of layers that there are, and says nothing where nothing changes", () => {
  for (
    const [kinds, expected] of [
      ...([[KINDS, 4], [{ ...KINDS, sliding: 0 }, 2], [{ ...KINDS, full: 0 }, 2]] as const),
      // A layer of a kind takes as many as several.
      ...([[{ ...KINDS, full: 1, sliding: 1 }, 4], [{ ...KINDS, full: 0, sliding: 1 }, 2]] as const),
    ]
  ) {
    const lengths = [0, 0], pool = new PagePool({ ...SIZE, kinds }, (slot) => lengths[slot]!);
    const changes = pool.reserve([{ slot: 1, start: 0, end: 100 }])!;
    assertEquals([changes.copies.length, changes.entries.length / 2, pool.use.used], [0, expected, expected]);
    lengths[1] = 100;
    assertEquals(pool.reserve([{ slot: 1, start: 100, end: 128 }]), undefined);
    assertEquals(pool.reserve([{ slot: 1, start: 100, end: 129 }])!.entries.length / 2, expected / 2);
    pool.release(1);
    assertEquals(pool.use.used, 0);
  }
});

Deno.test("reserve() copies of shared pages the one that is written to from its midst, and no other", () => {
  const lengths = [300, 0], pool = new PagePool({ ...SIZE, kinds: { ...KINDS, sliding: 0 } }, (slot) => lengths[slot]!);
  const first = pool.reserve([{ slot: 0, start: 0, end: 300 }])!.entries, places = 640 / 64;
  const pages = [0, 1, 2, 3, 4].map((place) => first[2 * place + 1]!);
  assertEquals([[...first].filter((_, i) => i % 2 === 0), new Set(pages).size], [[0, 1, 2, 3, 4], 5]);
  pool.share(0, 1);
  lengths[1] = 300;
  assertEquals(pool.use.used, 5);
  const shared = pool.reserve([])!.entries;
  assertEquals([...shared], pages.flatMap((page, place) => [2 * places + place, page]));

  // Taken back to 70 positions it goes on up to 200: of the second page it keeps six, the next two are all its own.
  lengths[1] = 70;
  const { copies, entries } = pool.reserve([{ slot: 1, start: 70, end: 200 }])!;
  const own = [1, 2, 3].map((i) => entries[2 * (i - 1) + 1]!);
  assertEquals([...entries].filter((_, i) => i % 2 === 0), [1, 2, 3].map((place) => 2 * places + place));
  assertEquals([...copies], [pages[1], own[0]]);
  assertEquals([new Set([...pages, ...own]).size, pool.use.used], [8, 8]);
  // The first page is both's still.
  pool.release(0);
  assertEquals(pool.use.used, 4);
  pool.release(1);
  assertEquals(pool.use.used, 0);
});

Deno.test("reserve() copies nothing of a shared page that is written to from its beginning", () => {
  const lengths = [300, 0], pool = new PagePool({ ...SIZE, kinds: { ...KINDS, sliding: 0 } }, (slot) => lengths[slot]!);
  pool.reserve([{ slot: 0, start: 0, end: 300 }]);
  pool.share(0, 1);
  pool.reserve([]);
  lengths[1] = 128;
  const { copies, entries } = pool.reserve([{ slot: 1, start: 128, end: 140 }])!;
  assertEquals([copies.length, entries.length / 2, pool.use.used], [0, 1, 6]);
});

Deno.test("share() hands over what the sequence has, not what it reserved for more", () => {
  const lengths = [100, 0], pool = new PagePool({ ...SIZE, kinds: { ...KINDS, sliding: 0 } }, (slot) => lengths[slot]!);
  pool.reserve([{ slot: 0, start: 0, end: 300 }]);
  pool.share(0, 1);
  assertEquals([pool.use.used, pool.reserve([])!.entries.length / 2], [2, 2]);
});

Deno.test("fits() takes from sequences every page behind their windows, however far they may be taken back", () => {
  // The 20 positions that the next token sees begin on the second page of 83, and on the first of 82.
  for (const [length, fits] of [[83, true], [82, false]] as const) {
    const lengths = [0, 0], size = { ...SIZE, count: 2, rewind: 640, kinds: { ...KINDS, full: 0 } };
    const pool = new PagePool(size, (slot) => lengths[slot]!);
    pool.reserve([{ slot: 0, start: 0, end: length }]);
    lengths[0] = length;
    assertEquals(pool.fits([{ slot: 1, start: 0, end: 1 }]), fits, `${length}`);
  }
});

Deno.test("fits() takes back what was reserved for a batch that came to nothing", () => {
  const pool = new PagePool({ ...SIZE, count: 10, kinds: { ...KINDS, sliding: 0 } }, (slot) => [70, 0][slot]!);
  pool.reserve([{ slot: 0, start: 0, end: 640 }]);
  assertEquals([pool.use.used, pool.fits([{ slot: 1, start: 0, end: 8 * 64 }]), pool.use.used], [10, true, 2]);
  assertEquals(pool.fits([{ slot: 1, start: 0, end: 9 * 64 }]), false);
});

Deno.test("a page is kept as long as one of very many sequences has it", () => {
  const slots = 300, pool = new PagePool({ ...SIZE, slots }, () => 64);
  pool.reserve([{ slot: 0, start: 0, end: 64 }]);
  for (let slot = 1; slot < slots; slot++) pool.share(0, slot);
  for (let slot = 0; slot < slots - 1; slot++) pool.release(slot);
  assertEquals(pool.use.used, 2);
  pool.release(slots - 1);
  assertEquals(pool.use.used, 0);
});
