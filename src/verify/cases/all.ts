/** All cases of all kernels. */
import { attentionCases } from "./attention.ts";
import { attentionStepCases } from "./attention_step.ts";
import { cacheCases } from "./cache.ts";
import type { KernelCase } from "./check.ts";
import { combineNormCases } from "./combine_norm.ts";
import { expertCases } from "./expert.ts";
import { expertMlpCases } from "./expert_mlp.ts";
import { expertWalkCases } from "./expert_walk.ts";
import { gemmCases } from "./gemm.ts";
import { givenCases } from "./given.ts";
import { linearCases } from "./linear.ts";
import { pickCases } from "./pick.ts";
import { rankNormCases } from "./rank_norms.ts";
import { rankCases } from "./ranks.ts";
import { routeCases } from "./route.ts";
import { qdqCases, quantizeCases } from "./quantized_rows.ts";
import { elementwiseCases, embedCases, normCases } from "./rows.ts";
import { scaledCases } from "./scaled.ts";

/** Cases that are made together. */
export interface Family {
  /** How the entry points begin that they launch, and their names with them. */
  readonly entries: RegExp;
  /** Makes them, inputs and expected results among them. */
  readonly make: () => Iterable<KernelCase>;
}

/** All families. */
export const FAMILIES: readonly Family[] = [
  { entries: /^embed/, make: embedCases },
  { entries: /^rms_norm/, make: normCases },
  { entries: /^qdq/, make: qdqCases },
  { entries: /^quantize/, make: quantizeCases },
  { entries: /^(add|swiglu|combine$|round_rows)/, make: elementwiseCases },
  { entries: /^combine_norm/, make: combineNormCases },
  { entries: /^linear/, make: linearCases },
  { entries: /^expert_(up|down)/, make: expertCases },
  { entries: /^expert_mlp/, make: expertMlpCases },
  { entries: /^(expert_)?(gemm|batch)|^expert_sort/, make: gemmCases },
  { entries: /^expert_batch_mxfp4_x8/, make: expertWalkCases },
  { entries: /^expert_gemm_\w+_mma/, make: scaledCases },
  { entries: /^(exchange_)?norm_route|^route/, make: routeCases },
  { entries: /^(rotate|store)/, make: cacheCases },
  { entries: /^attention(?!_step)/, make: attentionCases },
  { entries: /^attention_(step|batch)/, make: attentionStepCases },
  { entries: /^(argmax|sample|advance)/, make: pickCases },
  { entries: /^(sum_ranks|exchange_(ranks|columns|argmax))/, make: rankCases },
  { entries: /^exchange_(rows|combine|combine_few)$/, make: rankNormCases },
  { entries: /^exchange_given$|_give$/, make: givenCases },
];

/** All of them at once. */
export function allCases(): KernelCase[] {
  return FAMILIES.flatMap(({ make }) => [...make()]);
}
