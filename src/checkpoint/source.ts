/**
 * Where the numbers of a model lie on disk: the one vocabulary between checkpoint layouts (which produce it), the
 * sharder (which cuts it) and backends (which load it). Nothing here holds weights; everything is file ranges.
 */
import type { InputFormat } from "../formats/input.ts";
import type { WeightFormat } from "../formats/format.ts";
import type { InputRotation } from "../formats/rotation.ts";
import type { RandomContents } from "./random/contents.ts";

/** A file of the checkpoint that weights are read from. */
export interface SourceFile {
  /** Path to open; of a made file, that of the matrix which it is made of, for messages. */
  readonly path: string;
  /** Size in bytes when it was validated. */
  readonly bytes: number;
  /** Of a virtual file: its bytes are made whenever they are read. */
  readonly made?: MadeMatrix;
  /** Of a file of random weights that is nowhere: its bytes come from `readRandom`, and the path is for messages. */
  readonly random?: RandomContents;
}

/** Whether a file's bytes are made when they are read, by `MadeFiles`. */
export function isMade({ made, random }: SourceFile): boolean {
  return made !== undefined || random !== undefined;
}

/**
 * A matrix in another format than it is stored in: packed codes row by row, then its e8m0 scales row by row where the
 * format has them. Other scales are part of the {@linkcode MatrixSource} that lies in it.
 */
export interface MadeMatrix {
  /** The stored matrix; its files are in the same list. */
  readonly from: MatrixSource;
  readonly format: WeightFormat;
  /** float32, length 1 or one per row, what numbers are divided by; null for formats that need none. */
  readonly scales: Float32Array | null;
}

/** Scales of a stored matrix. `offset`s are bytes from the start of `file`. */
export type ScaleSource =
  | { readonly kind: "none" }
  /** u8 e8m0 per block of 32 columns: row r starts at `offset + r * rowStride`, `cols/32` bytes are used. */
  | { readonly kind: "e8m0"; readonly file: number; readonly offset: number; readonly rowStride: number }
  /** One float32 for the whole matrix, already widened from whatever dtype the file has. */
  | { readonly kind: "tensor"; readonly value: number }
  /** One float32 per row, already widened; length `rows`. */
  | { readonly kind: "row"; readonly values: Float32Array };

/**
 * A weight matrix W of y = x W^T, logically [rows = out features, cols = in features].
 *
 * Row r occupies `rowBytes` bytes from `offset + r * rowStride`. With `transposed` the file holds [cols, rows] instead
 * (Hugging Face's bf16 experts): stored row c (an input feature) starts at `offset + c * rowStride` and holds `rows`
 * numbers in its `rowBytes` bytes.
 */
export interface MatrixSource {
  /** Tensor name on disk, for messages. */
  readonly name: string;
  readonly format: WeightFormat;
  readonly rows: number;
  readonly cols: number;
  readonly transposed: boolean;
  /** Index into {@linkcode ModelSource.files}. */
  readonly file: number;
  readonly offset: number;
  readonly rowBytes: number;
  readonly rowStride: number;
  readonly scale: ScaleSource;
}

/** A vector of numbers (norm weight, bias, sinks): `length` numbers of `format` from `offset`, contiguous. */
export interface VectorSource {
  readonly name: string;
  readonly format: "bf16" | "f32" | "f16";
  readonly length: number;
  readonly file: number;
  readonly offset: number;
}

/** A linear layer: its matrix, its bias (null: none, or another rank adds it), and what happens to its input. */
export interface LinearSource {
  readonly weight: MatrixSource;
  readonly bias: VectorSource | null;
  readonly input: InputFormat;
  /**
   * Whether FP8 codes are multiplied by FP8 codes and both scales multiply the sum; otherwise the input is dequantized
   * first.
   */
  readonly multipliesCodes: boolean;
  /**
   * Name of the module in Hugging Face's model, whatever the layout calls it: what names in quantization_config mean.
   */
  readonly module?: string;
  /** What happens to the input before its format: part of the weights, whatever the plan says. Absent: nothing. */
  readonly rotation?: InputRotation;
  /**
   * Calibrated scale of the input (float32, > 0) where the checkpoint stores one; whether it is used, the plan decides.
   */
  readonly inputScale?: number;
  /** Whether a scale lies beside plain weights: they went through a format, which the config says. */
  readonly hasPlainScale?: boolean;
}

