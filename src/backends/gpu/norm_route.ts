/** The norm before the router, the router and the choice of experts as one launch. */
import { NO_QUANTIZE } from "./abi.ts";
import type { LaunchContext } from "./context.ts";
import { normedArguments } from "./exchange_rows.ts";
import type { Inputs } from "./inputs.ts";
import type { Step } from "./operations.ts";
import type { RankSums } from "./ranks.ts";
import type { Summed } from "./summed.ts";

/** @param ranks What sums over ranks on their devices, if the step sums first. */
export function launchNormRoute(
  { calls, workspace, options, n }: LaunchContext,
  inputs: Inputs,
  summed: Summed,
  ranks: RankSums | null,
  { x, norm, router, normed, logits, sum }: Extract<Step, { kind: "normRoute" }>,
): void {
  const { routeIds: ids, routeWeights: weights, routerLogits, routerLogitStride, routerCounters } = workspace;
  const { config: { topK }, round } = options;
  const values = {
    ...{ in: inputs.of(x, norm, NO_QUANTIZE), router, topK, ids, weights, round, n },
    ...{ normed: normed?.range ?? null, normedStride: normed?.stride ?? 0 },
  };
  if (sum) {
    const prepared = summed.leave(sum.normed, sum.readers);
    const { first, firstStride, firstOrder } = normedArguments({ in: values.in, normed, prepared });
    const scratch = { logits: routerLogits, logitsStride: routerLogitStride, counters: routerCounters };
    return ranks!.sumRoute(sum.x, x, sum.group, { ...values, ...scratch, first, firstStride, firstOrder });
  }
  const kept = { logits: logits?.range ?? null, logitsStride: logits?.stride ?? 0 };
  const cluster = `norm_route_${router.suffix}_cluster`;
  if (calls.clusters(cluster, router.rows)) {
    return calls.launch("normRouteCluster", { ...values, ...kept }, cluster);
  }
  const split = `norm_route_${router.suffix}_split`;
  if (calls.kernels.has(split) && router.rows <= routerLogitStride) {
    const own = logits ?? { range: routerLogits, stride: routerLogitStride };
    const scratch = { logits: own.range, logitsStride: own.stride, counters: routerCounters };
    return calls.launch("normRouteSplit", { ...values, ...scratch }, split);
  }
  calls.launch("normRoute", { ...values, ...kept }, `norm_route_${router.suffix}`);
}
