/** Weights of the random models of tests/goldens/shapes, made from their seeds as weights.py there makes them. */
import { mix } from "../../formats/seeded.ts";
import type { StoredNumbers } from "../../checkpoint/container.ts";

/** The sizes of a Hugging Face config that shapes depend on. */
export interface Sizes {
  readonly num_hidden_layers: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_local_experts: number;
  readonly num_experts_per_tok: number;
  readonly head_dim: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly vocab_size: number;
  readonly sliding_window: number;
}

/** Ways to store the numbers, all of which hold them exactly. */
export const DTYPES = ["BF16", "F16", "F32"] as const;
export type StoredDtype = (typeof DTYPES)[number];

/** Name, shape, and what the numbers are; a matrix has the number of its input features. */
type Shape = readonly [name: string, shape: readonly number[], kind: "norm" | "bias" | number];

function* shapes(config: Sizes): Generator<Shape> {
  const { hidden_size: hidden, head_dim: headDim, vocab_size: vocab, num_attention_heads: heads } = config;
  const { num_local_experts: experts, intermediate_size: width } = config;
  const query = heads * headDim, key = config.num_key_value_heads * headDim;
  yield ["model.embed_tokens.weight", [vocab, hidden], 1];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`, projections = `${at}.mlp.experts`;
    yield [`${at}.input_layernorm.weight`, [hidden], "norm"];
    for (const [name, rows, cols] of [["q", query, hidden], ["k", key, hidden], ["v", key, hidden]] as const) {
      yield* linear(`${at}.self_attn.${name}_proj`, rows, cols);
    }
    yield* linear(`${at}.self_attn.o_proj`, hidden, query);
    yield [`${at}.self_attn.sinks`, [heads], "bias"];
    yield [`${at}.post_attention_layernorm.weight`, [hidden], "norm"];
    yield* linear(`${at}.mlp.router`, experts, hidden);
    yield [`${projections}.gate_up_proj`, [experts, hidden, 2 * width], hidden];
    yield [`${projections}.gate_up_proj_bias`, [experts, 2 * width], "bias"];
    yield [`${projections}.down_proj`, [experts, width, hidden], width];
    yield [`${projections}.down_proj_bias`, [experts, hidden], "bias"];
  }
  yield ["model.norm.weight", [hidden], "norm"];
  yield ["lm_head.weight", [vocab, hidden], hidden];
}

function* linear(name: string, rows: number, cols: number): Generator<Shape> {
  yield [`${name}.weight`, [rows, cols], cols];
  yield [`${name}.bias`, [rows], "bias"];
}

/** Bits that a matrix's integers are shifted down by: its rows get a length of about 1. */
function shift(features: number): number {
  let bits = 6;
  while (4 ** (bits - 6) < features) bits++;
  return bits;
}

/** All tensors by name. */
export function randomWeights(seed: number, config: Sizes, dtype: StoredDtype): Map<string, StoredNumbers> {
  const tensors = new Map<string, StoredNumbers>();
  let index = 0;
  for (const [name, shape, kind] of shapes(config)) {
    const stream = mix(seed, index++), values = new Float32Array(shape.reduce((product, size) => product * size, 1));
    const [mean, quantum] = kind === "norm" ? [1, 2 ** -7] : [0, 2 ** -(kind === "bias" ? 7 : shift(kind))];
    for (let i = 0; i < values.length; i++) {
      const integer = (mix(stream, i) >>> 24) - 128;
      values[i] = mean + (kind === "norm" ? integer >> 1 : integer) * quantum;
    }
    tensors.set(name, { dtype, shape, bytes: stored(values, dtype) });
  }
  return tensors;
}

function stored(values: Float32Array<ArrayBuffer>, dtype: StoredDtype): Uint8Array {
  switch (dtype) {
    case "F32":
      return new Uint8Array(values.buffer);
    case "F16":
      return new Uint8Array(Float16Array.from(values).buffer);
    case "BF16":
      return new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer);
  }
}