/**
 * The weights of a GPT-OSS model, with `M` standing for a plain matrix, `L` for a linear and `V` for a vector. Layouts
 * produce it with sources; a backend maps it to handles of its own.
 */
export interface ModelTree<M, L, V> {
  readonly embedding: M;
  readonly layers: readonly LayerTree<L, V>[];
  readonly norm: V;
  readonly head: L;
}

/** The weights of one layer. */
export interface LayerTree<L, V> {
  readonly inputNorm: V;
  readonly q: L;
  readonly k: L;
  readonly v: L;
  readonly o: L;
  /** One logit per query head. */
  readonly sinks: V;
  readonly postNorm: V;
  readonly router: L;
  /** One entry per (local) expert; row 2n of gateUp is gate n and row 2n+1 is up n. */
  readonly gateUp: readonly L[];
  readonly down: readonly L[];
}

/** A layer's linears, in the order in which everything goes through them. */
export const LAYER_LINEARS = ["q", "k", "v", "o", "router", "gateUp", "down"] as const;
/** One of {@linkcode LAYER_LINEARS}; `gateUp` and `down` stand for one of each expert. */
export type LinearName = (typeof LAYER_LINEARS)[number];

/** A layer's vectors. */
const LAYER_VECTORS = ["inputNorm", "sinks", "postNorm"] as const;

/** The linears of a layer. */
export type LayerLinears<L> = Pick<LayerTree<L, unknown>, LinearName>;

/** All linears of one name in a layer: one, or one per expert. */
export function linearsNamed<L>(layer: LayerLinears<L>, name: LinearName): readonly L[] {
  const { [name]: found } = layer;
  return (Array.isArray(found) ? found : [found]) as readonly L[];
}

/** All linears of a layer, expert by expert at the end. */
export function linearsOf<L>(layer: LayerLinears<L>): L[] {
  return LAYER_LINEARS.flatMap((name) => linearsNamed(layer, name));
}

/** All linears of a model, layer by layer, the head last. */
export function allLinears<L>({ layers, head }: { layers: readonly LayerLinears<L>[]; head: L }): L[] {
  return [...layers.flatMap((layer) => linearsOf(layer)), head];
}

/** All vectors of a layer. */
export function vectorsOf<V>(layer: LayerTree<unknown, V>): V[] {
  return LAYER_VECTORS.map((name) => layer[name]);
}

/** The linears of a layer with something else for each. */
export function mapLinears<L, M>(layer: LayerLinears<L>, map: (linear: L, name: LinearName) => M): LayerLinears<M> {
  return {
    q: map(layer.q, "q"),
    k: map(layer.k, "k"),
    v: map(layer.v, "v"),
    o: map(layer.o, "o"),
    router: map(layer.router, "router"),
    gateUp: layer.gateUp.map((l) => map(l, "gateUp")),
    down: layer.down.map((l) => map(l, "down")),
  };
}

/** A layer with something else for its linears and vectors. */
export function mapLayer<L, V, M, W>(
  layer: LayerTree<L, V>,
  linear: (l: L) => M,
  vector: (v: V) => W,
): LayerTree<M, W> {
  return {
    ...mapLinears(layer, linear),
    inputNorm: vector(layer.inputNorm),
    sinks: vector(layer.sinks),
    postNorm: vector(layer.postNorm),
  };
}

/** Scales of the FP8 KV cache of one layer: stored = saturate(x / scale). 1 where the checkpoint has none. */
export interface KvScales {
  readonly k: number;
  readonly v: number;
}

/** A tensor with scales of queries or of attention probabilities, which are not quantized here. */
export interface AttentionScales {
  readonly file: string;
  readonly tensor: string;
}

/** A whole checkpoint (or one rank's part of it) as file ranges. */
export interface ModelSource {
  readonly files: readonly SourceFile[];
  readonly tree: ModelTree<MatrixSource, LinearSource, VectorSource>;
  /** Per layer. */
  readonly kvScales: readonly KvScales[];
  /** Layers whose scales of the cache the checkpoint stores; none if left out. */
  readonly storedKvScales?: number;
  /** The first such tensor; whether it may be left out, the plan decides. */
  readonly attentionScales?: AttentionScales;
}
