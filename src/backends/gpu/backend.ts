/**
 * The GPU backend: operations are collected (see collector.ts) and launched when somebody needs a result. A decode step
 * can be recorded once and replayed (see {@linkcode GpuBackend.replay}).
 */
import type { PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { type DecodeRequest, type DecodeResult, LOGIT_ROWS, type Picks } from "../../model/engine.ts";
import { rotaryTables } from "../../model/yarn.ts";
import type { Backend, BackendInfo, Batch, RankGroup } from "../../model/backend.ts";
import { BatchUploads, fitsDevice, isSingle, isWholeChunk, refuseOutside } from "./batch.ts";
import { classOf, padded, rowNumbers } from "./batches.ts";
import { decodeLoop, type DecodeParts, downloadPicks, enqueueNext, enqueuePick, uploadSampling } from "./decode.ts";
import { tilesFor } from "./attention.ts";
import type { Held } from "./held.ts";
import { InspectableBackend, Inspection } from "./inspection.ts";
import { PageTables } from "./page_tables.ts";
import { LogitRows } from "./logits.ts";
import { Membership } from "./membership.ts";
import type { GpuParts, MeasuringTools } from "./parts.ts";
import { Recordings } from "./recordings.ts";
import { uploadFloats } from "./staging.ts";
import type { GpuLinear, GpuTensor, GpuTree } from "./tensors.ts";
import { type Pace, pacedLoop, type PacedRequest } from "./paced.ts";
import type { GpuRequest } from "./request.ts";
import type { Workspace } from "./workspace.ts";

const NO_ROWS = new Int32Array(0);
const NO_BATCH: Batch = { ids: NO_ROWS, slots: NO_ROWS, positions: NO_ROWS };

export class GpuBackend<N extends string> extends InspectableBackend implements Backend<N> {
  readonly name: string;
  readonly tensors: Readonly<Record<N, GpuTensor>>;
  readonly weights: GpuTree;
  readonly info: BackendInfo;
  readonly #request: GpuRequest<N>;
  readonly #workspace: Workspace<N>;
  readonly #stream: Stream;
  readonly #held: Held;
  /** Its place among ranks. */
  readonly ranks: Membership;
  readonly #uploads: BatchUploads;
  readonly #pages: PageTables;
  /** Page-locked memory for results and for what tests write. */
  readonly #staging: PinnedBuffer;
  readonly #logits: LogitRows;
  readonly #recordings: Recordings;
  protected override readonly inspection: Inspection;
  #batch: Batch = NO_BATCH;
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
    this.#recordings = new Recordings(stream);
    const recordings = this.#recordings;
    this.ranks = new Membership({ ...parts, recordings });
    this.#uploads = held.own(new BatchUploads(held.device, stream, workspace, request.maxTokens));
    this.#pages = held.own(new PageTables(held.device, stream, workspace, request));
    const stagingBytes = Math.max(LogitRows.stagingBytes(workspace), STAGING_BYTES);
    this.#staging = held.own(held.device.allocatePinned(stagingBytes));
    const columns = this.ranks.onDevices ? request.config.vocab : parts.weights.head.rows;
    this.#logits = new LogitRows(stream, this.#staging, workspace, columns);
    this.inspection = new Inspection(stream, this.#staging, workspace, parts.executor);
  }

  /** Whether a step never leaves the device, and ends with logits of the whole vocabulary. */
  get #whole(): boolean {
    return this.#request.part === undefined || this.ranks.onDevices;
  }

  protected override get n(): number {
    return this.#batch.ids.length;
  }

  begin(batch: Batch): void {
    // A batch that is being recorded was uploaded before.
    if (this.#recordings.isUnderWay(batch)) return;
    this.flush(true);
    this.#prepare(batch, NO_ROWS);
  }

  /** Makes a batch current and uploads it. */
  #prepare(batch: Batch, rows: Int32Array): void {
    const { config, context } = this.#request, w = this.#workspace;
    refuseOutside(batch, this.#request);
    this.#batch = batch;
    const n = batch.ids.length, single = isSingle(batch), tiles = tilesFor(this.executor, batch, single);
    this.#pages.apply(batch.pages);
    this.#uploads.send(batch, rows, tiles);
    let rotary = { cos: w.cos, sin: w.sin, rows: w.positions };
    // Positions beyond the context have no cache, but they can be rotated.
    if (batch.positions.some((p) => p >= context)) {
      const { cos, sin } = rotaryTables(config, batch.positions);
      uploadFloats(this.#stream, this.#staging, w.batchCos, cos);
      uploadFloats(this.#stream, this.#staging, w.batchSin, sin);
      rotary = { cos: w.batchCos, sin: w.batchSin, rows: w.rowNumbers };
    }
    this.executor.begin({ n, single, attentionTiles: tiles.length / 2, rotary });
  }

  allReduce(x: GpuTensor, group: RankGroup): void {
    const communicator = this.#request.part?.communicator;
    if (!communicator) return;
    if ("tp" in communicator) return this.sumOverDevices(x, group);
    // Over the host's memory, which works on every machine.
    const values = this.read(x, this.n);
    communicator.allReduce(values, group, this.executor.options.round);
    this.write(x, values);
  }

  logits(x: GpuTensor, head: GpuLinear, rows: Int32Array, into?: Float32Array): Float32Array {
    this.flush(true, x);
    const { columns } = this.#logits;
    const result = into ?? (rows.length > LOGIT_ROWS ? new Float32Array(rows.length * columns) : null);
    for (let from = 0; from < rows.length; from += LOGIT_ROWS) {
      const part = rows.subarray(from, from + LOGIT_ROWS);
      this.#uploads.sendRows(part);
      this.executor.calls.followsOthers();
      this.executor.logits(x, head, part.length);
      this.#logits.download(part.length);
      this.#stream.synchronize();
      const taken = this.#logits.take(part.length);
      if (result === null) return taken;
      result.set(taken, from * columns);
    }
    return result ?? new Float32Array(0);
  }

  /**
   * Computes a batch whose operations `walk` enqueues, and the logits of rows of it, as one recorded graph where it has
   * the shape of an earlier one. `walk` runs the first two times only: once so that every kernel is loaded, then once
   * to be recorded. Without rows nothing is waited for.
   *
   * @param walk The forward pass of `batch`.
   * @param rows At most LOGIT_ROWS rows of the batch.
   * @returns Logits [rows.length, V], valid until the next call.
   */
  replay(batch: Batch, rows: Int32Array, x: GpuTensor, head: GpuLinear, walk: () => void): Float32Array {
    this.flush(true);
    this.#prepare(batch, rows);
    this.#recordings.run(`logits ${batch.ids.length} ${rows.length}${isSingle(batch) ? "" : " of one"}`, batch, () => {
      walk();
      this.flush(true, x);
      if (rows.length === 0) return;
      this.executor.logits(x, head, rows.length);
      this.#logits.download(rows.length);
    });
    if (rows.length > 0) this.#stream.synchronize();
    return this.#logits.take(rows.length);
  }

  /**
   * Generates tokens, picked on the device; see {@linkcode DecodeRequest}. The batch must be one that
   * {@linkcode canReplay} accepts.
   *
   * @param walk The forward pass of the request's batch.
   */
  decode(request: DecodeRequest, x: GpuTensor, head: GpuLinear, walk: () => void): Promise<DecodeResult> {
    return decodeLoop(this.#parts(), request, this.#beginDecode(request, x, head, walk));
  }

  /** The same in step with other ranks, as somebody permits. */
  decodePaced(request: PacedRequest, pace: Pace, x: GpuTensor, head: GpuLinear, walk: () => void): DecodeResult {
    return pacedLoop(this.#parts(), request, pace, this.#beginDecode(request, x, head, walk));
  }

  /** Uploads what steps need; returns what enqueues one. */
  #beginDecode(
    request: Omit<DecodeRequest, "onTokens">,
    x: GpuTensor,
    head: GpuLinear,
    walk: () => void,
  ): () => void {
    const { batch, sampling, scored = false } = request, { context } = this.#request, parts = this.#parts();
    const last = Math.max(...batch.positions) + request.steps;
    if (last > context) throw new RangeError(`${last} positions, but the backend was opened for ${context}`);
    this.flush(true);
    const rows = this.#prepareWhole(batch);
    uploadSampling(parts, request, rows);
    const greedy = sampling.every(({ temperature }) => temperature === 0);
    if (scored && !greedy) throw new RangeError("only the likeliest tokens are scored");
    return () =>
      this.#recordings.run(`${scored ? "scored" : greedy ? "greedy" : "sampled"} ${rows}`, batch, () => {
        walk();
        this.flush(true, x);
        if (greedy && !scored && this.executor.canPick(rows)) this.executor.pick(x, head, rows);
        else {
          this.executor.logits(x, head, rows);
          enqueuePick(parts, rows, greedy, scored);
        }
        enqueueNext(parts, rows);
      });
  }

  /** {@linkcode Engine.pick}; `walk` is the forward pass of the batch. */
  pick(batch: Batch, rows: Int32Array, x: GpuTensor, head: GpuLinear, walk: () => void): Picks {
    const parts = this.#parts(), whole = rows.length === batch.ids.length && this.canReplay(batch, rows.length);
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
    if (whole) this.#recordings.run(`pick ${count}`, batch, enqueue);
    else this.#recordings.during(batch, enqueue);
    return downloadPicks(parts, rows.length);
  }

  /** Rows whose logits are computed, and picked from, at once. */
  get logitRows(): number {
    return this.#workspace.logitRows;
  }

  /** Whether {@linkcode pick} has room for so many rows. */
  canPick(rows: number): boolean {
    return this.#whole && rows <= this.logitRows;
  }

  /** Makes a batch current of which every row is wanted; returns how many rows it has with those that fill it up. */
  #prepareWhole(batch: Batch): number {
    // Rows of logits are 16 at least, also where a batch has fewer.
    const most = Math.min(this.logitRows, this.#request.maxTokens);
    const filled = padded(batch, classOf(batch.ids.length, most));
    this.#prepare(filled, rowNumbers(filled.ids.length));
    return filled.ids.length;
  }

  #parts(): DecodeParts {
    const { context, maxTokens } = this.#request;
    return {
      held: this.#held,
      stream: this.#stream,
      staging: this.#staging,
      calls: this.executor.calls,
      workspace: this.#workspace,
      context,
      maxTokens,
      vocab: this.#logits.columns,
    };
  }

  /** Launches the collected operations; intermediate tensors are not read afterwards, so that steps may be fused. */
  launch(): void {
    this.flush(true);
  }

  /** Whether {@linkcode replay} can record a batch, and has room for logits of so many rows. */
  canReplay(batch: Batch, rows: number): boolean {
    const most = this.logitRows;
    return this.#whole && rows <= most && fitsDevice(batch, most, this.#request.context);
  }

  /** Whether {@linkcode replay} can record a batch without logits, as the whole chunks of a long prompt are alike. */
  isWholeChunk(batch: Batch): boolean {
    return this.#whole && isWholeChunk(batch, this.#request);
  }

  /** Makes a batch current and hands out what profile.ts measures with. */
  measure<T>(batch: Batch, rows: Int32Array, use: (tools: MeasuringTools) => T): T {
    this.flush(true);
    this.#prepare(batch, rows);
    try {
      return this.#recordings.during(batch, () =>
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
    this.#pages.copySlot(from, to, length);
  }

  close(): Promise<void> {
    if (!this.#closed) this.#held[Symbol.dispose]();
    this.#closed = true;
    return Promise.resolve();
  }
}

/** Room for what tests read and write; results of any size pass through it piece by piece. */
const STAGING_BYTES = 2 ** 20;
