/** The weight that made a result NaN or infinite: a NaN or an infinity among the numbers that it was computed from. */
import type { OperationName } from "../model/operations.ts";
import type { LinearSource, ModelSource, VectorSource } from "../checkpoint/source.ts";

/** The first value of a pass that is NaN or infinite. */
export interface Origin {
  /** -1 for `embed`, the number of layers for `finalNorm` and `lm_head`. */
  readonly layer: number;
  readonly operation: OperationName;
  /** Column of the operation's result. */
  readonly column: number;
  readonly value: number;
  /** The token that was fed, and its position in its sequence. */
  readonly id: number;
  readonly position: number;
  /** Inside the experts: the expert of the row. */
  readonly expert: number | null;
}

/** A number of a tensor that is none. */
export interface Culprit {
  readonly path: string;
  /** The tensor's name on disk. */
  readonly name: string;
  readonly value: number;
  /** Where in the tensor, in words. */
  readonly at: string;
}

/** Looks through the weights that the origin's element was computed of; null if all are numbers. */
export async function culpritOf(origin: Origin, source: ModelSource): Promise<Culprit | null> {
  const { rowScale, WeightFiles } = await import("../backends/reference/weight_files.ts");
  using files = await WeightFiles.open(source.files);
  const { tree } = source, { column, operation, expert } = origin;
  const layer = tree.layers[origin.layer];

  const inVector = (vector: VectorSource, index: number): Culprit | null => {
    const value = files.vector(vector)[index];
    if (value === undefined || Number.isFinite(value)) return null;
    return { path: source.files[vector.file]!.path, name: vector.name, value, at: `element ${index}` };
  };
  const inRow = (matrix: LinearSource["weight"], row: number): Culprit | null => {
    const scale = rowScale(matrix, row), values = files.row(matrix, row);
    const found = values.findIndex((value) => !Number.isFinite(value * scale));
    if (found < 0) return null;
    const value = values[found]! * scale, path = source.files[matrix.file]!.path;
    return { path, name: matrix.name, value, at: `row ${row}, column ${found}` };
  };
  const inLinear = (linear: LinearSource | undefined): Culprit | null =>
    linear === undefined
      ? null
      : inRow(linear.weight, column) ?? (linear.bias === null ? null : inVector(linear.bias, column));

  switch (operation) {
    case "embed":
      return inRow(tree.embedding, origin.id);
    case "finalNorm":
      return inVector(tree.norm, column);
    case "lm_head":
      return inLinear(tree.head);
    case "inputNorm":
      return inVector(layer!.inputNorm, column);
    case "postNorm":
      return inVector(layer!.postNorm, column);
    case "q_proj":
      return inLinear(layer!.q);
    case "k_proj":
      return inLinear(layer!.k);
    case "v_proj":
      return inLinear(layer!.v);
    case "o_proj":
      return inLinear(layer!.o);
    case "router":
      return inLinear(layer!.router);
    case "attention": {
      const { q, sinks } = layer!;
      return inVector(sinks, Math.floor(column / (q.weight.rows / sinks.length)));
    }
    case "experts.gate_up_proj":
      return inLinear(layer!.gateUp[expert ?? -1]);
    case "experts.down_proj":
      return inLinear(layer!.down[expert ?? -1]);
    default:
      return null;
  }
}
