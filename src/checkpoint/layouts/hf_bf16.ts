/**
 * Hugging Face's layout without quantization. Experts are fused and TRANSPOSED: gate_up_proj is [E, H, 2I] and
 * down_proj [E, I, H], to be used as x W. The models' down_proj is square, so that no shape shows a missing
 * transposition.
 */
import type { ModelConfig } from "../model_config.ts";
import type { LinearSource } from "../source.ts";
import type { TensorSet } from "../tensor_set.ts";
import {
  expertModule,
  type ExpertShape,
  expertShapes,
  hfTree,
  layerModule,
  type LayoutSource,
  linear,
  noKvScales,
  plainLinear,
} from "./layout.ts";

/** Name of the fused tensor of a projection. */
export const transposedName = (layer: number, { projection }: ExpertShape): string =>
  `${layerModule(layer)}.mlp.experts.${projection}`;

/** One linear per expert from a fused, transposed tensor. */
export function transposedExperts(
  tensors: TensorSet,
  { experts }: ModelConfig,
  layer: number,
  shape: ExpertShape,
): LinearSource[] {
  const name = transposedName(layer, shape);
  const weights = tensors.matrices(name, [experts], shape.rows, shape.cols, true);
  const biases = tensors.vectors(`${name}_bias`, experts, shape.rows);
  return weights.map((weight, expert) => linear(expertModule(layer, expert, shape), weight, biases[expert]!));
}

/**
 * Reads the layout.
 *
 * @throws {InputError} naming the first tensor that is missing, or of another dtype or shape.
 */
export function readHfBf16(tensors: TensorSet, config: ModelConfig): LayoutSource {
  const shapes = expertShapes(config);
  const tree = hfTree(tensors, config, {
    linear: (module, rows, cols, bias) => plainLinear(tensors, module, rows, cols, bias),
    experts: (layer) => ({
      gateUp: transposedExperts(tensors, config, layer, shapes.gateUp),
      down: transposedExperts(tensors, config, layer, shapes.down),
    }),
  });
  return { tree, kvScales: noKvScales(config) };
}
