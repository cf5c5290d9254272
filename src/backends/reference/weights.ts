/** Handles of weights: matrices stay in their files, vectors are kept as float32. */
import type { InputFormat } from "../../formats/input.ts";
import {
  linearsOf,
  type LinearSource,
  mapLayer,
  type MatrixSource,
  type ModelSource,
  type ModelTree,
  vectorsOf,
  type VectorSource,
} from "../../checkpoint/source.ts";
import type { InputRotation } from "../../formats/rotation.ts";
import type { Linear, Matrix, Vector } from "../../model/backend.ts";
import type { WeightFiles } from "./weight_files.ts";

/** A matrix in its file. */
export interface ReferenceMatrix extends Matrix {
  readonly source: MatrixSource;
}

/** A linear: matrix, bias [rows], and what happens to its input. */
export interface ReferenceLinear extends ReferenceMatrix, Linear {
  readonly bias: Float32Array | null;
  readonly input: InputFormat;
  readonly rotation: InputRotation | null;
  /** See `LinearSource.multipliesCodes`. */
  readonly multipliesCodes: boolean;
}

/** A vector in memory. */
export interface ReferenceVector extends Vector {
  readonly values: Float32Array;
}

/** The model's weights as handles. */
export type ReferenceTree = ModelTree<ReferenceMatrix, ReferenceLinear, ReferenceVector>;

/**
 * Reads the vectors and refers to the matrices.
 *
 * @param onLayer Called with the number of layers done and in all.
 */
export function loadWeights(
  { tree }: ModelSource,
  files: WeightFiles,
  onLayer: (done: number, total: number) => void,
): ReferenceTree {
  const matrix = (source: MatrixSource): ReferenceMatrix => ({ rows: source.rows, cols: source.cols, source });
  const vector = (v: VectorSource): ReferenceVector => ({ length: v.length, values: files.vector(v) });
  const linear = (l: LinearSource): ReferenceLinear => ({
    ...matrix(l.weight),
    bias: l.bias && files.vector(l.bias),
    input: l.input,
    rotation: l.rotation ?? null,
    multipliesCodes: l.multipliesCodes,
  });
  return {
    embedding: matrix(tree.embedding),
    layers: tree.layers.map((w, i) => {
      const layer = mapLayer(w, linear, vector);
      onLayer(i + 1, tree.layers.length);
      return layer;
    }),
    norm: vector(tree.norm),
    head: linear(tree.head),
  };
}

/** Bytes of memory that the handles hold. */
export function bytesHeld(tree: ReferenceTree): number {
  const bytes = (values: Float32Array | null | undefined) => values?.byteLength ?? 0;
  const layers = tree.layers.map((w) => [
    ...vectorsOf(w).map((v) => bytes(v.values)),
    ...linearsOf(w).map((l) => bytes(l.bias)),
  ]);
  return [bytes(tree.norm.values), bytes(tree.head.bias), ...layers.flat()].reduce((sum, count) => sum + count, 0);
}
