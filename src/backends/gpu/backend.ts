/**
 * The GPU backend: operations are collected (see collector.ts) and launched when somebody needs a result. A decode step
 * can be recorded once and replayed (see {@linkcode GpuBackend.replay}).
 */
import type { GpuDevice, Graph, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { type DecodeRequest, type DecodeResult, LOGIT_ROWS } from "../../model/engine.ts";
import { rotaryTables } from "../../model/yarn.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import type { Backend, BackendInfo, Batch, OpenRequest, RankGroup } from "../../model/backend.ts";
import { attentionTiles, BatchUploads, isSingle } from "./batch.ts";
import { copyCacheSlot } from "./cache.ts";
import { decodeLoop, type DecodeParts, enqueuePick, uploadSampling } from "./decode.ts";
import { attentionEntry } from "./attention.ts";
import { type ExpertTables, OperationCollector } from "./collector.ts";
import type { Executor } from "./executor.ts";
import type { Held } from "./held.ts";
import { downloadFloats, downloadRows, uploadFloats, uploadRows } from "./staging.ts";
import type { GpuLinear, GpuTensor, GpuTree } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

const NO_ROWS = new Int32Array(0);
const NO_BATCH: Batch = { ids: NO_ROWS, slots: NO_ROWS, positions: NO_ROWS };

/** What profile.ts measures a batch with. */
export interface MeasuringTools {
  readonly device: GpuDevice;
  readonly stream: Stream;
  readonly executor: Executor;
  /** Launches the collected operations; afterwards only `keep` and the residual stream are defined. */
  readonly launch: (keep: GpuTensor) => void;
}

/** What {@linkcode GpuBackend} is made of. */
export interface GpuParts<N extends string> {
  readonly request: OpenRequest<N>;
  readonly weights: GpuTree;
  /** By the arrays of `weights`. */
  readonly experts: ExpertTables;
  readonly workspace: Workspace<N>;
  readonly executor: Executor;
  readonly stream: Stream;
  readonly held: Held;
  readonly info: BackendInfo;
  readonly name: string;
}

export class GpuBackend<N extends string> extends OperationCollector implements Backend<N> {
  readonly name: string;
  readonly tensors: Readonly<Record<N, GpuTensor>>;
  readonly weights: GpuTree;
  readonly info: BackendInfo;
  readonly #request: OpenRequest<N>;
  readonly #workspace: Workspace<N>;
  readonly #stream: Stream;
  readonly #held: Held;
  readonly #uploads: BatchUploads;
  /** Page-locked memory for results and for what tests write. */
  readonly #staging: PinnedBuffer;
  readonly #graphs = new Map<string, Graph | "seen">();
  #batch: Batch = NO_BATCH;
  #recording: Batch | null = null;
  #closed = false;

  constructor(parts: GpuParts<N>) {
    super(parts.executor, parts.experts);
    const { request, workspace, held, stream } = parts;
    this.name = parts.name;
    this.#request = request;
    this.weights = parts.weights;
    this.tensors = workspace.tensors;
    this.info = parts.info;
    this.#workspace = workspace;
    this.#stream = stream;
    this.#held = held;
    this.#uploads = held.own(new BatchUploads(held.device, stream, workspace, request.maxTokens));
    this.#staging = held.own(held.device.allocatePinned(Math.max(workspace.logits.bytes, STAGING_BYTES)));
  }

  get #n(): number {
    return this.#batch.ids.length;
  }

  begin(batch: Batch): void {
    // A batch that is being recorded was uploaded before.
    if (this.#recording === batch) return;
    this.flush(true);
    this.#prepare(batch, NO_ROWS);
  }

  /** Makes a batch current and uploads it. */
  #prepare(batch: Batch, rows: Int32Array): void {
    const { config, context, maxTokens } = this.#request, w = this.#workspace, { calls, options } = this.executor;
    this.#batch = batch;
    const n = batch.ids.length, single = isSingle(batch);
    let tiles: Int32Array = NO_ROWS;
    const entry = attentionEntry(options.matrixKernels);
    if (!single && config.headDim === 64 && calls.kernels.has(entry)) {
      const perKv = Math.max(1, ...w.caches.map((c) => c.heads / Math.max(1, c.kvHeads)));
      const rowsPerTile = Math.max(1, Math.floor(calls.kernels.traits(entry).tokensPerBlock / perKv));
      tiles = attentionTiles(batch, rowsPerTile);
    }
    this.#uploads.send(batch, rows, tiles);
    let rotary = { cos: w.cos, sin: w.sin, rows: w.positions };
    // Positions beyond the context have no cache, but they can be rotated.
    if (batch.positions.some((p) => p >= context)) {
      const { cos, sin } = rotaryTables(config, batch.positions);
      uploadFloats(this.#stream, this.#staging, w.batchCos, cos);
      uploadFloats(this.#stream, this.#staging, w.batchSin, sin);
      rotary = { cos: w.batchCos, sin: w.batchSin, rows: w.rowNumbers };
    }
    if (n > maxTokens) throw new RangeError(`a batch of ${n} tokens, but the backend was opened for ${maxTokens}`);
    this.executor.begin({ n, single, attentionTiles: tiles.length / 2, rotary });
  }

  allReduce(x: GpuTensor, group: RankGroup): void {
    const communicator = this.#request.part?.communicator;
    if (!communicator) return;
    // Over the host's memory, which works on every machine.
    const values = this.read(x, this.#n);
    communicator.allReduce(values, group, this.executor.options.round);
    this.write(x, values);
  }

  logits(x: GpuTensor, head: GpuLinear, rows: Int32Array, into?: Float32Array): Float32Array {
    const vocab = head.rows;
    this.flush(true, x);
    const result = into ?? (rows.length > LOGIT_ROWS ? new Float32Array(rows.length * vocab) : null);
    for (let from = 0; from < rows.length; from += LOGIT_ROWS) {
      const part = rows.subarray(from, from + LOGIT_ROWS);
      this.#uploads.sendRows(part);
      this.executor.logits(x, head, part.length);
      this.#stream.download(this.#staging, 0, this.#workspace.logits, 4 * part.length * vocab);
      this.#stream.synchronize();
      result?.set(this.#staged(part.length * vocab), from * vocab);
    }
    return result ?? this.#staged(rows.length * vocab);
  }

  /** The first numbers of the staging buffer. */
  #staged(count: number): Float32Array {
    return new Float32Array(this.#staging.view.buffer, 0, count);
  }

  /**
   * Computes a batch whose operations `walk` enqueues, and the logits of rows of it, as one recorded graph where that
   * batch has the shape of an earlier one. `walk` runs only the first two times that a shape is seen: once launched
   * directly, so that every kernel is loaded, then once to be recorded.
   *
   * @param walk The forward pass of `batch`.
   * @param rows At most LOGIT_ROWS rows of the batch.
   * @returns Logits [rows.length, V], valid until the next call.
   */
  replay(batch: Batch, rows: Int32Array, x: GpuTensor, head: GpuLinear, walk: () => void): Float32Array {
    this.flush(true);
    this.#prepare(batch, rows);
    const logits = rows.length * head.rows;
    this.#recorded(`logits ${batch.ids.length} ${rows.length}`, batch, () => {
      walk();
      this.flush(true, x);
      if (rows.length === 0) return;
      this.executor.logits(x, head, rows.length);
      this.#stream.download(this.#staging, 0, this.#workspace.logits, 4 * logits);
    });
    this.#stream.synchronize();
    return this.#staged(logits);
  }

  /**
   * Generates tokens, picked on the device; see {@linkcode DecodeRequest}. The batch must be one that
   * {@linkcode canReplay} accepts.
   *
   * @param walk The forward pass of the request's batch.
   */
  decode(request: DecodeRequest, x: GpuTensor, head: GpuLinear, walk: () => void): Promise<DecodeResult> {
    const { batch, sampling } = request, rows = batch.ids.length;
    const { context, maxTokens } = this.#request;
    const last = Math.max(...batch.positions) + request.steps;
    if (last > context) throw new RangeError(`${last} positions, but the backend was opened for ${context}`);
    const parts: DecodeParts = {
      device: this.#held.device,
      stream: this.#stream,
      staging: this.#staging,
      calls: this.executor.calls,
      workspace: this.#workspace,
      context,
      maxTokens,
      vocab: head.rows,
    };
    this.flush(true);
    this.#prepare(batch, Int32Array.from({ length: rows }, (_, i) => i));
    uploadSampling(parts, request);
    const greedy = sampling.every(({ temperature }) => temperature === 0);
    return decodeLoop(parts, request, () =>
      this.#recorded(`${greedy ? "greedy" : "sampled"} ${rows}`, batch, () => {
        walk();
        this.flush(true, x);
        this.executor.logits(x, head, rows);
        enqueuePick(parts, rows, greedy);
      }));
  }

  /** Launches the collected operations; intermediate tensors are not read afterwards, so that steps may be fused. */
  launch(): void {
    this.flush(true);
  }

  /**
   * Whether {@linkcode replay} can record a batch: its launches must not depend on where sequences begin and end.
   */
  canReplay(batch: Batch, rows: number): boolean {
    return !this.#request.part && rows <= LOGIT_ROWS && batch.ids.length <= LOGIT_ROWS && isSingle(batch) &&
      batch.positions.every((p) => p < this.#request.context);
  }

  /** Runs, records or replays work of a shape. */
  #recorded(key: string, batch: Batch, enqueue: () => void): void {
    const known = this.#graphs.get(key);
    if (known !== undefined && known !== "seen") return this.#stream.replay(known);
    this.#recording = batch;
    try {
      if (known === undefined) {
        enqueue();
        this.#graphs.set(key, "seen");
        return;
      }
      const graph = this.#held.own(this.#stream.capture(enqueue));
      this.#graphs.set(key, graph);
      this.#stream.replay(graph);
    } finally {
      this.#recording = null;
    }
  }

  /** Makes a batch current and hands out what profile.ts measures with. */
  measure<T>(batch: Batch, rows: Int32Array, use: (tools: MeasuringTools) => T): T {
    this.flush(true);
    this.#prepare(batch, rows);
    this.#recording = batch;
    try {
      return use({
        device: this.#held.device,
        stream: this.#stream,
        executor: this.executor,
        launch: (keep) => this.flush(true, keep),
      });
    } finally {
      this.executor.only = null;
      this.#recording = null;
    }
  }

  copySlot(from: number, to: number, length: number): void {
    this.flush(true);
    for (const cache of this.#workspace.caches) copyCacheSlot(this.#stream, cache, from, to, length);
  }

  read(tensor: GpuTensor, rows: number): Float32Array {
    this.flush(false);
    if (this.elided.has(tensor)) {
      throw new Error(`${tensor.name} was not kept by a fused kernel; read it before logits are computed`);
    }
    return downloadRows(this.#stream, this.#staging, tensor, rows);
  }

  write(tensor: GpuTensor, values: Float32Array): void {
    this.flush(false);
    uploadRows(this.#stream, this.#staging, tensor, values);
    this.elided.delete(tensor);
    const rounded = !this.executor.options.round || values.every((value) => roundToBf16(value) === value);
    this.executor.changed(tensor, rounded);
  }

  readRouting(): { ids: Int32Array; weights: Float32Array } {
    this.flush(false);
    const count = this.#n * this.#request.config.topK, { routeIds, routeWeights } = this.#workspace;
    const ids = downloadFloats(this.#stream, this.#staging, routeIds, count);
    return {
      ids: new Int32Array(ids.buffer),
      weights: downloadFloats(this.#stream, this.#staging, routeWeights, count),
    };
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    this.flush(false);
    const { routeIds, routeWeights } = this.#workspace;
    uploadFloats(this.#stream, this.#staging, routeIds, new Float32Array(ids.slice().buffer));
    uploadFloats(this.#stream, this.#staging, routeWeights, weights);
  }

  close(): Promise<void> {
    if (!this.#closed) this.#held[Symbol.dispose]();
    this.#closed = true;
    return Promise.resolve();
  }
}

/** Room for what tests read and write; results of any size pass through it piece by piece. */
const STAGING_BYTES = 2 ** 20;
