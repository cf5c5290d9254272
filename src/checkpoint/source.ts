/**
 * Where the numbers of a model lie on disk: the one vocabulary between checkpoint layouts (which produce it), the
 * sharder (which cuts it) and backends (which load it). Nothing here holds weights; everything is file ranges.
 */
import type { InputFormat, WeightFormat } from "../quant/format.ts";
import type { InputRotation } from "../quant/rotation.ts";

/** A file of the checkpoint that weights are read from. */
export interface SourceFile {
  /** Path to open. */
  readonly path: string;
  /** Size in bytes when it was validated. */
  readonly bytes: number;
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
 * (Hugging Face's bf16 experts): stored row c (an input feature) starts at `offset + c * rowStride` and holds `rows` numbers
 * in its `rowBytes` bytes.
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
  /** Name of the module in Hugging Face's model, whatever the layout calls it: what names in quantization_config mean. */
  readonly module?: string;
  /** What happens to the input before its format: part of the weights, whatever the plan says. Absent: nothing. */
  readonly rotation?: InputRotation;
  /** Calibrated scale of the input (float32, > 0) where the checkpoint stores one; whether it is used, the plan decides. */
  readonly inputScale?: number;
}

/**
 * The weights of a GPT-OSS model, with `M` standing for a plain matrix, `L` for a linear and `V` for a vector. Layouts produce
 * it with sources; a backend maps it to handles of its own.
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

/** A layer with something else for its linears and vectors, made in the order of the members. */
export function mapLayer<L, V, M, W>(
  layer: LayerTree<L, V>,
  linear: (l: L) => M,
  vector: (v: V) => W,
): LayerTree<M, W> {
  return {
    inputNorm: vector(layer.inputNorm),
    q: linear(layer.q),
    k: linear(layer.k),
    v: linear(layer.v),
    o: linear(layer.o),
    sinks: vector(layer.sinks),
    postNorm: vector(layer.postNorm),
    router: linear(layer.router),
    gateUp: layer.gateUp.map((l) => linear(l)),
    down: layer.down.map((l) => linear(l)),
  };
}

/** All linears of a model, layer by layer, the head last. */
export function linearsOf({ tree }: Pick<ModelSource, "tree">): LinearSource[] {
  const layers = tree.layers.flatMap((
    { q, k, v, o, router, gateUp, down },
  ) => [q, k, v, o, router, ...gateUp, ...down]);
  return [...layers, tree.head];
}

/** Scales of the FP8 KV cache of one layer: stored = saturate(x / scale). 1 where the checkpoint has none. */
export interface KvScales {
  readonly k: number;
  readonly v: number;
}

/** A whole checkpoint (or one rank's part of it) as file ranges. */
export interface ModelSource {
  readonly files: readonly SourceFile[];
  readonly tree: ModelTree<MatrixSource, LinearSource, VectorSource>;
  /** Per layer. */
  readonly kvScales: readonly KvScales[];
  /** Layers whose scales of the cache the checkpoint stores; none if left out. */
  readonly storedKvScales?: number;
}
