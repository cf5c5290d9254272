/** What a setting costs, beside what it is worth: bytes in memory, and bytes that a token must read. */
import type { SettingCost } from "./setting_schema.ts";
import { allLinears } from "../checkpoint/source.ts";
import { Costs } from "../model/work.ts";
import type { PlannedSetting } from "../session/setting.ts";

/** The cost of a setting, whole: ranks and devices share it. */
export function costOf({ checkpoint: { config }, planned: { plan, source } }: PlannedSetting): SettingCost {
  const costs = new Costs(config, source, plan.kvFormat), { tree } = source;
  const matrices = [tree.embedding, ...allLinears(tree).map(({ weight }) => weight)];
  const weights = matrices.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  const kvBytes = costs.cacheBytes(1, 1, 1);
  const token = { pieces: [{ start: 0, count: 1 }], logits: 1, experts: config.sliding.map(() => config.topK) };
  return {
    weight_bytes: costs.weightBytes,
    bits_per_weight: 8 * costs.weightBytes / weights,
    kv_bytes_per_token: kvBytes,
    active_bytes_per_token: costs.of(token).bytes - kvBytes,
  };
}

/** Bytes per second from memory, and what they are called. */
export interface Bandwidth {
  readonly name: string;
  readonly bytes_per_second: number;
}

/**
 * Tokens per second that a bandwidth allows: one sequence at its beginning, every byte that a token needs read once and
 * nothing else in the way.
 */
export function tokensPerSecond({ active_bytes_per_token: bytes }: SettingCost, bandwidth: Bandwidth): number {
  return bandwidth.bytes_per_second / bytes;
}

/**
 * Memory bandwidths of devices in bytes per second: of one device, at its best. Where one name is sold in several forms
 * it is that of the socketed one (SXM, OAM; an A100 of 80 GB on PCIe has 1.935e12); an MI250X is both of its dies.
 */
export const DEVICE_BANDWIDTHS: ReadonlyMap<string, number> = new Map([
  // Read in a document of the maker: NVIDIA's "H100 PCIe GPU Product Brief" (PB-11133-001) has "greater than 2,000
  // GBps", AMD's "AMD Instinct MI250 microarchitecture" 1.6 TB/s for each of two dies.
  ["h100-pcie", 2e12],
  ["mi250x", 3.2e12],
  // Width of the bus and clock that the maker's driver reports of a card, two bits a clock: 5,120 at 1,215 MHz
  // (deviceQuery, published by the Paderborn Center for Parallel Computing), 7,680 at 3,996 MHz (pytorch/ao, pull
  // request 4002; the 8 TB/s that are often told of a B200 would take 8,192 bits).
  ["a100-40gb", 1.555e12],
  ["b200", 7.67e12],
  // Width of the bus times the rate of its pins, as reviews of the cards have them: 384 x 18, 384 x 21, 512 x 28,
  // 384 x 20 Gbit/s.
  ["l40s", 0.864e12],
  ["rtx-4090", 1.008e12],
  ["rtx-5090", 1.792e12],
  ["rx-7900-xtx", 0.96e12],
  // As sellers and reviews agree on; no document of the maker was found.
  ["a100-80gb", 2.039e12],
  ["h100", 3.35e12],
  ["h200", 4.8e12],
  ["mi300x", 5.3e12],
  ["mi325x", 6e12],
  ["mi355x", 8e12],
]);

/** A point of a picture of quality against cost; `kl` is the distance from what the others are compared with. */
export interface CostPoint {
  readonly bytes: number;
  readonly kl: number;
}

/** Points that no other point beats in both: no larger and nearer, or smaller and no farther. Smallest first. */
export function paretoFront<T extends CostPoint>(points: readonly T[]): T[] {
  const sorted = points.toSorted((a, b) => a.bytes - b.bytes || a.kl - b.kl);
  const front: T[] = [];
  for (const point of sorted) {
    const last = front.at(-1);
    if (last === undefined || point.kl < last.kl) front.push(point);
    else if (point.kl === last.kl && point.bytes === last.bytes) front.push(point);
  }
  return front;
}
