/**
 * Collects the operations that the graph asks for until a result is read; then fuses those that one kernel computes,
 * and launches them.
 */
import { fuse } from "./fuse.ts";
import type { RankGroup } from "../../model/backend.ts";
import type { Executor } from "./executor.ts";
import { type Operation, writes } from "./operations.ts";
import type { ExpertTable, GpuLinear, GpuMatrix, GpuTensor, GpuVector } from "./tensors.ts";

/** The device's tables of experts, by the arrays of linears that the graph passes. */
export type ExpertTables = ReadonlyMap<readonly GpuLinear[], ExpertTable>;

/** The operations of the backend contract: each is recorded here and launched later. */
export abstract class OperationCollector {
  readonly #queue: Operation[] = [];
  /** Tensors whose last contents were never written, because a fused step skipped them. */
  protected readonly elided = new Set<GpuTensor>();

  constructor(protected readonly executor: Executor, protected readonly experts: ExpertTables) {}

  embed(out: GpuTensor, table: GpuMatrix): void {
    this.#queue.push({ kind: "embed", out, table });
  }

  rmsNorm(out: GpuTensor, x: GpuTensor, weight: GpuVector): void {
    this.#queue.push({ kind: "rmsNorm", out, x, weight });
  }

  linear(outs: readonly GpuTensor[], x: GpuTensor, linears: readonly GpuLinear[]): void {
    this.#queue.push({ kind: "linear", outs, x, linears });
  }

  rotate(q: GpuTensor, k: GpuTensor): void {
    this.#queue.push({ kind: "rotate", q, k });
  }

  store(layer: number, k: GpuTensor, v: GpuTensor): void {
    this.#queue.push({ kind: "store", layer, k, v });
  }

  attention(out: GpuTensor, q: GpuTensor, layer: number, sinks: GpuVector): void {
    this.#queue.push({ kind: "attention", out, q, layer, sinks });
  }

  add(h: GpuTensor, y: GpuTensor): void {
    this.#queue.push({ kind: "add", h, y });
  }

  route(logits: GpuTensor): void {
    this.#queue.push({ kind: "route", logits });
  }

  expertGateUp(out: GpuTensor, x: GpuTensor, gateUp: readonly GpuLinear[]): void {
    this.#queue.push({ kind: "expertGateUp", out, x, experts: this.experts.get(gateUp)! });
  }

  swiglu(out: GpuTensor, z: GpuTensor): void {
    this.#queue.push({ kind: "swiglu", out, z });
  }

  expertDown(out: GpuTensor, a: GpuTensor, down: readonly GpuLinear[]): void {
    this.#queue.push({ kind: "expertDown", out, a, experts: this.experts.get(down)! });
  }

  combine(out: GpuTensor, y: GpuTensor): void {
    this.#queue.push({ kind: "combine", out, y });
  }

  /** A sum over ranks whose devices do it among themselves. */
  protected sumOverDevices(x: GpuTensor, group: RankGroup): void {
    this.#queue.push({ kind: "allReduce", x, group });
  }

  /**
   * Launches the collected operations.
   *
   * @param final Whether no tensor but `keep` and the residual stream is read afterwards.
   */
  protected flush(final: boolean, keep?: GpuTensor): void {
    if (this.#queue.length === 0) return;
    const executor = this.executor;
    const { steps, elided } = fuse(this.#queue, (tensor) => !final || tensor === keep || tensor.name === "hidden", {
      rotateAttention: (layer) => executor.canRotateAttention(layer),
      leaveAttended: (layer, width, readers) => executor.canLeaveAttended(layer, width, readers),
      normRoute: (router) => executor.canNormRoute(router),
      sumRoute: (router) => executor.canSumRoute(router),
      expertMlp: (up, down) => executor.canMlp(up, down),
      downCombine: (experts) => executor.canDownCombine(experts),
      sumGiven: (linear) => executor.canSumGiven(linear),
      sumCombine: (combined) => executor.canSumCombine(combined),
      sumNorm: (of, norm, readers) => executor.canSumNorm(of, norm, readers),
    });
    for (const operation of this.#queue) for (const tensor of writes(operation)) this.elided.delete(tensor);
    for (const tensor of elided) this.elided.add(tensor);
    this.#queue.length = 0;
    for (const step of steps) executor.run(step);
  }
}
