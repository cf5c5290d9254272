/**
 * Fusion: neighbouring operations that one kernel computes become one step. A fused kernel gives the same bits as the
 * operations it replaces; it only leaves out intermediate tensors that are not read.
 */
import { Flow } from "./flow.ts";
import { type FusedKernels, FusionRules } from "./fusion_rules.ts";
import { type Operation, type Step, writes } from "./operations.ts";
import type { GpuTensor } from "./tensors.ts";

/** The result of {@linkcode fuse}. */
export interface Fused {
  readonly steps: readonly Step[];
  /** Tensors whose last contents are never written, because a fused step skips them. */
  readonly elided: ReadonlySet<GpuTensor>;
}

/**
 * Joins operations into steps.
 *
 * @param seen Whether a tensor is read after the last operation.
 */
export function fuse(
  operations: readonly Operation[],
  seen: (tensor: GpuTensor) => boolean,
  kernels: FusedKernels,
): Fused {
  const rules = new FusionRules(new Flow(operations, seen), kernels), steps: Step[] = [], elided = new Set<GpuTensor>();
  for (let i = 0; i < operations.length;) {
    const fusion = rules.at(i);
    steps.push(fusion.step);
    // A tensor that is written holds its contents again.
    for (const tensor of writtenBy(fusion.step)) elided.delete(tensor);
    for (const tensor of fusion.elided) elided.add(tensor);
    i += fusion.length;
  }
  return { steps, elided };
}

function writtenBy(step: Step): readonly GpuTensor[] {
  switch (step.kind) {
    case "rotateStore":
      return [step.q, step.k];
    case "rotateAttention":
    case "expertMlp":
      return [step.out];
    case "normRoute":
      return [step.normed, step.logits, step.sum && step.x].filter((t) => t !== null);
    case "expertDownCombine":
      return [step.out, step.norm && step.norm.out].filter((t) => t !== null);
    case "allReduce":
      return [step.h ?? step.x, step.norm && step.norm.out].filter((t) => t !== null);
    default:
      return writes(step);
  }
}
