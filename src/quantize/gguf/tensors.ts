/** The tensors of a GGUF file, and what of safetensors each becomes. */
import type { GgufModel } from "../../checkpoint/gguf/split.ts";
import type { GgufTensor } from "../../checkpoint/gguf/header.ts";
import { type GgufType, READ_TYPES, typeName } from "../../checkpoint/gguf/types.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import { anyOf, firstOf, printable, shapeText } from "../../describe.ts";
import { InputError } from "../../errors.ts";

/** A tensor of a type that is read. */
export type ReadTensor = GgufTensor & {
  readonly file: number;
  readonly format: GgufType["name"];
  readonly bytes: number;
};

/** Plain numbers that stay a tensor of the same shape. */
export interface PlainTensor {
  readonly kind: "plain";
  /** Name in the checkpoint. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: ReadTensor;
}

/** Tensors whose rows alternate in one, [..., 2 * rows]: of an expert's gate and up. */
export interface JoinedBias {
  readonly kind: "joined";
  readonly name: string;
  readonly shape: readonly number[];
  readonly from: readonly [gate: ReadTensor, up: ReadTensor];
}

/** MXFP4 experts, [experts, rows, cols], which become blocks and scales; the rows of two alternate. */
export interface ExpertBlocks {
  readonly kind: "experts";
  readonly blocks: string;
  readonly scales: string;
  readonly experts: number;
  /** Of each tensor of `from`. */
  readonly rows: number;
  readonly cols: number;
  readonly from: readonly ReadTensor[];
}

/**
 * Experts of other types, [experts, rows, cols] each, which are transposed to [experts, cols, parts * rows]: what the
 * rows of two become alternates.
 */
export interface TransposedExperts {
  readonly kind: "transposed";
  readonly name: string;
  readonly experts: number;
  /** Of each tensor of `from`. */
  readonly rows: number;
  readonly cols: number;
  readonly from: readonly ReadTensor[];
}

/** All of a checkpoint, layer by layer. */
export type Piece = PlainTensor | JoinedBias | ExpertBlocks | TransposedExperts;

const VECTOR: readonly GgufType["name"][] = ["F32", "F16", "BF16"];
const MATRIX: readonly GgufType["name"][] = [...VECTOR, "Q8_0"];
const EXPERTS: readonly GgufType["name"][] = [...MATRIX, "MXFP4"];

/**
 * Finds all tensors of a model.
 *
 * @throws {InputError} naming the first that is missing, of another type or shape, or not one of GPT-OSS.
 */
export function piecesOf(model: GgufModel, config: ModelConfig): Piece[] {
  const { tensors, files } = model, used = new Set<string>(), place = files[0]!.path;
  const take = (name: string, types: readonly GgufType["name"][], shape: readonly number[]): ReadTensor => {
    const expected = `${anyOf(types)} ${shapeText(shape)}`, tensor = tensors.get(name);
    if (tensor === undefined) throw InputError.of("missing", { file: place, tensor: name }, expected, "nothing");
    used.add(name);
    const type = READ_TYPES.get(tensor.type), same = tensor.shape.join() === shape.join();
    if (type === undefined || !types.includes(type.name) || !same) {
      const got = `${typeName(tensor.type)} ${shapeText(tensor.shape)}`;
      throw InputError.of("wrong_value", { file: files[tensor.file]!.path, tensor: name }, expected, got);
    }
    return { ...tensor, format: type.name, bytes: tensor.bytes! };
  };
  const plain = (name: string, from: string, shape: readonly number[], types = VECTOR): Piece => ({
    ...{ kind: "plain", name, shape },
    from: take(from, types, shape),
  });
  const { hidden, heads, kvHeads, headDim, vocab, experts, intermediate } = config;
  const pieces = [plain("model.embed_tokens.weight", "token_embd.weight", [vocab, hidden], MATRIX)];
  for (let layer = 0; layer < config.layers; layer++) {
    const own = `blk.${layer}`, at = `model.layers.${layer}`;
    const linear = (name: string, from: string, rows: number, cols: number, types = MATRIX): Piece[] => [
      plain(`${at}.${name}.weight`, `${own}.${from}.weight`, [rows, cols], types),
      plain(`${at}.${name}.bias`, `${own}.${from}.bias`, [rows]),
    ];
    pieces.push(
      plain(`${at}.input_layernorm.weight`, `${own}.attn_norm.weight`, [hidden]),
      ...linear("self_attn.q_proj", "attn_q", heads * headDim, hidden),
      ...linear("self_attn.k_proj", "attn_k", kvHeads * headDim, hidden),
      ...linear("self_attn.v_proj", "attn_v", kvHeads * headDim, hidden),
      ...linear("self_attn.o_proj", "attn_output", hidden, heads * headDim),
      plain(`${at}.self_attn.sinks`, `${own}.attn_sinks.weight`, [heads]),
      plain(`${at}.post_attention_layernorm.weight`, `${own}.post_attention_norm.weight`, [hidden]),
      ...linear("mlp.router", "ffn_gate_inp", experts, hidden, VECTOR),
      ...expertPieces(`${at}.mlp.experts`, own, { experts, hidden, intermediate }, take),
    );
  }
  pieces.push(
    plain("model.norm.weight", "output_norm.weight", [hidden]),
    plain("lm_head.weight", "output.weight", [vocab, hidden], MATRIX),
  );
  const other = [...tensors.keys()].filter((name) => !used.has(name));
  if (other.length > 0) {
    const file = files[tensors.get(other[0]!)!.file]!.path;
    throw InputError.of("unsupported", { file }, "tensors of GPT-OSS alone", firstOf(other.map(printable)));
  }
  refuseMixed(pieces, files.map(({ path }) => path));
  return pieces;
}

/** Refuses experts of which some are MXFP4 alone: they are stored otherwise than all others, and a config names one. */
function refuseMixed(pieces: readonly Piece[], paths: readonly string[]): void {
  const all = pieces.flatMap((piece) => piece.kind === "experts" || piece.kind === "transposed" ? piece.from : []);
  const first = all[0]!, isBlocks = (tensor: ReadTensor) => tensor.format === "MXFP4";
  const other = all.find((tensor) => isBlocks(tensor) !== isBlocks(first));
  if (other === undefined) return;
  const expected = `${isBlocks(first) ? "MXFP4" : anyOf(MATRIX)} as in ${first.name} (all experts MXFP4, or none)`;
  throw InputError.of("unsupported", { file: paths[other.file]!, tensor: other.name }, expected, other.format);
}

type Take = (name: string, types: readonly GgufType["name"][], shape: readonly number[]) => ReadTensor;

function expertPieces(
  at: string,
  own: string,
  { experts, hidden, intermediate }: Pick<ModelConfig, "experts" | "hidden" | "intermediate">,
  take: Take,
): Piece[] {
  const weights = (part: string, rows: number, cols: number) =>
    take(`${own}.ffn_${part}_exps.weight`, EXPERTS, [experts, rows, cols]);
  const bias = (part: string, rows: number) => take(`${own}.ffn_${part}_exps.bias`, VECTOR, [experts, rows]);
  const linears = (projection: string, rows: number, cols: number, from: readonly ReadTensor[]): Piece => {
    const name = `${at}.${projection}`, rest = { experts, rows, cols, from };
    return from.some(({ format }) => format === "MXFP4")
      ? { kind: "experts", blocks: `${name}_blocks`, scales: `${name}_scales`, ...rest }
      : { kind: "transposed", name, ...rest };
  };
  const gate = weights("gate", intermediate, hidden), up = weights("up", intermediate, hidden);
  return [
    linears("gate_up_proj", intermediate, hidden, [gate, up]),
    {
      kind: "joined",
      name: `${at}.gate_up_proj_bias`,
      shape: [experts, 2 * intermediate],
      from: [bias("gate", intermediate), bias("up", intermediate)],
    },
    linears("down_proj", hidden, intermediate, [weights("down", hidden, intermediate)]),
    { kind: "plain", name: `${at}.down_proj_bias`, shape: [experts, hidden], from: bias("down", hidden) },
  ];
}
