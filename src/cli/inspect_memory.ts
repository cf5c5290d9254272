/** What a model takes of GPUs, as `inspect` says it. */
import { neededOfRanks } from "../session/device_memory.ts";
import { sizedRequest } from "../session/request.ts";
import type { PlannedSetting } from "../session/setting.ts";
import { bytesText, counted } from "../amounts.ts";
import { linesOf } from "./table.ts";

/** What each rank takes of a GPU of its own, where there are so many sequences of so many positions. */
export function gpuMemory(setting: PlannedSetting, sequences: number, context: number) {
  const room = { slots: sequences, context }, { maxTokens: chunk } = sizedRequest(setting, room);
  const ranks = neededOfRanks(setting, room).map(({ weights, cache, activations }, rank) => {
    return { rank, weight_bytes: weights, cache_bytes: cache, activation_bytes: activations };
  });
  return { sequences, context, chunk, ranks };
}

/** Bytes, and what they are for. */
export type GpuMemory = ReturnType<typeof gpuMemory>;

/** A line for each rank. */
export function gpuLines({ sequences, context, chunk, ranks }: GpuMemory): string[] {
  const rows = ranks.map(({ rank, weight_bytes: weights, cache_bytes: cache, activation_bytes: activations }) => [
    `${rank}`,
    ...[weights, cache, activations, weights + cache + activations].map(bytesText),
  ]);
  const held = `${counted(sequences, "sequence")} of ${context} positions`;
  return [
    `memory of a GPU for ${held}, prompts by ${counted(chunk, "token")} (drivers and libraries take more on top)`,
    ...linesOf({ heads: ["rank", "weights", "KV cache", "activations", "in all"], rows, right: [1, 2, 3, 4] }),
  ];
}
