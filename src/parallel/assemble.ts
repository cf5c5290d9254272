/** Joins the ranks' parts of a tapped tensor into what a single rank would have seen. */
import type { Range, RankRanges } from "../checkpoint/shard.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import { type Join, operation, type TappedOperation } from "../model/operations.ts";

/** One rank's part of a tensor, [rows, width]. */
export interface Part {
  readonly width: number;
  readonly values: Float32Array;
}

/** Columns of an operation's result that a rank holds, as units of the model. */
interface Columns {
  /** Units in all, and those of the rank. */
  readonly all: (config: ModelConfig) => number;
  readonly own: (ranges: RankRanges) => Range;
  /** Columns of one unit. */
  readonly unit: (config: ModelConfig) => number;
  /**
   * `sum`: every rank adds its own, and what it does not own is zero; `copy`: the ranks of one group hold them, some of
   * them the same.
   */
  readonly join: "sum" | "copy";
}

const COLUMNS: Readonly<Record<Exclude<Join, "same" | "terms">, Columns>> = {
  heads: { all: (c) => c.heads, own: (r) => r.heads, unit: (c) => c.headDim, join: "copy" },
  kvHeads: { all: (c) => c.kvHeads, own: (r) => r.kvHeads, unit: (c) => c.headDim, join: "copy" },
  gateUp: { all: (c) => c.intermediate, own: (r) => r.intermediate, unit: () => 2, join: "sum" },
  intermediate: { all: (c) => c.intermediate, own: (r) => r.intermediate, unit: () => 1, join: "sum" },
};

/**
 * Joins the parts of one operation's result.
 *
 * @param parts One per rank, in rank order; a part may be wider than what its rank owns in the layer at hand.
 * @returns [rows, width] of the whole operation.
 */
export function assemble(
  name: TappedOperation,
  config: ModelConfig,
  ranges: readonly RankRanges[],
  rows: number,
  parts: readonly Part[],
): Part {
  const first = parts[0]!, { join } = operation(name);
  if (join === "same") return first;
  if (join === "terms") {
    const values = first.values.slice();
    for (const part of parts.slice(1)) part.values.forEach((v, i) => values[i] = Math.fround(values[i]! + v));
    return { width: first.width, values };
  }
  const columns = COLUMNS[join], unit = columns.unit(config), width = columns.all(config) * unit;
  const values = new Float32Array(rows * width);
  parts.forEach((part, rank) => {
    if (columns.join === "copy" && ranges[rank]!.group !== 0) return;
    const { start, end } = columns.own(ranges[rank]!), from = start * unit, own = (end - start) * unit;
    for (let r = 0; r < rows; r++) {
      const row = part.values.subarray(r * part.width, r * part.width + own), at = r * width + from;
      if (columns.join === "copy") values.set(row, at);
      else row.forEach((v, c) => values[at + c]! += v);
    }
  });
  return { width, values };
}
