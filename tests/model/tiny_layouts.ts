/**
 * The embedded model stored in every layout, by plain loops over its bytes and the tables of the formats: none of the
 * code under test is used.
 */
import { container, type StoredNumbers, type TemporaryDirectory } from "../checkpoint/container.ts";
import { ELEMENTS } from "../checkpoint/decode.ts";
import { TINY } from "./tiny.ts";

/** Ways to store the model other than its own, hf_mxfp4. */
export const TINY_LAYOUTS = ["original", "quark", "quark fused", "quark blocks", "hf_bf16"] as const;
/** One of {@linkcode TINY_LAYOUTS}. */
export type TinyLayout = (typeof TINY_LAYOUTS)[number];

type Tensors = Map<string, StoredNumbers>;

const config: Readonly<Record<string, unknown>> = JSON.parse(Deno.readTextFileSync(`${TINY}/config.json`));
const layers = config["num_hidden_layers"] as number, experts = config["num_local_experts"] as number;

/** The embedded model's tensors. */
export function tinyTensors(): Tensors {
  const file = Deno.readFileSync(`${TINY}/model.safetensors`);
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length)));
  delete header["__metadata__"];
  const data = file.subarray(8 + length);
  return new Map(
    Object.entries<{ dtype: string; shape: number[]; data_offsets: [number, number] }>(header)
      .map(([name, { dtype, shape, data_offsets }]) => [name, { dtype, shape, bytes: data.slice(...data_offsets) }]),
  );
}

/** Writes the model with its tokenizer. */
export function writeTiny(dir: TemporaryDirectory, layout: TinyLayout): void {
  const tensors = tinyTensors();
  const { quantization_config: _, ...plain } = config;
  let written: Readonly<Record<string, unknown>> = config;
  switch (layout) {
    case "original":
      written = toOriginal(tensors);
      break;
    case "hf_bf16":
      written = plain;
      eachProjection(tensors, dequantize);
      break;
    case "quark":
      written = { ...plain, quantization_config: QUARK };
      eachProjection(tensors, splitExperts);
      break;
    case "quark fused":
      written = { ...plain, quantization_config: QUARK };
      eachProjection(tensors, flatten);
      break;
    case "quark blocks":
      written = { ...plain, quantization_config: QUARK };
      break;
  }
  writeTensors(dir, tensors);
  dir.write("config.json", written);
  for (const name of ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"]) {
    Deno.copyFileSync(`${TINY}/${name}`, `${dir.path}/${name}`);
  }
}

/** Writes tensors as one file. */
function writeTensors(dir: TemporaryDirectory, tensors: Tensors): void {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [end, end += bytes.length] };
  }
  const data = new Uint8Array(end);
  end = 0;
  for (const { bytes } of tensors.values()) {
    data.set(bytes, end);
    end += bytes.length;
  }
  dir.write("model.safetensors", container(header, data));
}

/** What AMD Quark writes for MXFP4 weights with inputs as they are. */
const QUARK = {
  quant_method: "quark",
  global_quant_config: {
    weight: { dtype: "fp4", qscheme: "per_group", group_size: 32, is_dynamic: false, scale_format: "e8m0" },
    input_tensors: null,
  },
  exclude: ["lm_head", "*router*", "*self_attn*"],
};

/** One projection of a layer's experts: names without suffix and the three tensors. */
interface Projection {
  readonly name: string;
  readonly blocks: StoredNumbers;
  readonly scales: StoredNumbers;
  readonly bias: StoredNumbers;
}

/** Replaces the tensors of each projection. */
function eachProjection(tensors: Tensors, change: (tensors: Tensors, projection: Projection) => void): void {
  for (let layer = 0; layer < layers; layer++) {
    for (const projection of ["gate_up_proj", "down_proj"]) {
      const name = `model.layers.${layer}.mlp.experts.${projection}`;
      const take = (suffix: string) => {
        const found = tensors.get(`${name}_${suffix}`)!;
        tensors.delete(`${name}_${suffix}`);
        return found;
      };
      change(tensors, { name, blocks: take("blocks"), scales: take("scales"), bias: take("bias") });
    }
  }
}

/** [E, rows, cols/32, 16] codes as [E, rows, cols/2]: the same bytes. */
function flatten(tensors: Tensors, { name, blocks, scales, bias }: Projection): void {
  const [, rows, count] = blocks.shape as [number, number, number];
  tensors.set(`${name}.weight`, { ...blocks, shape: [experts, rows, 16 * count] });
  tensors.set(`${name}.weight_scale`, scales);
  tensors.set(`${name}.bias`, bias);
}

