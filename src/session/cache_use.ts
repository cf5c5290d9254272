/** How large the cache of keys and values is, and how much of it sequences have. */
import { ownPages, PAGE_POSITIONS, pagesFor, type SequencePages } from "../model/pages.ts";
import { Costs } from "../model/work.ts";
import { bytesText, counted } from "../amounts.ts";
import { chunkFor, type Room } from "./request.ts";
import type { Session } from "./session.ts";
import { isGpu, type PlannedSetting } from "./setting.ts";

/** What is set aside for a session's sequences. */
export interface CacheSize {
  readonly sequences: number;
  /** Positions that each may have. */
  readonly context: number;
  /** Of one copy: ranks divide it by heads, and groups of experts have a copy each. */
  readonly bytes: number;
  /** Pages of {@linkcode PAGE_POSITIONS} positions, on a GPU; null elsewhere, where a cache is one piece. */
  readonly pages: number | null;
}

/** The same with what is in it. */
export interface CacheUse extends CacheSize {
  /** Positions that sequences have. */
  readonly positions: number;
  /** Pages that they have. */
  readonly pagesUsed: number | null;
}

/** What decides the size, once a session is open. */
type Sizes = Pick<Room, "slots" | "context" | "pages"> & { readonly maxTokens: number; readonly rewind?: number };

/** The cache of a session that is opened with this room. */
export function cacheSize(setting: PlannedSetting, room: Room): CacheSize {
  const maxTokens = Math.max(1, Math.min(chunkFor(setting, room), room.slots * room.context));
  return sizeOf(setting, { ...room, maxTokens });
}

/** The cache of a session, and how full it is. */
export function cacheUse(setting: PlannedSetting, session: Session): CacheUse {
  const { limits, paging } = session,
    { slots, context, maxTokens, rewind = 0 } = limits,
    { checkpoint: { config } } = setting;
  const lengths = Array.from({ length: slots }, (_, slot) => session.length(slot));
  const size = sizeOf(setting, { slots, context, maxTokens, rewind, pages: limits.pages?.count });
  const { full, ring } = ownPages({ config, context, maxTokens, rewind });
  const ownUsed = (positions: number): number =>
    Math.min(full, pagesFor(positions)) + Math.min(ring, pagesFor(positions));
  return {
    ...size,
    positions: lengths.reduce((sum, positions) => sum + positions, 0),
    pagesUsed: size.pages === null
      ? null
      : paging.use?.used ?? lengths.reduce((sum, positions) => sum + ownUsed(positions), 0),
  };
}

/** What a cache's positions cost, in the format that the backend keeps them in. */
export function cacheCosts({ checkpoint: { config }, planned: { plan, source }, backend }: PlannedSetting): Costs {
  return new Costs(config, source, backend === "reference" ? "f32" : plan.kvFormat);
}

function sizeOf(setting: PlannedSetting, { slots, context, maxTokens, rewind = 0, pages }: Sizes): CacheSize {
  const { checkpoint: { config }, backend } = setting, costs = cacheCosts(setting);
  const sized = { sequences: slots, context };
  if (!isGpu(backend)) return { ...sized, bytes: costs.cacheBytes(slots, context, maxTokens + rewind), pages: null };
  const own: SequencePages = { config, context, maxTokens, rewind }, { full, ring } = ownPages(own);
  const count = pages ?? slots * (full + ring);
  return { ...sized, bytes: pages === undefined ? costs.pageBytes(count) : costs.poolBytes(pages), pages: count };
}

/** It in words, without what is in it. */
export function cacheText({ sequences, context, bytes, pages }: CacheSize): string {
  const each = pages === null ? "" : ` in ${counted(pages, "page")} of ${PAGE_POSITIONS}`;
  return `${sequences === 1 ? "" : `${sequences} x `}${context} positions${each}, ${bytesText(bytes)}`;
}

/** It in words, with what is in it. */
export function cacheUseText({ sequences, context, bytes, pages, positions, pagesUsed }: CacheUse): string {
  const all = sequences === 1 ? `${context}` : `${sequences} x ${context}`;
  const paged = pages === null ? "" : `, ${pagesUsed} of ${pages} pages of ${PAGE_POSITIONS}`;
  return `cache ${positions} of ${all} positions${paged}, ${bytesText(bytes)}`;
}

/** What JSON says of a cache. */
export interface CacheFacts extends CacheSize {
  /** Positions of a page. */
  readonly page_positions: number | null;
}

/** It as JSON has it. */
export function cacheJson({ sequences, context, bytes, pages }: CacheSize): CacheFacts {
  return { sequences, context, bytes, pages, page_positions: pages === null ? null : PAGE_POSITIONS };
}

/** The same with what is in it. */
export function cacheUseJson(use: CacheUse) {
  return { ...cacheJson(use), positions_used: use.positions, pages_used: use.pagesUsed };
}
