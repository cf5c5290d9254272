/**
 * What the model graph may ask a backend for: operations on opaque tensors.
 *
 * Contract shared by all backends
 * - Activations are float32 values in [rows, width] tensors, row-major; with `dtype: "bf16"` every operation marked
 *   (round) rounds each output element to bfloat16 (nearest, ties to even), and accumulates in float32 or better
 *   before.
 * - Rows of a tensor are the tokens of the current batch, in batch order; "slot rows" are (token, k) pairs, k-th chosen
 *   expert of the token, at row `token * topK + k`.
 * - An output element never depends on which other tokens share its batch, on thread count or on chunking.
 * - Operations never allocate; everything is sized by the {@linkcode OpenRequest}.
 */
import type { KvScales, ModelSource, ModelTree } from "../checkpoint/source.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { Dtype, KvFormat } from "../formats/format.ts";
import type { PageChanges } from "./pages.ts";

/** An activation tensor of a backend; only the backend that made it can read it. */
export interface Tensor {
  /** Rows it has room for. */
  readonly rows: number;
  readonly width: number;
}

/** A loaded embedding matrix, linear or vector; opaque outside the backend. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
}
/** A loaded linear: [rows = outputs, cols = inputs]. */
export interface Linear {
  readonly rows: number;
  readonly cols: number;
}
/** A loaded vector. */
export interface Vector {
  readonly length: number;
}

/** Size of an activation tensor that the graph needs: `rowsPerToken * maxTokens` rows of `width`. */
export interface TensorSpec {
  readonly rowsPerToken: number;
  readonly width: number;
}

/**
 * Ranks that a sum runs over: `tensor`, those that share the attention heads and the vocabulary; `world`, all, which
 * share the experts and their columns.
 */
export type RankGroup = "tensor" | "world";

/**
 * What joins the ranks of a tensor/expert parallel run over the host's memory; one rank has none. Sums take their place
 * among the operations that the caller orders before and after: the call blocks.
 */
export interface Communicator {
  readonly rank: number;
  readonly size: number;
  /** Ranks of this process, which share its memory; absent: all. */
  readonly here?: number;
  /**
   * values = sum over the group's ranks of values, in rank order, in float32, then rounded to bf16 if `round`; every
   * rank of the group must call it, with equally many values. With `round` each rank's values are bf16 numbers already,
   * so 16 bits of each are enough to send.
   *
   * The order is part of the result, on devices as well: a library that sums in an order of its own (NCCL's allReduce
   * does, and rounds every partial sum to the type that it sends) gathers the ranks' values, and a kernel sums.
   *
   * @throws {FailureError} if another rank failed.
   */
  allReduce(values: Float32Array, group: RankGroup, round: boolean): void;
}

/** How many ranks of a run this process has. */
export function ranksHere(part: { readonly communicator: Pick<Communicator, "size" | "here"> } | undefined): number {
  return part === undefined ? 1 : part.communicator.here ?? part.communicator.size;
}

/** The part of the model that a rank owns, where the source alone does not say it; `C` is what joins it with others. */
export interface RankPart<C = Communicator> {
  /** Row of the whole embedding that is row 0 of this rank's; ids outside give zeros. */
  readonly vocabStart: number;
  /** Number of the first local expert among all. */
  readonly expertStart: number;
  readonly communicator: C;
}

/**
 * Everything that a backend must know before it allocates anything. `N` are the graph's names of its tensors, `C` is
 * what joins ranks.
 */
export interface OpenRequest<N extends string = string, C = Communicator> {
  readonly source: ModelSource;
  readonly config: ModelConfig;
  readonly dtype: Dtype;
  readonly kvFormat: KvFormat;
  /** Most tokens in one batch (the prefill chunk). */
  readonly maxTokens: number;
  /** Sequences that can be alive at once; each has its own KV cache. */
  readonly slots: number;
  /** Most positions of one sequence. */
  readonly context: number;
  /** Positions that a sequence may be taken back by, beyond which sliding layers forget; absent: none. */
  readonly rewind?: number;
  /** Pages that all sequences share, as batches say; absent: each sequence has a cache of its own. */
  readonly pages?: number;
  readonly tensors: Readonly<Record<N, TensorSpec>>;
  /** Absent: this is the only rank. */
  readonly part?: RankPart<C>;
  /** Called while weights are read: bytes done, bytes in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Positions that the cache of a layer has room for. A sliding layer keeps its window and one batch: while a batch of n
 * tokens is written, its first token still sees the window - 1 positions before it. What a sequence may be taken back
 * by comes on top.
 */
export function cachePositions(
  { config, context, maxTokens, rewind = 0 }: Pick<OpenRequest, "config" | "context" | "maxTokens" | "rewind">,
  layer: number,
): number {
  return config.sliding[layer] ? Math.min(context, config.slidingWindow + maxTokens + rewind) : context;
}

/**
 * Scales of a layer's cache: an FP8 code times its scale is the number that it stands for. Other formats hold the
 * numbers themselves, whatever scales the checkpoint has for an FP8 cache.
 */
export function cacheScales({ source, kvFormat }: Pick<OpenRequest, "source" | "kvFormat">, layer: number): KvScales {
  return kvFormat === "fp8" ? source.kvScales[layer]! : { k: 1, v: 1 };
}

/** Tokens to compute in one pass. Arrays of equal length n, 1 <= n <= maxTokens. */
export interface Batch {
  /** Token ids, each below the vocabulary size. */
  readonly ids: Int32Array;
  /** Sequence slot of each token. Tokens of one slot stand together, in ascending position. */
  readonly slots: Int32Array;
  /** Position of each token in its sequence; all earlier positions were computed in this batch or before. */
  readonly positions: Int32Array;
  /** Absent where nothing changes, and where each sequence has a cache of its own. */
  readonly pages?: PageChanges;
}

/** Operations of one rank. `n` below is the number of tokens of the current batch. */
export interface Backend<N extends string = string> {
  readonly name: string;
  readonly tensors: Readonly<Record<N, Tensor>>;
  readonly weights: ModelTree<Matrix, Linear, Vector>;

