/** The tables that say where sequences' keys and values lie: how large they are, and how batches change them. */
import type { DeviceRange, GpuDevice, GpuEvent, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { heldPages, layerKinds, layersOfPage, ownPages, type PageChanges, pagesFor } from "../../model/pages.ts";
import type { OpenRequest } from "../../model/backend.ts";

/** Where pages and tables lie on the device. */
interface PageMemory {
  /** Memory of the pages' keys, and of their values, a kv head each: of a layer, or of two of different kinds. */
  readonly pageHeads: readonly DeviceRange[];
  readonly pageTables: DeviceRange;
}

/** What of a request decides how many pages there are. */
export type PageRequest = Pick<OpenRequest, "config" | "slots" | "context" | "maxTokens" | "rewind" | "pages">;

/** Sizes of pages and their tables. */
export interface PagePlan {
  /** Pages in all. The first one of a pool is nobody's, so that an entry without a page does no harm. */
  readonly count: number;
  /** Layers that a page holds positions of. */
  readonly layers: number;
  /** Entries of one table; a slot has two. */
  readonly entries: number;
  /** Numbers of all tables. */
  readonly words: number;
  /** Which of the layers of a page one of the model's is: layers of different kinds share them. */
  placeOf(layer: number): number;
}

/** Sizes for a request. */
export function planPages(request: PageRequest): PagePlan {
  const { config, slots, context, pages } = request, { full, ring } = ownPages(request), entries = pagesFor(context);
  return {
    count: pages === undefined ? slots * (full + ring) : heldPages(pages),
    layers: layersOfPage(layerKinds(config)),
    entries,
    words: slots * 2 * entries,
    placeOf: (layer) => config.sliding.slice(0, layer).filter((slides) => slides === config.sliding[layer]).length,
  };
}

/** The first pages of a slot where each has its own: of full layers, then those of the ring. */
const firstPage = (slot: number, { full, ring }: ReturnType<typeof ownPages>): number => slot * (full + ring);

/** The tables to begin with: those of slots that have pages of their own, or none. */
function firstTables(request: PageRequest): Int32Array {
  const { entries, words } = planPages(request), own = ownPages(request), tables = new Int32Array(words);
  if (request.pages !== undefined) return tables;
  for (let slot = 0; slot < request.slots; slot++) {
    const first = firstPage(slot, own), at = slot * 2 * entries;
    for (let i = 0; i < entries; i++) {
      if (own.full > 0) tables[at + i] = first + i;
      if (own.ring > 0) tables[at + entries + i] = first + own.full + i % own.ring;
    }
  }
  return tables;
}

/** Neighbouring entries that are copied together where the gaps between them are not longer. */
const GAP = 64;

/** Page-locked tables, from which changes are copied to the device. */
export class PageTables implements Disposable {
  readonly #pinned: PinnedBuffer;
  readonly #words: Int32Array;
  readonly #sent: GpuEvent;
  readonly #plan: PagePlan;
  /** What was applied last: a batch may be made current twice. */
  #last: PageChanges | undefined;
  /** Entries as they are to be. Whoever changed them hears of no failure, so that they are kept through it. */
  readonly #wanted: Int32Array;
  /** Whether the device may have others. */
  #stale = false;

  constructor(
    device: GpuDevice,
    readonly stream: Stream,
    readonly memory: PageMemory,
    readonly request: PageRequest,
  ) {
    const tables = firstTables(request);
    this.#plan = planPages(request);
    this.#pinned = device.allocatePinned(Math.max(4, tables.byteLength));
    this.#words = new Int32Array(this.#pinned.view.buffer, 0, tables.length);
    this.#sent = device.createEvent();
    this.#wanted = tables;
    this.#words.set(tables);
    this.#send(0, tables.length);
    stream.record(this.#sent);
  }

  /** Copies pages and changes entries, before whatever is launched next. */
  apply(changes: PageChanges | undefined): void {
    if (changes === undefined || changes === this.#last) return this.#stale ? this.#sendAll() : undefined;
    this.#last = changes;
    const { copies, entries } = changes, stale = this.#stale;
    for (let i = 0; i < entries.length; i += 2) this.#wanted[entries[i]!] = entries[i + 1]!;
    this.#stale = true;
    for (let i = 0; i < copies.length; i += 2) this.#copy(copies[i]!, copies[i + 1]!, 1);
    if (stale) this.#sendAll();
    else this.#sendEntries(entries);
    this.#stale = false;
  }

  #sendAll(): void {
    this.#sent.synchronize();
    this.#words.set(this.#wanted);
    this.#send(0, this.#words.length);
    this.stream.record(this.#sent);
    this.#stale = false;
  }

  #sendEntries(entries: Int32Array): void {
    if (entries.length === 0) return;
    const at = new Int32Array(entries.length / 2).map((_, i) => entries[2 * i]!).sort();
    this.#sent.synchronize();
    for (const index of at) this.#words[index] = this.#wanted[index]!;
    for (let from = 0; from < at.length;) {
      let to = from + 1;
      while (to < at.length && at[to]! - at[to - 1]! <= GAP) to++;
      this.#send(at[from]!, at[to - 1]! + 1);
      from = to;
    }
    this.stream.record(this.#sent);
  }

  /** Copies the first `length` positions of a sequence to another; of a ring, those that it still holds. */
  copySlot(from: number, to: number, length: number): void {
    if (this.request.pages !== undefined) throw new RangeError("sequences that share pages are copied by their tables");
    const own = ownPages(this.request), source = firstPage(from, own), target = firstPage(to, own);
    const pages = pagesFor(length);
    this.#copy(source, target, Math.min(pages, own.full));
    this.#copy(source + own.full, target + own.full, Math.min(pages, own.ring));
  }

  #copy(from: number, to: number, count: number): void {
    if (count === 0) return;
    for (const head of this.memory.pageHeads) {
      const bytes = head.bytes / this.#plan.count;
      const at = (page: number): DeviceRange => head.buffer.range(head.offset + page * bytes, count * bytes);
      this.stream.copy(at(to), at(from), count * bytes);
    }
  }

  #send(from: number, to: number): void {
    const { pageTables: { buffer, offset } } = this.memory, bytes = 4 * (to - from);
    if (bytes > 0) this.stream.upload(buffer.range(offset + 4 * from, bytes), this.#pinned, 4 * from, bytes);
  }

  [Symbol.dispose](): void {
    this.#sent[Symbol.dispose]();
    this.#pinned[Symbol.dispose]();
  }
}
