/**
 * Names, dtypes and shapes of the tensors of random checkpoints, in every layout that the program reads. Data comes
 * from pools.ts, config.json from config.ts.
 */
import type { ModelConfig } from "../model_config.ts";
import type { WrittenDtype, WrittenTensor } from "../write_safetensors.ts";

/** The sizes of a model. */
export interface Shape extends Pick<ModelConfig, Sizes> {
  /** Of sliding layers. */
  readonly window: number;
}

type Sizes = "layers" | "hidden" | "intermediate" | "experts" | "topK" | "heads" | "kvHeads" | "headDim" | "vocab";

const GPT_OSS = {
  ...{ hidden: 2880, intermediate: 2880, topK: 4, heads: 64, kvHeads: 8, headDim: 64, vocab: 201_088, window: 128 },
} as const;

/** Shapes by name. */
export const SHAPES = {
  "gpt-oss-20b": { ...GPT_OSS, layers: 24, experts: 32 },
  "gpt-oss-120b": { ...GPT_OSS, layers: 36, experts: 128 },
  "tiny": {
    ...{ layers: 2, hidden: 64, intermediate: 96, experts: 8, topK: 4 },
    ...{ heads: 4, kvHeads: 2, headDim: 32, vocab: 256, window: 8 },
  },
} as const satisfies Record<string, Shape>;

/** The layouts that can be written. */
export const LAYOUTS = ["hf_mxfp4", "hf_bf16", "original", "quark"] as const;
/** One of {@linkcode LAYOUTS}. */
export type Layout = (typeof LAYOUTS)[number];

/** Formats that AMD Quark stores linears in: `fp8_channel` has a scale per row. */
export const FORMATS = ["bf16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8", "fp8_channel"] as const;
/** One of {@linkcode FORMATS}. */
export type Format = (typeof FORMATS)[number];

/** How a checkpoint of layout `quark` is made. */
export interface QuarkOptions {
  /** Format of the experts; default mxfp4. */
  readonly weights?: Format;
  /** Format of q, k, v and o; default bf16. */
  readonly attention?: Format;
  /** Names of the experts' tensors: per expert (default), fused `.weight`, or fused `_blocks` (mxfp4 only). */
  readonly experts?: "each" | "fused" | "blocks";
  /** Whether linears that are not bf16 have a static input scale. */
  readonly inputScales?: boolean;
  /** Names of the KV cache's scales, if any. */
  readonly kvScales?: "output_scale" | "legacy";
  /** Dtype and shape of single scales; default F32 []. */
  readonly scalarDtype?: "F32" | "BF16" | "F16";
  readonly scalarShape?: readonly number[];
}

/** What a tensor is filled with. */
export type Fill = "weight" | "norm" | "bias" | "codes" | "e8m0" | "fp8" | "scale";

/** A tensor to write. */
export interface RandomTensor extends WrittenTensor {
  readonly fill: Fill;
}

const tensor = (name: string, dtype: WrittenDtype, shape: readonly number[], fill: Fill): RandomTensor => ({
  name,
  dtype,
  shape,
  fill,
});
const plain = (name: string, shape: readonly number[], fill: Fill = "weight") => tensor(name, "BF16", shape, fill);

/** All tensors of a checkpoint, layer by layer. */
export function randomTensors(shape: Shape, layout: Layout, quark: QuarkOptions = {}): RandomTensor[] {
  if (layout === "original") return originalTensors(shape);
  const { hidden, vocab } = shape;
  return [
    plain("model.embed_tokens.weight", [vocab, hidden]),
    ...Array.from({ length: shape.layers }, (_, layer) => hfLayer(shape, `model.layers.${layer}`, layout, quark))
      .flat(),
    plain("model.norm.weight", [hidden], "norm"),
    plain("lm_head.weight", [vocab, hidden]),
  ];
}

function hfLayer(
  shape: Shape,
  layer: string,
  layout: "hf_mxfp4" | "hf_bf16" | "quark",
  quark: QuarkOptions,
): RandomTensor[] {
  const { hidden, heads, kvHeads, headDim, experts } = shape;
  const attention = layout === "quark" ? quark.attention ?? "bf16" : "bf16";
  const query = heads * headDim, keyValue = kvHeads * headDim;
  const projection = (name: string, rows: number, cols: number) =>
    module(`${layer}.self_attn.${name}_proj`, attention, [], rows, cols, quark);
  return [
    plain(`${layer}.input_layernorm.weight`, [hidden], "norm"),
    ...projection("q", query, hidden),
    ...projection("k", keyValue, hidden),
    ...projection("v", keyValue, hidden),
    ...projection("o", hidden, query),
    plain(`${layer}.self_attn.sinks`, [heads], "bias"),
    ...(layout === "quark" ? kvScales(`${layer}.self_attn`, quark) : []),
    plain(`${layer}.post_attention_layernorm.weight`, [hidden], "norm"),
    plain(`${layer}.mlp.router.weight`, [experts, hidden]),
    plain(`${layer}.mlp.router.bias`, [experts], "bias"),
    ...expertTensors(shape, `${layer}.mlp.experts`, layout, quark),
  ];
}

