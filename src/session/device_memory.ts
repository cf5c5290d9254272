/** How much memory a setting's device has, before it is opened, and how much of it caches may take. */
import { type NeededBytes, neededBytes } from "../backends/gpu/needed.ts";
import { groupSizes, rankRanges, shardSource } from "../checkpoint/shard.ts";
import { FailureError } from "../errors.ts";
import { workspace } from "../model/gpt_oss.ts";
import { Costs } from "../model/work.ts";
import { type Room, sizedRequest } from "./request.ts";
import { type Choices, isGpu, type PlannedSetting } from "./setting.ts";

/** Of what weights leave of a device's memory: activations and whatever else runs there take from the rest. */
const CACHE_SHARE = 1 / 2;

/** What of a setting says how large its weights are. */
export type Weighed = Pick<PlannedSetting, "planned" | "tp" | "ep"> & {
  readonly checkpoint: Pick<PlannedSetting["checkpoint"], "config">;
};

/** Bytes that caches of each of some models may take together on devices of so many bytes. */
export function cacheShare(deviceBytes: number, models: readonly Weighed[]): number {
  const [first] = models, ranks = first!.tp * first!.ep;
  const weights = models.map(({ checkpoint: { config }, planned: { plan, source } }) =>
    new Costs(config, source, plan.kvFormat).weightBytes
  );
  const left = ranks * deviceBytes - weights.reduce((sum, bytes) => sum + bytes, 0);
  return Math.max(0, CACHE_SHARE * left / models.length);
}

/** The same of the devices of settings that differ in their schemes; null on the processor, and where none is found. */
export async function deviceCacheBytes(settings: readonly PlannedSetting[]): Promise<number | null> {
  const bytes = await deviceBytes(settings[0]!);
  return bytes === null ? null : cacheShare(bytes, settings);
}

/** Bytes of the setting's first device; null where it computes on the processor, or no device can be asked. */
async function deviceBytes({ backend, device, hipLibrary }: Choices): Promise<number | null> {
  if (!isGpu(backend)) return null;
  const { openGpuLibrary } = await import("../backends/gpu/devices.ts");
  try {
    using runtime = openGpuLibrary(backend, hipLibrary);
    return runtime.properties([device ?? []].flat()[0] ?? 0).totalBytes;
  } catch (thrown) {
    // Who opens the device says what is wrong with it.
    if (thrown instanceof FailureError) return null;
    throw thrown;
  }
}

/** What each rank of a setting takes of a GPU of its own, before anything is opened. */
export function neededOfRanks(setting: PlannedSetting, room: Room): NeededBytes[] {
  const whole = sizedRequest(setting, room), { tp, ep } = setting, { config } = whole;
  if (tp * ep === 1) return [neededBytes(whole as Omit<typeof whole, "part">)];
  const communicator = groupSizes(config, setting);
  return Array.from({ length: tp * ep }, (_, rank) => {
    const source = shardSource(whole.source, config, setting, rank),
      { vocab, experts } = rankRanges(config, setting, rank);
    const part = { vocabStart: vocab.start, expertStart: experts.start, communicator };
    return neededBytes({ ...whole, source, tensors: workspace(config, source), part });
  });
}
