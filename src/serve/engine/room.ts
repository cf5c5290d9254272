/** How many positions a served sequence has. */
import { Costs } from "../../model/work.ts";
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
 * memory for them, or 1024 or less are left.
 *
 * @param context Positions that are asked for.
 * @param cacheBytes Memory for them on devices.
 */
export function serveRoom(
  setting: PlannedSetting,
  slots: number,
  context: number | undefined,
  cacheBytes: number | null = null,
): Room {
  const { checkpoint: { config }, planned: { plan, source }, chunk } = setting;
  const costs = new Costs(config, source, plan.kvFormat);
  const fits = (positions: number) =>
    costs.cacheBytes(slots, positions, chunk + Math.min(positions, REWIND)) <= (cacheBytes ?? CACHE_BYTES);
  let positions = Math.min(config.maxPositions, MOST_POSITIONS);
  while (positions > 1024 && !fits(positions)) positions /= 2;
  const most = context ?? Math.floor(positions);
  return { slots, context: most, chunk, rewind: Math.min(most, REWIND), apart: true };
}
