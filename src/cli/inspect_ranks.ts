/** What ranks and processes take of a model, as `inspect` says it. */
import { operationWith } from "../model/operations.ts";
import { mappedBytes } from "../backends/emulate/mapped_bytes.ts";
import { weightBytes } from "../checkpoint/weight_bytes.ts";
import { type ParallelSizes, rankRanges, shardSource } from "../checkpoint/shard.ts";
import { LAYER_LINEARS, linearsNamed, type MatrixSource, type ModelSource } from "../checkpoint/source.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { bytesText } from "../amounts.ts";
import { linesOf } from "./table.ts";

/** How a model is cut: what each rank owns, and each of as many processes as there can be. */
export function partsOf(config: ModelConfig, source: ModelSource, sizes: ParallelSizes) {
  const parts = Array.from({ length: sizes.tp * sizes.ep }, (_, rank) => shardSource(source, config, sizes, rank));
  const ranks = parts.map((part, rank) => {
    const { experts, heads, kvHeads, intermediate, vocab } = rankRanges(config, sizes, rank);
    return {
      rank,
      heads: [heads.start, heads.end],
      kv_heads: [kvHeads.start, kvHeads.end],
      vocabulary: [vocab.start, vocab.end],
      experts: [experts.start, experts.end],
      expert_columns: [intermediate.start, intermediate.end],
      shapes: shapesOf(part),
      weight_bytes: weightBytes(part),
    };
  });
  return { ...sizes, ranks, processes: processesOf(parts) };
}

type Parts = ReturnType<typeof partsOf>;

/** What each of several processes takes that have as many ranks: the one that takes most. */
function processesOf(parts: readonly ModelSource[]) {
  const counts = parts.map((_, i) => i + 1).filter((processes) => parts.length % processes === 0);
  return counts.map((processes) => {
    const each = parts.length / processes;
    const own = Array.from({ length: processes }, (_, i) => parts.slice(i * each, (i + 1) * each));
    return {
      processes,
      ranks_each: each,
      most_bytes_read: Math.max(...own.map((ranks) => ranks.reduce((sum, part) => sum + weightBytes(part), 0))),
      most_bytes_mapped: Math.max(...own.map(mappedBytes)),
    };
  });
}

/** Output and input features of a matrix. */
type MatrixShape = readonly [rows: number, cols: number];

/** What a rank has of each matrix; the same in every layer, and for each of its experts. */
function shapesOf({ tree: { embedding, layers, head } }: ModelSource): Record<string, MatrixShape> {
  const shape = ({ rows, cols }: MatrixSource): MatrixShape => [rows, cols];
  const linears = LAYER_LINEARS.map((name) => [operationWith(name).name, linearsNamed(layers[0]!, name)[0]!] as const);
  return {
    embedding: shape(embedding),
    ...Object.fromEntries(linears.map(([name, { weight }]) => [name, shape(weight)])),
    lm_head: shape(head.weight),
  };
}

/** What each rank owns of the model, and the shapes that this makes. */
export function rankLines(ranks: Parts["ranks"]): string[] {
  const span = ([start, end]: number[]) => start === end ? "none" : `${start}-${end! - 1}`;
  const owned = ranks.map(({ rank, heads, kv_heads, vocabulary, experts, expert_columns, weight_bytes }) => [
    `${rank}`,
    ...[heads, kv_heads, vocabulary, experts, expert_columns].map(span),
    bytesText(weight_bytes),
  ]);
  const heads = ["rank", "query heads", "KV heads", "vocabulary", "experts", "expert columns", "bytes"];
  const names = Object.keys(ranks[0]!.shapes);
  const shapes = ranks.map(({ rank, shapes }) => [`${rank}`, ...names.map((name) => shapes[name]!.join(" x "))]);
  return [
    ...linesOf({ heads, rows: owned, right: [6] }),
    "",
    ...linesOf({ heads: ["rank", ...names], rows: shapes, right: [] }),
  ];
}

/** What a process takes of the files, by how many there are. */
export function processLines(processes: Parts["processes"]): string[] {
  const rows = processes.map(({ processes, ranks_each, most_bytes_read, most_bytes_mapped }) => [
    `${processes}`,
    `${ranks_each}`,
    bytesText(most_bytes_read),
    bytesText(most_bytes_mapped),
  ]);
  const heads = ["processes", "ranks each", "--weights read", "--weights map"];
  return linesOf({ heads, rows, right: [0, 1, 2, 3] });
}
