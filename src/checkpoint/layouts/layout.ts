/** What the layouts share: the way from tensors' names on disk to a {@linkcode ModelSource}. */
import { NO_QDQ } from "../../formats/input.ts";
import type { ModelConfig } from "../model_config.ts";
import type {
  AttentionScales,
  KvScales,
  LayerTree,
  LinearSource,
  MatrixSource,
  ModelTree,
  VectorSource,
} from "../source.ts";
import type { TensorSet } from "../tensor_set.ts";

/** The layouts by the names that messages and reports have for them. */
export type LayoutName = "hf_mxfp4" | "hf_bf16" | "original" | "quark";

/** The weights as file ranges; the files themselves are the same for every layout. */
export interface LayoutSource {
  readonly tree: ModelTree<MatrixSource, LinearSource, VectorSource>;
  readonly kvScales: readonly KvScales[];
  /** Layers whose KV cache scales are among the tensors; none if left out. */
  readonly storedKvScales?: number;
  /** The first tensor with scales of queries or attention probabilities, if there is one. */
  readonly attentionScales?: AttentionScales;
}

/** The two linears of an expert, each for all experts. */
export type Experts = Pick<LayerTree<LinearSource, VectorSource>, "gateUp" | "down">;

/** One of the two linears of the experts. */
export interface ExpertShape {
  /** Name that Hugging Face gives it. */
  readonly projection: "gate_up_proj" | "down_proj";
  /** Output features. */
  readonly rows: number;
  /** Input features. */
  readonly cols: number;
}

/** Both linears of the experts. */
export function expertShapes({ hidden, intermediate }: ModelConfig): { gateUp: ExpertShape; down: ExpertShape } {
  return {
    gateUp: { projection: "gate_up_proj", rows: 2 * intermediate, cols: hidden },
    down: { projection: "down_proj", rows: hidden, cols: intermediate },
  };
}

/** Name of a layer's module in Hugging Face's model. */
export const layerModule = (layer: number): string => `model.layers.${layer}`;
/** Name of one of an expert's linears: AMD Quark's, since Hugging Face itself has one module for all experts. */
export const expertModule = (layer: number, expert: number, { projection }: ExpertShape): string =>
  `${layerModule(layer)}.mlp.experts.${expert}.${projection}`;

/** A linear whose input is not quantized, unless the plan changes that. */
export function linear(
  module: string,
  weight: MatrixSource,
  bias: VectorSource | null,
  inputScale?: number,
): LinearSource {
  return {
    weight,
    bias,
    input: NO_QDQ,
    multipliesCodes: false,
    module,
    ...(inputScale === undefined ? {} : { inputScale }),
  };
}

/** The KV cache scales of a checkpoint that has none: 1. */
export function noKvScales({ layers }: ModelConfig): KvScales[] {
  return Array.from({ length: layers }, () => ({ k: 1, v: 1 }));
}

/** How a layout with Hugging Face's names stores its linears. */
export interface HfReaders {
  /** A linear [rows, cols] outside the experts, with a bias or without. */
  linear(module: string, rows: number, cols: number, bias: boolean): LinearSource;
  experts(layer: number): Experts;
}

/** A linear of plain numbers: `<module>.weight`, `<module>.bias`. */
export function plainLinear(
  tensors: TensorSet,
  module: string,
  rows: number,
  cols: number,
  bias: boolean,
): LinearSource {
  const weight = tensors.matrix(`${module}.weight`, rows, cols);
  return linear(module, weight, bias ? tensors.vector(`${module}.bias`, rows) : null);
}

/**
 * The weights by Hugging Face's names.
 *
 * @throws {InputError} naming the first tensor that is missing, or of another dtype or shape.
 */
export function hfTree(tensors: TensorSet, config: ModelConfig, readers: HfReaders): LayoutSource["tree"] {
  const { hidden, heads, kvHeads, headDim, vocab } = config;
  const layer = (index: number): LayerTree<LinearSource, VectorSource> => {
    const at = layerModule(index), attention = `${at}.self_attn`;
    const query = heads * headDim, keyValue = kvHeads * headDim;
    return {
      inputNorm: tensors.vector(`${at}.input_layernorm.weight`, hidden),
      q: readers.linear(`${attention}.q_proj`, query, hidden, true),
      k: readers.linear(`${attention}.k_proj`, keyValue, hidden, true),
      v: readers.linear(`${attention}.v_proj`, keyValue, hidden, true),
      o: readers.linear(`${attention}.o_proj`, hidden, query, true),
      sinks: tensors.vector(`${attention}.sinks`, heads),
      postNorm: tensors.vector(`${at}.post_attention_layernorm.weight`, hidden),
      router: readers.linear(`${at}.mlp.router`, config.experts, hidden, true),
      ...readers.experts(index),
    };
  };
  return {
    embedding: tensors.matrix("model.embed_tokens.weight", vocab, hidden),
    layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
    norm: tensors.vector("model.norm.weight", hidden),
    head: readers.linear("lm_head", vocab, hidden, false),
  };
}
