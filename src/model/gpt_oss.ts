/**
 * The GPT-OSS forward pass, top to bottom: the only place that knows what the model computes. How an operation is
 * computed, where tensors live and in which format weights are stored is the backend's business.
 */
import type { Backend, Batch, Tensor, TensorSpec } from "./backend.ts";
import type { ModelConfig } from "../checkpoint/model_config.ts";
import type { ModelSource } from "../checkpoint/source.ts";
import { likeliestOf } from "./likeliest.ts";
import { operation, type TappedOperation } from "./operations.ts";

/** The graph's activation tensors. */
export type TensorName =
  /** residual stream, [n, H] */
  | "hidden"
  /** output of an RMSNorm, [n, H] */
  | "normed"
  /** [n, heads * D] */
  | "query"
  /** [n, kvHeads * D] */
  | "key"
  | "value"
  /** concatenated heads, [n, heads * D] */
  | "attended"
  /** output of o_proj, [n, H] */
  | "projected"
  /** router logits, [n, E] */
  | "router"
  /** expert gate and up interleaved, [n * topK, 2 I] */
  | "gateUp"
  /** SwiGLU of them, [n * topK, I] */
  | "activated"
  /** expert outputs, [n * topK, H] */
  | "expertOut"
  /** their weighted sum, [n, H] */
  | "combined";

/** The result of one operation of the forward pass, to be looked at while the tap is called. */
export interface TapPoint {
  /** -1 for `embed`, the number of layers for `finalNorm`. */
  readonly layer: number;
  readonly operation: TappedOperation;
  /** Tokens of the batch, or slot rows (token * topK + k) for operations inside the experts. */
  readonly rows: number;
  readonly width: number;
  /** A copy of the values, [rows, width]; for `route` the weights of the chosen experts. */
  read(): Float32Array;
  /** For `route`: the chosen experts [rows, topK], in descending order of weight. */
  readonly experts?: () => Int32Array;
  /**
   * Replaces the result, [rows, width], for the operations that follow; for `route` with the chosen experts. Absent
   * where the graph runs on other threads.
   */
  readonly write?: (values: Float32Array, experts?: Int32Array) => void;
}

/** Looks at intermediate results of a forward pass. */
export type Tap = (point: TapPoint) => void;

/**
 * Sizes of the activation tensors for this model or this rank's part of it (heads, intermediate columns and experts are
 * counted from the source, which holds only what the rank owns).
 */
export function workspace(config: ModelConfig, source: ModelSource): Record<TensorName, TensorSpec> {
  const layers = source.tree.layers;
  const widest = (rows: (layer: (typeof layers)[number]) => number) => Math.max(0, ...layers.map(rows));
  const query = widest((l) => l.q.weight.rows);
  const keyValue = widest((l) => l.k.weight.rows);
  const gateUp = widest((l) => Math.max(0, ...l.gateUp.map((e) => e.weight.rows)));
  const one = (width: number): TensorSpec => ({ rowsPerToken: 1, width });
  const perSlot = (width: number): TensorSpec => ({ rowsPerToken: config.topK, width });
  return {
    hidden: one(config.hidden),
    normed: one(config.hidden),
    query: one(query),
    key: one(keyValue),
    value: one(keyValue),
    attended: one(query),
    projected: one(config.hidden),
    router: one(config.experts),
    gateUp: perSlot(gateUp),
    activated: perSlot(gateUp / 2),
    expertOut: perSlot(config.hidden),
    combined: one(config.hidden),
  };
}

/** A GPT-OSS model whose weights a backend has loaded. */
export class GptOss {
  readonly #layers: number;
  readonly #topK: number;

  constructor(readonly backend: Backend<TensorName>, config: ModelConfig) {
    this.#layers = config.layers;
    this.#topK = config.topK;
  }