  /** Makes `batch` the current batch. */
  begin(batch: Batch): void;

  /** out[t] = table[ids[t]] (round). */
  embed(out: Tensor, table: Matrix): void;
  /** out = x * rsqrt(mean(x^2) + eps) * weight, float32 throughout, one rounding (round). */
  rmsNorm(out: Tensor, x: Tensor, weight: Vector): void;
  /** outs[i] = QDQ_i(x) W_i^T + b_i (round), each with its own linear's input format; all linears read the same x. */
  linear(outs: readonly Tensor[], x: Tensor, linears: readonly Linear[]): void;
  /** Rotates q [n, heads * D] and k [n, kvHeads * D] in place by each token's position (round). */
  rotate(q: Tensor, k: Tensor): void;
  /** Writes k and v into the layer's cache, in the KV format (fp8: saturate(x / scale), scales of the layer). */
  store(layer: number, k: Tensor, v: Tensor): void;
  /**
   * Causal attention with sinks over the layer's cache, within the window where the layer is sliding:
   * p_j = exp(s_j - m) / (exp(sink - m) + sum exp(s - m)), s_j = q.k_j / sqrt(D), out = sum p_j v_j (round).
   */
  attention(out: Tensor, q: Tensor, layer: number, sinks: Vector): void;
  /** h = h + y (round). */
  add(h: Tensor, y: Tensor): void;
  /**
   * Chooses topK experts of each token from router logits [n, E]: descending, ties to the lower index, softmax over the
   * chosen.
   */
  route(logits: Tensor): void;
  /** Slot rows: out[t,k] = QDQ(x[t]) gateUp[e]^T + b, e the k-th chosen expert of t (round). QDQ once per token. */
  expertGateUp(out: Tensor, x: Tensor, gateUp: readonly Linear[]): void;
  /**
   * Slot rows: g = min(z[2n], limit), u = clamp(z[2n+1], +-limit), out[n] = (u + 1) * g * sigmoid(alpha * g) (round).
   */
  swiglu(out: Tensor, z: Tensor): void;
  /** Slot rows: out[t,k] = QDQ(a[t,k]) down[e]^T + b, float32, not rounded. */
  expertDown(out: Tensor, a: Tensor, down: readonly Linear[]): void;
  /** out[t] = sum over k, in order of k, of p_k * y[t,k] in float32 (round). */
  combine(out: Tensor, y: Tensor): void;
  /** Sums x over the ranks of the group, in rank order, in float32; nothing to do for one rank (round). */
  allReduce(x: Tensor, group: RankGroup): void;
  /**
   * Logits of the given batch rows: x[rows[i]] W^T, float32, not rounded. The result [rows.length, V] is valid until
   * the next call. Written to `into` when given. Of a rank, V is the number of rows of its part of the head.
   */
  logits(x: Tensor, head: Linear, rows: Int32Array, into?: Float32Array): Float32Array;
  /**
   * Of rows of logits [rows, V] that {@linkcode Backend.logits} returned last, the places of the largest, the first of
   * equal ones; where a logit is NaN or infinite, ~place of the first such one. Absent where others look for them.
   */
  likeliest?(head: Linear, rows: number): Int32Array;
  /**
   * What {@linkcode Backend.likeliest} would say of the logits of the given batch rows, found without computing most of
   * them. The result is valid until the next call; undefined where that is not to be had, or takes longer.
   */
  greedy?(x: Tensor, head: Linear, rows: Int32Array): Int32Array | undefined;
  /** Whether {@linkcode Backend.greedy} is tried for so many rows. */
  picksGreedily?(head: Linear, rows: number): boolean;

  /** Copies the first `length` cached positions of one sequence to another, in every layer. */
  copySlot(from: number, to: number, length: number): void;

  /** A copy of the first `rows` rows of a tensor, for taps and tests. */
  read(tensor: Tensor, rows: number): Float32Array;
  /** Overwrites the first rows of a tensor, for comparisons on equal inputs and for tests. */
  write(tensor: Tensor, values: Float32Array): void;
  /** A copy of the current routing: [n * topK] expert ids and weights, for taps and tests. */
  readRouting(): { ids: Int32Array; weights: Float32Array };
  /** Overwrites the routing of the current batch, for comparisons on equal inputs and for tests. */
  writeRouting(ids: Int32Array, weights: Float32Array): void;

  /** What was measured while loading, and what the backend chose, for `--stats`. */
  readonly info: BackendInfo;
  /** Stops workers and frees what is held; the backend cannot be used afterwards. */
  close(): Promise<void>;
}

/** Facts about an opened backend. */
export interface BackendInfo {
  /** For instance "wasm simd128, 2 threads, weights mapped". */
  readonly description: string;
  /** Bytes of memory that hold weights. */
  readonly weightBytes: number;
  /**
   * Bytes of the machine's memory for caches, activations and what else is computed, which the system counts as free
   * until they are first written; absent: none.
   */
  readonly unwrittenBytes?: number;
  readonly loadMilliseconds: number;
}
