/**
 * What each kind of step takes on one of several ranks, which does not talk to the others: on one device, so that a
 * machine with a single GPU will do. Results are garbage.
 */
import { openCuda } from "../ffi/cuda.ts";
import { openHip } from "../ffi/hip.ts";
import { GpuEngine } from "../src/backends/gpu/engine.ts";
import { openGpu } from "../src/backends/gpu/open.ts";
import { profileSteps } from "../src/backends/gpu/profile.ts";
import { RankSums } from "../src/backends/gpu/ranks.ts";
import { openCheckpoint } from "../src/checkpoint/checkpoint.ts";
import { groupSizes, type ParallelSizes, rankRanges, shardSource } from "../src/checkpoint/shard.ts";
import { workspace } from "../src/model/gpt_oss.ts";
import { stepTable } from "./device_tables.ts";

/** Which model, and what is measured of it. */
export interface RankStepOptions {
  readonly dir: string;
  readonly backend: "cuda" | "hip";
  readonly library: string | undefined;
  readonly dtype: "f32" | "bf16";
  readonly chunk: number;
  /** Position of single tokens. */
  readonly depth: number;
}

/** Measures steps of 1 and of 16 sequences, and of a chunk of a prompt. */
export async function rankSteps(sizes: ParallelSizes, options: RankStepOptions): Promise<Record<string, unknown>> {
  const { dir, backend: kind, library, dtype, chunk, depth } = options;
  const { config, source: whole } = await openCheckpoint(dir, {}), ranges = rankRanges(config, sizes, 0);
  const source = shardSource(whole, config, sizes, 0), several = sizes.tp * sizes.ep > 1;
  const part = {
    vocabStart: ranges.vocab.start,
    expertStart: ranges.experts.start,
    communicator: groupSizes(config, sizes),
  };
  const request = {
    ...{ source, config, dtype, kvFormat: "bf16", maxTokens: chunk, slots: 16, context: depth + 1024 } as const,
    ...{ tensors: workspace(config, source), ...(several ? { part } : {}) },
  };
  const backend = await openGpu(request, kind === "hip" ? openHip(library) : openCuda(library), {});
  const engine = new GpuEngine(backend, config);
  try {
    const results: Record<string, unknown> = {};
    for (const n of [1, 16, chunk]) {
      const batch = {
        ids: Int32Array.from({ length: n }, (_, i) => (i * 7919 + 13) % config.vocab),
        slots: Int32Array.from({ length: n }, (_, i) => n === chunk ? 0 : i),
        positions: Int32Array.from({ length: n }, (_, i) => n === chunk ? i : depth),
      };
      if (several) {
        backend.measure(batch, new Int32Array(0), ({ executor }) => {
          const { calls, options: { round } } = executor;
          executor.ranks = new RankSums(calls, executor.workspace, { world: null, tensor: null }, round);
        });
      }
      const title = `tp ${sizes.tp}, ep ${sizes.ep}, one rank alone: step of ${n} tokens`;
      results[n] = stepTable(title, profileSteps(engine, batch, n === chunk ? 5 : 30));
    }
    return results;
  } finally {
    await engine.close();
  }
}
