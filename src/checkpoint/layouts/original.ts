/**
 * OpenAI's own layout, `original/`: other names, q, k and v in one matrix, experts in the blocks that Hugging Face took
 * over.
 */
import type { ModelConfig } from "../model_config.ts";
import { sliceRows, sliceVector } from "../shard.ts";
import type { LinearSource } from "../source.ts";
import type { TensorSet } from "../tensor_set.ts";
import { type ExpertShape, expertShapes, layerModule, type LayoutSource, linear, noKvScales } from "./layout.ts";
import { blockExperts, type BlockNames } from "./mx_blocks.ts";

const blockNames = (block: string, { projection }: ExpertShape): BlockNames => {
  const name = `${block}.mlp.${projection === "gate_up_proj" ? "mlp1" : "mlp2"}`;
  return { blocks: `${name}_weight.blocks`, scales: `${name}_weight.scales`, bias: `${name}_bias` };
};

/**
 * Reads the layout.
 *
 * @throws {InputError} naming the first tensor that is missing, or of another dtype or shape.
 */
export function readOriginal(tensors: TensorSet, config: ModelConfig): LayoutSource {
  const { hidden, heads, kvHeads, headDim, vocab } = config;
  const shapes = expertShapes(config);
  const plain = (name: string, module: string, rows: number, cols: number): LinearSource =>
    linear(module, tensors.matrix(`${name}.weight`, rows, cols), tensors.vector(`${name}.bias`, rows));
  const layer = (index: number) => {
    const block = `block.${index}`, module = layerModule(index);
    const attention = `${module}.self_attn`;
    const query = heads * headDim, keyValue = kvHeads * headDim;
    const inputNorm = tensors.vector(`${block}.attn.norm.scale`, hidden);
    const qkv = plain(`${block}.attn.qkv`, attention, query + 2 * keyValue, hidden);
    const part = (name: string, start: number, end: number): LinearSource => ({
      ...qkv,
      weight: sliceRows(qkv.weight, { start, end }),
      bias: qkv.bias && sliceVector(qkv.bias, { start, end }),
      module: `${attention}.${name}_proj`,
    });
    return {
      inputNorm,
      q: part("q", 0, query),
      k: part("k", query, query + keyValue),
      v: part("v", query + keyValue, query + 2 * keyValue),
      o: plain(`${block}.attn.out`, `${attention}.o_proj`, hidden, query),
      sinks: tensors.vector(`${block}.attn.sinks`, heads),
      postNorm: tensors.vector(`${block}.mlp.norm.scale`, hidden),
      router: plain(`${block}.mlp.gate`, `${module}.mlp.router`, config.experts, hidden),
      gateUp: blockExperts(tensors, config, index, shapes.gateUp, blockNames(block, shapes.gateUp)),
      down: blockExperts(tensors, config, index, shapes.down, blockNames(block, shapes.down)),
    };
  };
  const tree = {
    embedding: tensors.matrix("embedding.weight", vocab, hidden),
    layers: Array.from({ length: config.layers }, (_, index) => layer(index)),
    norm: tensors.vector("norm.scale", hidden),
    head: linear("lm_head", tensors.matrix("unembedding.weight", vocab, hidden), null),
  };
  return { tree, kvScales: noKvScales(config) };
}
