/** From a planned setting to what a backend must know before it allocates anything. */
import { withMadeScales } from "../conversion/made_files.ts";
import type { OpenRequest } from "../model/backend.ts";
import { type TensorName, workspace } from "../model/gpt_oss.ts";
import { isGpu, type PlannedSetting } from "./setting.ts";

/** What a session has room for. */
export interface Room {
  /** Sequences alive at once. */
  readonly slots: number;
  /** Positions set aside for each sequence, prompt and reply together. */
  readonly context: number;
  /** Tokens of one batch; absent: the setting's, for one sequence or for several. */
  readonly chunk?: number;
  /** Positions that a sequence can be taken back by; absent: none. See `Session.rewind`. */
  readonly rewind?: number;
  /** Pages that sequences share on a GPU, of which each takes as many as it is long; absent: each has its own. */
  readonly pages?: number | undefined;
  /** Computes on a thread of its own, so that this thread's event loop turns meanwhile. */
  readonly apart?: boolean;
}

/**
 * Everything that a setting's backend is opened with.
 *
 * @param onProgress Called with the part of the weights that is loaded, and all of them.
 */
export async function requestOf(
  setting: PlannedSetting,
  room: Room,
  onProgress?: (done: number, total: number) => void,
): Promise<OpenRequest<TensorName>> {
  const source = await withMadeScales(setting.planned.source, onProgress);
  return { ...sizedRequest(setting, room), source, ...(onProgress ? { onProgress } : {}) };
}

/** Most tokens of one batch, however long sequences are. */
export const chunkFor = (
  { chunk, promptChunk }: Pick<PlannedSetting, "chunk" | "promptChunk">,
  room: Pick<Room, "slots" | "chunk">,
): number => room.chunk ?? (room.slots === 1 ? promptChunk : chunk);

/** The same without scales that are made of the weights: all that sizes depend on. */
export function sizedRequest(
  setting: Pick<PlannedSetting, "checkpoint" | "planned" | "dtype" | "backend" | "chunk" | "promptChunk">,
  room: Room,
): OpenRequest<TensorName> {
  const { checkpoint: { config }, planned: { plan, source }, dtype } = setting;
  const { slots, context, rewind = 0, pages } = room;
  return {
    source,
    config,
    dtype,
    kvFormat: plan.kvFormat,
    // Several sequences share a batch.
    maxTokens: Math.max(1, Math.min(chunkFor(setting, room), slots * context)),
    slots,
    context,
    rewind,
    ...(isGpu(setting.backend) && pages !== undefined ? { pages } : {}),
    tensors: workspace(config, source),
  };
}
