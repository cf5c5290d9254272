/** The logits of a batch, of ranks that compute it together. */
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { RankRanges } from "../checkpoint/shard.ts";
import { type Engine, LOGIT_ROWS } from "../model/engine.ts";
import type { RankCommand } from "./messages.ts";
import type { Ranks } from "./ranks.ts";
import { gatherTaps } from "./taps.ts";

/** Ranks that have loaded a model. */
export interface LoadedRanks {
  readonly ranks: Ranks;
  /** What each rank has of the model, by rank. */
  readonly ranges: readonly RankRanges[];
  readonly config: ModelConfig;
  /** float32 [LOGIT_ROWS, V], which ranks write. */
  readonly logits: Float32Array;
}

/** What all ranks are asked alike. */
type Asked = Extract<RankCommand, { kind: "compute" | "logits" }>;

/**
 * {@linkcode Engine.compute}: as many rows of logits at a time as there is room for.
 *
 * @param ask Asks all ranks and waits for them.
 */
export async function computeTogether(
  { ranks, ranges, config, logits }: LoadedRanks,
  ask: (command: Asked) => Promise<unknown>,
  ...[batch, rows, onRow, tap]: Parameters<Engine["compute"]>
): Promise<void> {
  const { vocab } = config, tapped = tap !== undefined;
  let failed: { readonly thrown: unknown } | null = null;
  const gather = tap && gatherTaps(tap, config, ranges);
  // Called where a rank's message is heard: what it throws there would be nobody's, and end the program.
  ranks.onTap = gather && ((rank, reply) => {
    if (failed !== null) return;
    try {
      gather(rank, reply);
    } catch (thrown) {
      failed = { thrown };
    }
  });
  for (let at = 0; at === 0 || at < rows.length; at += LOGIT_ROWS) {
    const part = rows.slice(at, at + LOGIT_ROWS);
    await ask(at === 0 ? { kind: "compute", batch, rows: part, tapped } : { kind: "logits", rows: part });
    if (failed !== null) throw (failed as { readonly thrown: unknown }).thrown;
    part.forEach((row, i) => onRow(row, logits.subarray(i * vocab, (i + 1) * vocab)));
  }
}
