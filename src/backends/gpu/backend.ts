/**
 * The GPU backend: operations are collected (see collector.ts) and launched when somebody needs a result. A decode step
 * can be recorded once and replayed (see {@linkcode GpuBackend.replay}).
 */
import type { PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { type DecodeRequest, type DecodeResult, LOGIT_ROWS, type Picks } from "../../model/engine.ts";
import { rotaryTables } from "../../model/yarn.ts";
import type { Backend, BackendInfo, Batch, OpenRequest, RankGroup } from "../../model/backend.ts";
import { BatchUploads, isSingle } from "./batch.ts";
import { classOf, padded, rowNumbers } from "./batches.ts";
import { copyCacheSlot } from "./cache.ts";
import { decodeLoop, type DecodeParts, downloadPicks, enqueueNext, enqueuePick, uploadSampling } from "./decode.ts";
import { tilesFor } from "./attention.ts";
import { OperationCollector } from "./collector.ts";
import type { Held } from "./held.ts";
import { Inspection } from "./inspection.ts";
import type { GpuParts, MeasuringTools } from "./parts.ts";
import { Recordings } from "./recordings.ts";
import { uploadFloats } from "./staging.ts";
import type { GpuLinear, GpuTensor, GpuTree } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

const NO_ROWS = new Int32Array(0);
const NO_BATCH: Batch = { ids: NO_ROWS, slots: NO_ROWS, positions: NO_ROWS };

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
  readonly #recordings: Recordings;
  readonly #inspection: Inspection;
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
    this.#recordings = new Recordings(stream, held);
    this.#uploads = held.own(new BatchUploads(held.device, stream, workspace, request.maxTokens));
    const logitBytes = 4 * LOGIT_ROWS * parts.weights.head.rows;
    this.#staging = held.own(held.device.allocatePinned(Math.max(logitBytes, STAGING_BYTES)));
    this.#inspection = new Inspection(stream, this.#staging, workspace, parts.executor);
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
    const { config, context, maxTokens } = this.#request, w = this.#workspace;
    this.#batch = batch;
    const n = batch.ids.length, single = isSingle(batch), tiles = tilesFor(this.executor, batch, single);
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
    const { batch, sampling } = request, { context } = this.#request, parts = this.#parts(head);
    const last = Math.max(...batch.positions) + request.steps;
    if (last > context) throw new RangeError(`${last} positions, but the backend was opened for ${context}`);
    this.flush(true);
    const rows = this.#prepareWhole(batch);
    uploadSampling(parts, request, rows);
    const greedy = sampling.every(({ temperature }) => temperature === 0);
    return decodeLoop(parts, request, () =>
      this.#recorded(`${greedy ? "greedy" : "sampled"} ${rows}`, batch, () => {
        walk();
        this.flush(true, x);
        this.executor.logits(x, head, rows);
        enqueuePick(parts, rows, greedy);
        enqueueNext(parts, rows);
      }));
  }

  /** {@linkcode Engine.pick}; `walk` is the forward pass of the batch. */
  pick(batch: Batch, rows: Int32Array, x: GpuTensor, head: GpuLinear, walk: () => void): Picks {
    const parts = this.#parts(head), whole = rows.length === batch.ids.length && this.canReplay(batch, rows.length);
    this.flush(true);
    if (!whole) this.#prepare(batch, rows);
    const count = whole ? this.#prepareWhole(batch) : rows.length;
    const enqueue = () => {
      walk();
      this.flush(true, x);
      if (count === 0) return;
      this.executor.logits(x, head, count);
      enqueuePick(parts, count, true, true);
    };
    if (whole) this.#recorded(`pick ${count}`, batch, enqueue);
    else this.#during(batch, enqueue);
    return downloadPicks(parts, rows.length);
  }

  /** Rows whose logits are computed, and picked from, at once. */
  get logitRows(): number {
    return this.#workspace.logitRows;
  }

  /** Whether {@linkcode pick} has room for so many rows. */
  canPick(rows: number): boolean {
    return !this.#request.part && rows <= this.logitRows;
  }

  /** Makes a batch current of which every row is wanted; returns how many rows it has with those that fill it up. */
  #prepareWhole(batch: Batch): number {
    const filled = padded(batch, classOf(batch.ids.length, this.logitRows));
    this.#prepare(filled, rowNumbers(filled.ids.length));
    return filled.ids.length;
  }

  #parts(head: GpuLinear): DecodeParts {
    const { context, maxTokens } = this.#request;
    return {
      device: this.#held.device,
      stream: this.#stream,
      staging: this.#staging,
      calls: this.executor.calls,
      workspace: this.#workspace,
      context,
      maxTokens,
      vocab: head.rows,
    };
  }

  /** Launches the collected operations; intermediate tensors are not read afterwards, so that steps may be fused. */
  launch(): void {
    this.flush(true);
  }

  /**
   * Whether {@linkcode replay} can record a batch: its launches must not depend on where sequences begin and end.
   */
  canReplay(batch: Batch, rows: number): boolean {
    const most = this.logitRows;
    return !this.#request.part && rows <= most && batch.ids.length <= most && isSingle(batch) &&
      batch.positions.every((p) => p < this.#request.context);
  }

  /** Runs, records or replays work of a shape; `walk`s in it find their batch current. */
  #recorded(key: string, batch: Batch, enqueue: () => void): void {
    this.#during(batch, () => this.#recordings.run(key, enqueue));
  }

  /** Does something during which `batch` stays current, whoever begins it. */
  #during<T>(batch: Batch, work: () => T): T {
    this.#recording = batch;
    try {
      return work();
    } finally {
      this.#recording = null;
    }
  }

  /** Makes a batch current and hands out what profile.ts measures with. */
  measure<T>(batch: Batch, rows: Int32Array, use: (tools: MeasuringTools) => T): T {
    this.flush(true);
    this.#prepare(batch, rows);
    try {
      return this.#during(batch, () =>
        use({
          device: this.#held.device,
          stream: this.#stream,
          executor: this.executor,
          launch: (keep) => this.flush(true, keep),
        }));
    } finally {
      this.executor.only = null;
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
    return this.#inspection.read(tensor, rows);
  }

  write(tensor: GpuTensor, values: Float32Array): void {
    this.flush(false);
    this.#inspection.write(tensor, values);
    this.elided.delete(tensor);
  }

  readRouting(): { ids: Int32Array; weights: Float32Array } {
    this.flush(false);
    return this.#inspection.readRouting(this.#n * this.#request.config.topK);
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    this.flush(false);
    this.#inspection.writeRouting(ids, weights);
  }

  close(): Promise<void> {
    if (!this.#closed) this.#held[Symbol.dispose]();
    this.#closed = true;
    return Promise.resolve();
  }
}

/** Room for what tests read and write; results of any size pass through it piece by piece. */
const STAGING_BYTES = 2 ** 20;