function expertTensors(
  { experts, hidden, intermediate }: Shape,
  name: string,
  layout: "hf_mxfp4" | "hf_bf16" | "quark",
  quark: QuarkOptions,
): RandomTensor[] {
  const linears = [["gate_up_proj", 2 * intermediate, hidden], ["down_proj", hidden, intermediate]] as const;
  return linears.flatMap(([projection, rows, cols]) => {
    const at = `${name}.${projection}`;
    if (layout === "hf_bf16") {
      return [plain(at, [experts, cols, rows]), plain(`${at}_bias`, [experts, rows], "bias")];
    }
    if (layout === "hf_mxfp4" || quark.experts === "blocks") {
      const { inputScales, scalarDtype = "F32" } = layout === "quark" ? quark : {};
      return [
        ...blockTensors(at, [experts, rows, cols], "_blocks", "_scales", "_bias"),
        ...inputScales ? [tensor(`${at}.input_scale`, scalarDtype, [experts], "scale")] : [],
      ];
    }
    const format = quark.weights ?? "mxfp4";
    if (quark.experts === "fused") return module(at, format, [experts], rows, cols, quark);
    return Array.from(
      { length: experts },
      (_, e) => module(`${name}.${e}.${projection}`, format, [], rows, cols, quark),
    ).flat();
  });
}

function blockTensors(
  name: string,
  [experts, rows, cols]: readonly [number, number, number],
  blocks: string,
  scales: string,
  bias: string,
): RandomTensor[] {
  return [
    tensor(`${name}${blocks}`, "U8", [experts, rows, cols / 32, 16], "codes"),
    tensor(`${name}${scales}`, "U8", [experts, rows, cols / 32], "e8m0"),
    plain(`${name}${bias}`, [experts, rows], "bias"),
  ];
}

/** The tensors of one of AMD Quark's linears, or with `lead` of as many fused ones. */
function module(
  name: string,
  format: Format,
  lead: readonly number[],
  rows: number,
  cols: number,
  { inputScales, scalarDtype = "F32", scalarShape = [] }: QuarkOptions,
): RandomTensor[] {
  const scalar = lead.length > 0 ? lead : scalarShape;
  const bias = plain(`${name}.bias`, [...lead, rows], "bias");
  if (format === "bf16") return [plain(`${name}.weight`, [...lead, rows, cols]), bias];
  const input = inputScales ? [tensor(`${name}.input_scale`, scalarDtype, scalar, "scale")] : [];
  if (format === "fp8" || format === "fp8_channel") {
    const scale = format === "fp8" ? scalar : [...lead, rows];
    return [
      tensor(`${name}.weight`, "F8_E4M3", [...lead, rows, cols], "fp8"),
      tensor(`${name}.weight_scale`, scalarDtype, scale, "scale"),
      bias,
      ...input,
    ];
  }
  const rowBytes = format === "mxfp4" ? cols / 2 : cols / 4 * 3;
  return [
    tensor(`${name}.weight`, "U8", [...lead, rows, rowBytes], "codes"),
    tensor(`${name}.weight_scale`, "U8", [...lead, rows, cols / 32], "e8m0"),
    bias,
    ...input,
  ];
}

function kvScales(
  attention: string,
  { kvScales, scalarDtype = "F32", scalarShape = [] }: QuarkOptions,
): RandomTensor[] {
  if (kvScales === undefined) return [];
  const names = kvScales === "legacy" ? ["k_scale", "v_scale"] : ["k_proj.output_scale", "v_proj.output_scale"];
  return names.map((name) => tensor(`${attention}.${name}`, scalarDtype, scalarShape, "scale"));
}

function originalTensors(shape: Shape): RandomTensor[] {
  const { layers, hidden, intermediate, experts, heads, kvHeads, headDim, vocab } = shape;
  const qkv = (heads + 2 * kvHeads) * headDim;
  const block = (name: string): RandomTensor[] => [
    plain(`${name}.attn.norm.scale`, [hidden], "norm"),
    plain(`${name}.attn.qkv.weight`, [qkv, hidden]),
    plain(`${name}.attn.qkv.bias`, [qkv], "bias"),
    plain(`${name}.attn.sinks`, [heads], "bias"),
    plain(`${name}.attn.out.weight`, [hidden, heads * headDim]),
    plain(`${name}.attn.out.bias`, [hidden], "bias"),
    plain(`${name}.mlp.norm.scale`, [hidden], "norm"),
    plain(`${name}.mlp.gate.weight`, [experts, hidden]),
    plain(`${name}.mlp.gate.bias`, [experts], "bias"),
    ...blockTensors(`${name}.mlp.mlp1_`, [experts, 2 * intermediate, hidden], "weight.blocks", "weight.scales", "bias"),
    ...blockTensors(`${name}.mlp.mlp2_`, [experts, hidden, intermediate], "weight.blocks", "weight.scales", "bias"),
  ];
  return [
    plain("embedding.weight", [vocab, hidden]),
    ...Array.from({ length: layers }, (_, layer) => block(`block.${layer}`)).flat(),
    plain("norm.scale", [hidden], "norm"),
    plain("unembedding.weight", [vocab, hidden]),
  ];
}
