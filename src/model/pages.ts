/**
 * Pages of a KV cache, where a backend's caches have them: 64 positions of every layer of a kind. Layers are of two
 * kinds, those that see all positions and those that see a window; a sequence has a table of pages for each kind, and
 * pages of both come from one pool, as layers of different kinds share memory in pairs.
 */
import type { ModelConfig } from "../checkpoint/model_config.ts";

/** Positions of a page (kernels/common/cache.h): the tiles of kernels that read a cache lie within one. */
export const PAGE_POSITIONS = 64;

/** Pages that so many positions from the first on lie in. */
export const pagesFor = (positions: number): number => Math.ceil(positions / PAGE_POSITIONS);

/** Pages of memory that a pool of so many takes: the first is nobody's, which tables name where there is no other. */
export const heldPages = (pages: number): number => pages + 1;

/** The kinds of layers of a model. */
export interface LayerKinds {
  /** Layers that see all positions. */
  readonly full: number;
  /** Layers that see `window` positions. */
  readonly sliding: number;
  readonly window: number;
}

/** How many layers of a model see everything, and how many a window. */
export function layerKinds({ sliding, slidingWindow }: Pick<ModelConfig, "sliding" | "slidingWindow">): LayerKinds {
  const count = sliding.filter((slides) => slides).length;
  return { full: sliding.length - count, sliding: count, window: slidingWindow };
}

/** Layers that a page holds positions of. */
export const layersOfPage = ({ full, sliding }: LayerKinds): number => Math.max(full, sliding);

/** What decides how many pages one sequence may need. */
export interface SequencePages {
  readonly config: Pick<ModelConfig, "sliding" | "slidingWindow">;
  /** Positions of the sequence. */
  readonly context: number;
  readonly maxTokens: number;
  readonly rewind?: number;
}

/**
 * Pages of a sequence where each has its own: all of them, and a ring of those of sliding layers. While a batch is
 * written its first token still sees the window before it, which may begin inside a page and end inside another.
 */
export function ownPages({ config, context, maxTokens, rewind = 0 }: SequencePages): { full: number; ring: number } {
  const { full, sliding, window } = layerKinds(config), all = pagesFor(context);
  return {
    full: full === 0 ? 0 : all,
    ring: sliding === 0 ? 0 : Math.min(all, pagesFor(window + maxTokens + rewind) + 1),
  };
}

/** Fewest pages of a pool in which a sequence can become as long as its context. */
export function fewestPages({ config, context, maxTokens }: SequencePages): number {
  const { full, ring } = ownPages({ config, context, maxTokens });
  // Its last page of either kind may be shared, and is copied before it is written to.
  return full + ring + 4;
}

/**
 * Positions that so many sequences have together in a pool, beside what their sliding layers see; where it is not large
 * enough for all of them at once, what one has alone.
 *
 * @param context Positions of one at most.
 */
export function sharedPositions(
  config: Pick<ModelConfig, "sliding" | "slidingWindow">,
  pages: number,
  sequences: number,
  context: number,
): number {
  const { full, sliding, window } = layerKinds(config), seen = sliding === 0 ? 0 : sequences * (pagesFor(window) + 1);
  // Without layers that see all, a sequence takes no more than those however long it is.
  return full === 0 ? sequences * window : Math.max(context, (pages - seen) * PAGE_POSITIONS);
}

/** What has to change before a batch, where sequences have pages of a pool. */
export interface PageChanges {
  /** Pages that are copied first: from, to, from, to, .. */
  readonly copies: Int32Array;
  /**
   * Entries of the tables [slots][2][pages of the context], those of full layers first, then those of sliding ones:
   * index, page, index, page, ..
   */
  readonly entries: Int32Array;
}
