/** What makes a checkpoint in Quark's layout with one thing wrong. */
import { type QuarkOptions, SHAPES } from "../../src/checkpoint/random/layouts.ts";
import type { StoredNumbers } from "../checkpoint/container.ts";

/** The model that is damaged. */
export const SHAPE = { ...SHAPES.tiny, layers: 2, hidden: 64, intermediate: 32, experts: 3, topK: 2, vocab: 40 };
export const EXPERT = "model.layers.1.mlp.experts.2.down_proj";
export const ATTENTION = "model.layers.1.self_attn";

export type Tensors = Map<string, StoredNumbers>;
/** Any JSON object. */
export type Json = Record<string, unknown>;
/** What is wrong with a checkpoint: its tensors, or its quantization_config. */
export interface Bad {
  readonly quark?: QuarkOptions;
  readonly shape?: typeof SHAPE;
  readonly tensors?: (tensors: Tensors) => void;
  readonly config?: (quantization: Json, config: Json) => void;
}

export const floats = (shape: number[], ...values: number[]): StoredNumbers => ({
  ...{ dtype: "F32", shape, bytes: new Uint8Array(Float32Array.from(values).buffer) },
});
export const bytes = (dtype: string, ...shape: number[]): StoredNumbers => ({
  ...{ dtype, shape, bytes: new Uint8Array(shape.reduce((product, size) => product * size, 1)) },
});
export const MX: Json = { dtype: "fp4", qscheme: "per_group", group_size: 32, is_dynamic: false, scale_format: "e8m0" };
export const DYNAMIC: Json = { ...MX, is_dynamic: true };
export const FP8_SPEC: Json = { dtype: "fp8_e4m3", qscheme: "per_tensor", is_dynamic: false };
export const overall = (weight: unknown, input_tensors: unknown = null) => (quantization: Json) => {
  quantization["global_quant_config"] = { weight, input_tensors };
};

export const PER_TOKEN: Json = { dtype: "fp8_e4m3", qscheme: "per_channel", is_dynamic: true };
export const ONES = Array<number>(64).fill(1);

export const MX4: QuarkOptions = { inputScales: true, kvScales: "output_scale" };
export const FP8: QuarkOptions = { weights: "fp8", attention: "fp8", inputScales: true };
