/** How many positions a served sequence has. */
import { fewestPages, ownPages } from "../../model/pages.ts";
import { cacheCosts } from "../../session/cache_use.ts";
import type { Room } from "../../session/open.ts";
import type { PlannedSetting } from "../../session/setting.ts";

/** Memory for the caches of one model on the processor, in bytes, unless a number of positions is asked for. */
const CACHE_BYTES = 2 ** 31;
/** Positions of a sequence at most, unless more are asked for: room for a long conversation. */
const MOST_POSITIONS = 32_768;
/**
 * Positions that a finished sequence can be taken back by, so that the next request may share its beginning: a reply
 * and the end of a prompt.
 */
const REWIND = 2048;

/**
 * Room for so many sequences: as many positions as the model has, at most 32,768, halved until their caches fit in the
 * memory for them, or on devices that of one of them, or 1024 or less are left.
 *
 * @param context Positions that are asked for.
 * @param deviceBytes Memory for them on devices; null on the processor.
 * @param asked Memory for them that is asked for, of either.
 */
export function serveRoom(
  setting: PlannedSetting,
  slots: number,
  context: number | undefined,
  deviceBytes: number | null = null,
  asked?: number,
): Room {
  const { checkpoint: { config }, chunk } = setting, costs = cacheCosts(setting);
  if (deviceBytes !== null) {
    return sharedRoom(setting, slots, context, costs.poolPages(asked ?? deviceBytes));
  }
  const fits = (positions: number) =>
    costs.cacheBytes(slots, positions, chunk + Math.min(positions, REWIND)) <= (asked ?? CACHE_BYTES);
  let positions = Math.min(config.maxPositions, MOST_POSITIONS);
  while (positions > 1024 && !fits(positions)) positions /= 2;
  const most = context ?? Math.floor(positions);
  return { slots, context: most, chunk, rewind: Math.min(most, REWIND), apart: true };
}

/**
 * Room on devices, where sequences share pages: as many positions as one may have that has them all to itself.
 *
 * @param fitting Pages that there is memory for.
 */
function sharedRoom(
  { checkpoint: { config }, chunk }: PlannedSetting,
  slots: number,
  context: number | undefined,
  fitting: number,
): Room {
  const fewest = (positions: number) => fewestPages({ config, context: positions, maxTokens: chunk });
  let positions = Math.min(config.maxPositions, MOST_POSITIONS);
  while (positions > 1024 && fewest(positions) > fitting) positions /= 2;
  const most = context ?? Math.floor(positions), rewind = Math.min(most, REWIND);
  const { full, ring } = ownPages({ config, context: most, maxTokens: chunk, rewind });
  const pages = Math.max(fewest(most), Math.min(fitting, slots * (full + ring)));
  return { slots, context: most, chunk, rewind, pages, apart: true };
}
