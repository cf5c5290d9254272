/**
 * Fused MXFP4 experts as OpenAI and Hugging Face store them: blocks [E, rows, cols/32, 16], scales [E, rows, cols/32].
 */
import { BLOCK } from "../../formats/format.ts";
import { InputError } from "../../errors.ts";
import type { ModelConfig } from "../model_config.ts";
import type { LinearSource, MatrixSource } from "../source.ts";
import type { TensorSet } from "../tensor_set.ts";
import { expertModule, type ExpertShape, linear } from "./layout.ts";

/** Names of the three tensors of a projection on disk. */
export interface BlockNames {
  readonly blocks: string;
  readonly scales: string;
  readonly bias: string;
}

/** Bytes of the 32 codes of a block. */
const BLOCK_BYTES = 16;

/** Dtypes of e8m0 bytes on disk; torch has a type for them that most writers do not use. */
export const E8M0_DTYPES = ["U8", "F8_E8M0"] as const;

/**
 * One linear per expert.
 *
 * @param inputScales One per expert, or none.
 * @throws {InputError} naming the tensor that is missing, or of another dtype or shape.
 */
export function blockExperts(
  tensors: TensorSet,
  { experts }: ModelConfig,
  layer: number,
  shape: ExpertShape,
  names: BlockNames,
  inputScales: readonly number[] = [],
): LinearSource[] {
  const { rows, cols } = shape;
  const blocksPerRow = mxBlocksPerRow(tensors.place, names.blocks, cols);
  const blocks = tensors.take(names.blocks, ["U8"], [experts, rows, blocksPerRow, BLOCK_BYTES]);
  const scales = tensors.take(names.scales, E8M0_DTYPES, [experts, rows, blocksPerRow]);
  tensors.e8m0.push(scales);
  const biases = tensors.vectors(names.bias, experts, rows);
  const rowBytes = blocksPerRow * BLOCK_BYTES;
  return biases.map((bias, expert) => {
    const weight: MatrixSource = {
      name: names.blocks,
      format: "mxfp4",
      rows,
      cols,
      transposed: false,
      file: blocks.file,
      offset: blocks.offset + expert * rows * rowBytes,
      rowBytes,
      rowStride: rowBytes,
      scale: {
        kind: "e8m0",
        file: scales.file,
        offset: scales.offset + expert * rows * blocksPerRow,
        rowStride: blocksPerRow,
      },
    };
    return linear(expertModule(layer, expert, shape), weight, bias, inputScales[expert]);
  });
}

/**
 * Blocks along a row.
 *
 * @throws {InputError} where the config's width is not made of whole blocks.
 */
export function mxBlocksPerRow(place: string, name: string, cols: number): number {
  if (cols % BLOCK === 0) return cols / BLOCK;
  throw InputError.of(
    "contradiction",
    { file: place, tensor: name },
    `input features in blocks of ${BLOCK}, but by config.json they are ${cols}`,
  );
}
