/** Puts the ranks' parts of a tapped tensor together to what one rank would have seen. */
import type { RankRanges } from "../checkpoint/shard.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { Operation } from "../model/gpt_oss.ts";

/** One rank's part of a tensor, [rows, width]. */
export interface Part {
  readonly width: number;
  readonly values: Float32Array;
}

/** How an operation's result is spread over ranks. */
type Spread =
  /** Every rank holds all of it. */
  | { readonly kind: "replicated" }
  /** Ranks hold columns; those of further expert groups hold zeros (experts) or the same (attention). */
  | { readonly kind: "columns"; readonly width: number; readonly start: number; readonly perExpertGroup: boolean }
  /** Ranks hold terms of a sum. */
  | { readonly kind: "terms" };

function spreadOf(operation: Operation, config: ModelConfig, ranges: RankRanges): Spread {
  const { headDim } = config;
  switch (operation) {
    case "q_proj":
    case "rotary.q":
    case "attention":
      return {
        kind: "columns",
        width: config.heads * headDim,
        start: ranges.heads.start * headDim,
        perExpertGroup: false,
      };
    case "k_proj":
    case "v_proj":
    case "rotary.k":
      return {
        kind: "columns",
        width: config.kvHeads * headDim,
        start: ranges.kvHeads.start * headDim,
        perExpertGroup: false,
      };
    case "experts.gate_up_proj":
      return {
        kind: "columns",
        width: 2 * config.intermediate,
        start: 2 * ranges.intermediate.start,
        perExpertGroup: true,
      };
    case "experts.swiglu":
      return { kind: "columns", width: config.intermediate, start: ranges.intermediate.start, perExpertGroup: true };
    case "experts.down_proj":
      return { kind: "terms" };
    default:
      return { kind: "replicated" };
  }
}

/**
 * @param parts One per rank, in rank order.
 * @returns [rows, width] of the whole operation.
 */
export function assemble(
  operation: Operation,
  config: ModelConfig,
  ranges: readonly RankRanges[],
  rows: number,
  parts: readonly Part[],
): Part {
  const first = parts[0]!;
  const kind = spreadOf(operation, config, ranges[0]!);
  if (kind.kind === "replicated") return first;
  if (kind.kind === "terms") {
    const values = first.values.slice();
    for (const part of parts.slice(1)) part.values.forEach((v, i) => values[i] = Math.fround(values[i]! + v));
    return { width: first.width, values };
  }
  const values = new Float32Array(rows * kind.width);
  parts.forEach((part, rank) => {
    const spread = spreadOf(operation, config, ranges[rank]!);
    if (spread.kind !== "columns" || !spread.perExpertGroup && ranges[rank]!.epRank !== 0) return;
    const own = ownWidth(operation, config, ranges[rank]!);
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < own; c++) values[r * kind.width + spread.start + c]! += part.values[r * part.width + c]!;
    }
  });
  // Ranks that share a KV head hold copies of it: their sum would count it more than once.
  if (operation === "k_proj" || operation === "v_proj" || operation === "rotary.k") {
    overwrite(values, kind.width, config, ranges, rows, parts);
  }
  return { width: kind.width, values };
}

/** Columns of the rank's part that are its own; a tensor may be wider than the layer at hand needs. */
function ownWidth(operation: Operation, config: ModelConfig, ranges: RankRanges): number {
  const length = ({ start, end }: { start: number; end: number }) => end - start;
  switch (operation) {
    case "k_proj":
    case "v_proj":
    case "rotary.k":
      return length(ranges.kvHeads) * config.headDim;
    case "experts.gate_up_proj":
      return 2 * length(ranges.intermediate);
    case "experts.swiglu":
      return length(ranges.intermediate);
    default:
      return length(ranges.heads) * config.headDim;
  }
}

function overwrite(
  values: Float32Array,
  width: number,
  config: ModelConfig,
  ranges: readonly RankRanges[],
  rows: number,
  parts: readonly Part[],
): void {
  parts.forEach((part, rank) => {
    const { kvHeads, epRank } = ranges[rank]!;
    if (epRank !== 0) return;
    const own = (kvHeads.end - kvHeads.start) * config.headDim;
    for (let r = 0; r < rows; r++) {
      values.set(
        part.values.subarray(r * part.width, r * part.width + own),
        r * width + kvHeads.start * config.headDim,
      );
    }
  });
}
