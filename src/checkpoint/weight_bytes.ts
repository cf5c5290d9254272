/** Bytes of weights, with their scales and biases. */
import { blocksOf, bytesOf } from "../formats/format.ts";
import {
  allLinears,
  type LinearSource,
  type MatrixSource,
  type ModelSource,
  vectorsOf,
  type VectorSource,
} from "./source.ts";

function vectorBytes({ format, length }: VectorSource): number {
  return bytesOf(format, length);
}

/** Bytes of a matrix with its scales; scales that were widened while reading count as float32. */
export function matrixBytes({ rows, cols, rowBytes, transposed, scale }: MatrixSource): number {
  const scales = scale.kind === "e8m0"
    ? rows * blocksOf(cols)
    : scale.kind === "tensor"
    ? 4
    : scale.kind === "row"
    ? scale.values.byteLength
    : 0;
  return (transposed ? cols : rows) * rowBytes + scales;
}

/** Bytes of a linear: its matrix and its bias. */
export function linearBytes({ weight, bias }: LinearSource): number {
  return matrixBytes(weight) + (bias === null ? 0 : vectorBytes(bias));
}

/** Bytes of a whole model. */
export function weightBytes({ tree }: ModelSource): number {
  const vectors = [...tree.layers.flatMap(vectorsOf), tree.norm].map(vectorBytes);
  return [matrixBytes(tree.embedding), ...vectors, ...allLinears(tree).map(linearBytes)]
    .reduce((sum, bytes) => sum + bytes, 0);
}
