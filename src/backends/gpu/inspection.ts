/** Tensors between operations, read and written from outside: for tests, taps, and sums over ranks. */
import type { PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { OperationCollector } from "./collector.ts";
import type { Executor } from "./executor.ts";
import { downloadFloats, downloadRows, uploadFloats, uploadRows } from "./staging.ts";
import type { GpuTensor } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

export class Inspection {
  constructor(
    readonly stream: Stream,
    readonly staging: PinnedBuffer,
    readonly workspace: Workspace<string>,
    readonly executor: Executor,
  ) {}

  read(tensor: GpuTensor, rows: number): Float32Array {
    return downloadRows(this.stream, this.staging, tensor, rows);
  }

  write(tensor: GpuTensor, values: Float32Array): void {
    uploadRows(this.stream, this.staging, tensor, values);
    const rounded = !this.executor.options.round || values.every((value) => roundToBf16(value) === value);
    this.executor.changed(tensor, rounded);
  }

  /** @param count Slot rows. */
  readRouting(count: number): { ids: Int32Array; weights: Float32Array } {
    const { routeIds, routeWeights } = this.workspace;
    const ids = downloadFloats(this.stream, this.staging, routeIds, count);
    return { ids: new Int32Array(ids.buffer), weights: downloadFloats(this.stream, this.staging, routeWeights, count) };
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    const { routeIds, routeWeights } = this.workspace;
    uploadFloats(this.stream, this.staging, routeIds, new Float32Array(ids.slice().buffer));
    uploadFloats(this.stream, this.staging, routeWeights, weights);
    this.executor.routed();
  }
}

/** What reads and writes tensors between the operations of the backend contract. */
export abstract class InspectableBackend extends OperationCollector {
  protected abstract readonly inspection: Inspection;
  /** Tokens of the current batch. */
  protected abstract readonly n: number;

  read(tensor: GpuTensor, rows: number): Float32Array {
    this.flush(false);
    if (this.elided.has(tensor)) {
      throw new Error(`${tensor.name} was not kept by a fused kernel; read it before logits are computed`);
    }
    return this.inspection.read(tensor, rows);
  }

  write(tensor: GpuTensor, values: Float32Array): void {
    this.flush(false);
    this.inspection.write(tensor, values);
    this.elided.delete(tensor);
  }

  readRouting(): { ids: Int32Array; weights: Float32Array } {
    this.flush(false);
    return this.inspection.readRouting(this.n * this.executor.options.config.topK);
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    this.flush(false);
    this.inspection.writeRouting(ids, weights);
  }
}
