/**
 * The graph on a GPU: decode steps, and whole chunks of a prompt, are recorded once per shape and replayed; other
 * batches are launched operation by operation.
 */
import { Breath } from "../../breath.ts";
import {
  type DecodeRequest,
  type DecodeResult,
  type Engine,
  LocalEngine,
  LOGIT_ROWS,
  type OnRow,
  type Picks,
} from "../../model/engine.ts";
import { GptOss, type TensorName } from "../../model/gpt_oss.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { Tap } from "../../model/gpt_oss.ts";
import type { BackendInfo, Batch } from "../../model/backend.ts";
import type { GpuBackend } from "./backend.ts";

const NO_ROWS = new Int32Array(0);

export class GpuEngine implements Engine {
  readonly model: GptOss;
  readonly scores = true;
  readonly #local: LocalEngine;
  readonly #breath = new Breath();

  constructor(readonly backend: GpuBackend<TensorName>, readonly config: ModelConfig) {
    this.model = new GptOss(backend, config);
    this.#local = new LocalEngine(this.model, config.vocab);
  }

  get info(): BackendInfo {
    return this.backend.info;
  }

  async compute(
    batch: Batch,
    rows: Int32Array,
    onRow: OnRow,
    tap?: Tap,
  ): Promise<void> {
    const { backend } = this, { vocab } = this.config;
    const replay = (rows: Int32Array) => {
      const { tensors, weights } = backend;
      return backend.replay(batch, rows, tensors.normed, weights.head, () => this.model.forward(batch));
    };
    if (!tap && backend.isWholeChunk(batch)) {
      replay(NO_ROWS);
      return await this.#local.logits(rows, onRow);
    }
    if (tap || !backend.canReplay(batch, rows.length) || batch.ids.length > LOGIT_ROWS) {
      await this.#local.compute(batch, rows, onRow, tap);
      // Without logits nothing has waited for the operations yet.
      return backend.launch();
    }
    const logits = replay(rows);
    rows.forEach((row, i) => onRow(row, logits.subarray(i * vocab, (i + 1) * vocab)));
  }

  canDecode(batch: Batch): boolean {
    return this.backend.canReplay(batch, batch.ids.length);
  }

  decode(request: DecodeRequest): Promise<DecodeResult> {
    const { tensors, weights } = this.backend;
    return this.backend.decode(request, tensors.normed, weights.head, () => this.model.forward(request.batch));
  }

  canPick(rows: number): boolean {
    return this.backend.canPick(rows);
  }

  async pick(batch: Batch, rows: Int32Array): Promise<Picks> {
    if (this.#breath.due) await this.#breath.take();
    const { tensors, weights } = this.backend;
    return this.backend.pick(batch, rows, tensors.normed, weights.head, () => this.model.forward(batch));
  }

  copySlot(from: number, to: number, length: number): void {
    this.backend.copySlot(from, to, length);
  }

  pretend(batch: Batch): void {
    this.model.pretend(batch);
    this.backend.launch();
  }

  close(): Promise<void> {
    return this.backend.close();
  }
}
