/** How much device memory a model takes, which is known before anything is allocated. */
import { planWeights, type WeightPlan } from "./plan.ts";
import { expertRecordBytes } from "./weights.ts";
import type { GpuRequest } from "./request.ts";
import { planWorkspace, type WorkspacePlan } from "./workspace.ts";

/** Bytes by what they are for. The driver, its code objects and the collective library's buffers come on top. */
export interface NeededBytes {
  /** Weights as they lie on the device, with the table of the experts. */
  readonly weights: number;
  /** Keys and values of all sequences. */
  readonly cache: number;
  /** Activations, and whatever else kernels write. */
  readonly activations: number;
}

/** Size of the table of a model's experts. */
export const recordsBytes = ({ source }: Pick<GpuRequest<string>, "source">): number =>
  Math.max(256, expertRecordBytes(source));

/** What a rank's request, or that of a whole model, takes; its plans where they are made already. */
export function neededBytes<N extends string>(
  request: GpuRequest<N>,
  weights: Pick<WeightPlan, "bytes"> = planWeights(request.source),
  workspace: Pick<WorkspacePlan<N>, "activationBytes" | "cacheBytes"> = planWorkspace(request),
): NeededBytes {
  return {
    weights: weights.bytes + recordsBytes(request),
    cache: workspace.cacheBytes,
    activations: workspace.activationBytes,
  };
}
