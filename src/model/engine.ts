/** What computes batches: the graph on this thread, or ranks elsewhere. A session does not know which. */
import type { BackendInfo, Batch } from "../backends/backend.ts";
import type { GptOss, Tap } from "./gpt_oss.ts";

/** Computes batches; one call at a time. */
export interface Engine {
  readonly info: BackendInfo;
  /**
   * Computes one batch and hands out logits of the rows asked for, in order; each array [V] is only valid during the call.
   */
  compute(batch: Batch, rows: Int32Array, onRow: (row: number, logits: Float32Array) => void, tap?: Tap): Promise<void>;
  /** Copies the first `length` cached positions of one sequence to another. */
  copySlot(from: number, to: number, length: number): void;
  /** Ends threads and frees memory. */
  close(): Promise<void>;
}

/** Logit rows computed at once: logits of a long chunk over 201,088 words would be larger than the model's layers. */
export const LOGIT_ROWS = 16;

/** How long the event loop may be kept waiting while a batch is computed, in milliseconds; bounds the delay of Ctrl-C. */
const BREATHE_MS = 40;

/** The graph on the calling thread. */
export class LocalEngine implements Engine {
  #lastBreath = performance.now();

  constructor(readonly model: GptOss, readonly vocab: number) {}

  get info(): BackendInfo {
    return this.model.backend.info;
  }

  async compute(
    batch: Batch,
    rows: Int32Array,
    onRow: (row: number, logits: Float32Array) => void,
    tap?: Tap,
  ): Promise<void> {
    for (const _ of this.model.layersOf(batch, tap)) await this.#breatheIfDue();
    for (let at = 0; at < rows.length; at += LOGIT_ROWS) {
      const part = rows.subarray(at, at + LOGIT_ROWS);
      const logits = this.model.logits(part);
      part.forEach((row, i) => onRow(row, logits.subarray(i * this.vocab, (i + 1) * this.vocab)));
      await this.#breatheIfDue();
    }
  }

  copySlot(from: number, to: number, length: number): void {
    this.model.backend.copySlot(from, to, length);
  }

  close(): Promise<void> {
    return this.model.backend.close();
  }

  /** Lets timers, signals and writes run. */
  async #breatheIfDue(): Promise<void> {
    if (performance.now() - this.#lastBreath < BREATHE_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#lastBreath = performance.now();
  }
}
