/** Taps of a run over several ranks. */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { RankRanges } from "../checkpoint/shard.ts";
import type { Tap } from "../model/gpt_oss.ts";
import { assemble } from "./assemble.ts";
import type { TapReply } from "./ranks.ts";

/** Collects each operation's parts and calls the tap when the last rank's has come. Ranks tap in the same order. */
export function gatherTaps(
  tap: Tap,
  config: ModelConfig,
  ranges: readonly RankRanges[],
): (rank: number, reply: TapReply) => void {
  const waiting: TapReply[][] = ranges.map(() => []);
  return (rank, reply) => {
    waiting[rank]!.push(reply);
    while (waiting.every((queue) => queue.length > 0)) {
      const parts = waiting.map((queue) => queue.shift()!);
      const { layer, operation, rows, experts } = parts[0]!;
      const whole = assemble(operation, config, ranges, rows, parts);
      tap({
        layer,
        operation,
        rows,
        width: whole.width,
        read: () => whole.values,
        ...(experts ? { experts: () => experts } : {}),
      });
    }
  };
}