function splitExperts(tensors: Tensors, { name, blocks, scales, bias }: Projection): void {
  const [, rows, count] = blocks.shape as [number, number, number];
  const part = ({ dtype, bytes }: StoredNumbers, expert: number, shape: number[]): StoredNumbers => {
    const size = bytes.length / experts;
    return { dtype, shape, bytes: bytes.slice(expert * size, (expert + 1) * size) };
  };
  for (let expert = 0; expert < experts; expert++) {
    const module = name.replace("experts.", `experts.${expert}.`);
    tensors.set(`${module}.weight`, part(blocks, expert, [rows, 16 * count]));
    tensors.set(`${module}.weight_scale`, part(scales, expert, [rows, count]));
    tensors.set(`${module}.bias`, part(bias, expert, [rows]));
  }
}

/** Numbers instead of codes, and transposed. */
function dequantize(tensors: Tensors, { name, blocks, scales, bias }: Projection): void {
  const [, rows, count] = blocks.shape as [number, number, number];
  const cols = 32 * count, numbers = new Uint16Array(experts * rows * cols);
  const float = new Float32Array(1), bits = new Uint32Array(float.buffer);
  for (let expert = 0; expert < experts; expert++) {
    for (let row = 0; row < rows; row++) {
      const line = expert * rows + row;
      for (let col = 0; col < cols; col++) {
        const byte = blocks.bytes[(line * cols + col) >> 1]!;
        const scale = scales.bytes[line * count + (col >> 5)]!;
        float[0] = ELEMENTS.mxfp4.value(col & 1 ? byte >> 4 : byte & 15) * 2 ** (scale - 127);
        numbers[(expert * cols + col) * rows + row] = bits[0]! >>> 16;
      }
    }
  }
  tensors.set(name, { dtype: "BF16", shape: [experts, cols, rows], bytes: new Uint8Array(numbers.buffer) });
  tensors.set(`${name}_bias`, bias);
}

/** OpenAI's names, with q, k and v in one matrix; gives its config. */
function toOriginal(tensors: Tensors): Record<string, unknown> {
  const rename = (from: string, to: string) => {
    tensors.set(to, tensors.get(from)!);
    tensors.delete(from);
  };
  rename("model.embed_tokens.weight", "embedding.weight");
  rename("lm_head.weight", "unembedding.weight");
  rename("model.norm.weight", "norm.scale");
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`, block = `block.${layer}`;
    rename(`${at}.input_layernorm.weight`, `${block}.attn.norm.scale`);
    rename(`${at}.post_attention_layernorm.weight`, `${block}.mlp.norm.scale`);
    rename(`${at}.self_attn.sinks`, `${block}.attn.sinks`);
    for (const suffix of ["weight", "bias"]) {
      rename(`${at}.self_attn.o_proj.${suffix}`, `${block}.attn.out.${suffix}`);
      rename(`${at}.mlp.router.${suffix}`, `${block}.mlp.gate.${suffix}`);
      const parts = ["q", "k", "v"].map((name) => tensors.get(`${at}.self_attn.${name}_proj.${suffix}`)!);
      for (const name of ["q", "k", "v"]) tensors.delete(`${at}.self_attn.${name}_proj.${suffix}`);
      tensors.set(`${block}.attn.qkv.${suffix}`, {
        dtype: "BF16",
        shape: [parts.reduce((sum, { shape }) => sum + shape[0]!, 0), ...parts[0]!.shape.slice(1)],
        bytes: new Uint8Array(parts.flatMap(({ bytes }) => [...bytes])),
      });
    }
    for (const [projection, name] of [["gate_up_proj", "mlp1"], ["down_proj", "mlp2"]] as const) {
      rename(`${at}.mlp.experts.${projection}_blocks`, `${block}.mlp.${name}_weight.blocks`);
      rename(`${at}.mlp.experts.${projection}_scales`, `${block}.mlp.${name}_weight.scales`);
      rename(`${at}.mlp.experts.${projection}_bias`, `${block}.mlp.${name}_bias`);
    }
  }
  const same = [
    ...["num_hidden_layers", "experts_per_token", "vocab_size", "hidden_size", "intermediate_size", "swiglu_limit"],
    ...["head_dim", "num_attention_heads", "num_key_value_heads", "sliding_window", "initial_context_length"],
    "rope_theta",
  ];
  return {
    ...Object.fromEntries(same.map((key) => [key, config[key]])),
    ...{ num_experts: experts, rope_scaling_factor: 32.0, rope_ntk_alpha: 1, rope_ntk_beta: 32 },
  };
}
