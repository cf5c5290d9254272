/** Logits on their way to the host. */
import type { PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { LOGIT_ROWS } from "../../model/engine.ts";
import type { Workspace } from "./workspace.ts";

/** Brings logits of up to {@linkcode LOGIT_ROWS} rows to page-locked memory. */
export class LogitRows {
  /**
   * @param columns Of the logits that are there: the whole vocabulary, or this rank's part of it.
   */
  constructor(
    readonly stream: Stream,
    readonly staging: PinnedBuffer,
    readonly workspace: Workspace<string>,
    readonly columns: number,
  ) {}

  /** Bytes of page-locked memory that are needed. */
  static stagingBytes({ allLogitStride }: Workspace<string>): number {
    return 4 * LOGIT_ROWS * allLogitStride;
  }

  /** Queues the copy of the first rows. */
  download(rows: number): void {
    const { allLogits, allLogitStride } = this.workspace;
    this.stream.download(this.staging, 0, allLogits, 4 * rows * allLogitStride);
  }

  /** What was copied, [rows, columns], valid until the next copy; the copy must be done, and is read once. */
  take(rows: number): Float32Array {
    const { workspace: { allLogitStride: stride }, columns } = this;
    const all = new Float32Array(this.staging.view.buffer, 0, rows * stride);
    if (stride !== columns) {
      for (let row = 1; row < rows; row++) all.copyWithin(row * columns, row * stride, row * stride + columns);
    }
    return all.subarray(0, rows * columns);
  }
}