  /**
   * Computes one batch, pausing after every layer so that the caller can let other work in.
   *
   * @param batch Tokens; their keys and values enter the cache.
   * @param tap Looks at intermediate results.
   */
  *layersOf(batch: Batch, tap?: Tap): Generator<number, void, void> {
    const { backend } = this;
    const { weights, tensors: t } = backend;
    const see = (layer: number, name: TappedOperation, tensor: Tensor) =>
      tap?.(this.#pointOf(layer, name, tensor, batch));

    backend.begin(batch);
    backend.embed(t.hidden, weights.embedding);
    backend.allReduce(t.hidden, "tensor");
    see(-1, "embed", t.hidden);

    for (let layer = 0; layer < this.#layers; layer++) {
      const w = weights.layers[layer]!;

      backend.rmsNorm(t.normed, t.hidden, w.inputNorm);
      see(layer, "inputNorm", t.normed);
      backend.linear([t.query, t.key, t.value], t.normed, [w.q, w.k, w.v]);
      see(layer, "q_proj", t.query);
      see(layer, "k_proj", t.key);
      see(layer, "v_proj", t.value);
      backend.rotate(t.query, t.key);
      see(layer, "rotary.q", t.query);
      see(layer, "rotary.k", t.key);
      backend.store(layer, t.key, t.value);
      backend.attention(t.attended, t.query, layer, w.sinks);
      see(layer, "attention", t.attended);
      backend.linear([t.projected], t.attended, [w.o]);
      backend.allReduce(t.projected, "tensor");
      see(layer, "o_proj", t.projected);
      backend.add(t.hidden, t.projected);
      see(layer, "attentionResidual", t.hidden);

      backend.rmsNorm(t.normed, t.hidden, w.postNorm);
      see(layer, "postNorm", t.normed);
      backend.linear([t.router], t.normed, [w.router]);
      see(layer, "router", t.router);
      backend.route(t.router);
      tap?.(this.#routePointOf(layer, batch));
      backend.expertGateUp(t.gateUp, t.normed, w.gateUp);
      see(layer, "experts.gate_up_proj", t.gateUp);
      backend.swiglu(t.activated, t.gateUp);
      see(layer, "experts.swiglu", t.activated);
      backend.expertDown(t.expertOut, t.activated, w.down);
      see(layer, "experts.down_proj", t.expertOut);
      backend.combine(t.combined, t.expertOut);
      backend.allReduce(t.combined, "world");
      see(layer, "experts.combine", t.combined);
      backend.add(t.hidden, t.combined);
      see(layer, "mlpResidual", t.hidden);
      yield layer;
    }

    backend.rmsNorm(t.normed, t.hidden, weights.norm);
    see(this.#layers, "finalNorm", t.normed);
  }

  /** The result of an operation of a batch, in its tensor. */
  #pointOf(layer: number, name: TappedOperation, tensor: Tensor, { ids }: Batch): TapPoint {
    const { backend } = this, rows = operation(name).rows === "slot" ? ids.length * this.#topK : ids.length;
    return {
      layer,
      operation: name,
      rows,
      width: tensor.width,
      read: () => backend.read(tensor, rows),
      write: (values) => backend.write(tensor, values),
    };
  }

  /** The choice of experts for a batch, which the backend holds. */
  #routePointOf(layer: number, { ids }: Batch): TapPoint {
    const { backend } = this;
    return {
      layer,
      operation: "route",
      rows: ids.length,
      width: this.#topK,
      read: () => backend.readRouting().weights,
      experts: () => backend.readRouting().ids,
      write: (weights, experts) => backend.writeRouting(experts ?? backend.readRouting().ids, weights),
    };
  }

  /**
   * Puts made-up keys and values into the cache at a batch's positions, and computes nothing: a measurement at a depth
   * need not compute its way there.
   */
  pretend(batch: Batch): void {
    const { backend } = this, { tensors: { key, value } } = backend, n = batch.ids.length;
    backend.begin(batch);
    for (const tensor of [key, value]) {
      // Small bf16 numbers; which ones they are is of no concern, but nothing may take them for zeros.
      backend.write(tensor, Float32Array.from({ length: n * tensor.width }, (_, i) => (i * 37 % 255 - 127) / 128));
    }
    for (let layer = 0; layer < this.#layers; layer++) backend.store(layer, key, value);
  }

  /** Computes one batch without pausing. */
  forward(batch: Batch, tap?: Tap): void {
    const layers = this.layersOf(batch, tap);
    while (!layers.next().done);
  }

  /**
   * Logits of rows of the batch that was computed last.
   *
   * @param rows Indices into the batch.
   * @param into Receives [rows.length, V] float32; otherwise the backend's own buffer is returned, valid until the next
   *   call.
   */
  logits(rows: Int32Array, into?: Float32Array): Float32Array {
    const { tensors, weights } = this.backend;
    return this.backend.logits(tensors.normed, weights.head, rows, into);
  }

  /**
   * The likeliest tokens after rows of the batch that was computed last, as `Picks.ids`, valid until the next call.
   *
   * @param rows At most as many as the backend computes logits of at once.
   */
  greedy(rows: Int32Array): Int32Array {
    const { tensors, weights } = this.backend, picked = this.backend.greedy?.(tensors.normed, weights.head, rows);
    if (picked !== undefined) return picked;
    const logits = this.logits(rows), vocab = logits.length / rows.length;
    return this.likeliest(rows.length) ??
      rows.map((_, i) => likeliestOf(logits.subarray(i * vocab, (i + 1) * vocab)));
  }

  /**
   * {@linkcode greedy} of any number of rows, in parts of at most `most`; pauses after each, so that the caller can let
   * other work in.
   *
   * @param ids Receives the tokens.
   */
  *greedyParts(rows: Int32Array, most: number, ids: Int32Array): Generator<void, void, void> {
    for (let at = 0; at < rows.length; at += most) {
      ids.set(this.greedy(rows.subarray(at, at + most)), at);
      yield;
    }
  }

  /** {@linkcode Backend.likeliest} of so many rows of the logits that were computed last, not given away. */
  likeliest(rows: number): Int32Array | undefined {
    return this.backend.likeliest?.(this.backend.weights.head, rows);
  }
}
