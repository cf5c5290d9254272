/**
 * The graph on a GPU: decode steps are recorded once per shape and replayed, prefill is launched operation by
 * operation.
 */
import { Breath } from "../../breath.ts";
import {
  type DecodeRequest,
  type DecodeResult,
  type Engine,
  LocalEngine,
  LOGIT_ROWS,
  type Picks,
} from "../../model/engine.ts";
import { GptOss, type TensorName } from "../../model/gpt_oss.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { Tap } from "../../model/gpt_oss.ts";
import type { BackendInfo, Batch } from "../../model/backend.ts";
import type { GpuBackend } from "./backend.ts";

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
    onRow: (row: number, logits: Float32Array) => void,
    tap?: Tap,
  ): Promise<void> {
    const { backend } = this, { tensors, weights } = backend, { vocab } = this.config;
    if (tap || !backend.canReplay(batch, rows.length) || batch.ids.length > LOGIT_ROWS) {
      await this.#local.compute(batch, rows, onRow, tap);
      // Without logits nothing has waited for the operations yet.
      return backend.launch();
    }
    const logits = backend.replay(batch, rows, tensors.normed, weights.head, () => this.model.forward(batch));
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
