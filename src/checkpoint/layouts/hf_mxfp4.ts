/** Hugging Face's MXFP4 layout: experts fused in blocks and scales, all else plain (openai/gpt-oss-20b and -120b). */
import type { ModelConfig } from "../model_config.ts";
import type { TensorSet } from "../tensor_set.ts";
import {
  type ExpertShape,
  expertShapes,
  hfTree,
  layerModule,
  type LayoutSource,
  noKvScales,
  plainLinear,
} from "./layout.ts";
import { blockExperts, type BlockNames } from "./mx_blocks.ts";

/** Names of the fused tensors of a projection. */
export function blockNames(layer: number, { projection }: ExpertShape): BlockNames {
  const name = `${layerModule(layer)}.mlp.experts.${projection}`;
  return { blocks: `${name}_blocks`, scales: `${name}_scales`, bias: `${name}_bias` };
}

/**
 * Reads the layout.
 *
 * @throws {InputError} naming the first tensor that is missing, or of another dtype or shape.
 */
export function readHfMxfp4(tensors: TensorSet, config: ModelConfig): LayoutSource {
  const shapes = expertShapes(config);
  const tree = hfTree(tensors, config, {
    linear: (module, rows, cols, bias) => plainLinear(tensors, module, rows, cols, bias),
    experts: (layer) => ({
      gateUp: blockExperts(tensors, config, layer, shapes.gateUp, blockNames(layer, shapes.gateUp)),
      down: blockExperts(tensors, config, layer, shapes.down, blockNames(layer, shapes.down)),
    }),
  });
  return { tree, kvScales: noKvScales(config) };
}
