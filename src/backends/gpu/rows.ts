/** Operations on rows of activations for which there is one kernel, whatever the batch and the weights. */
import type { LaunchContext } from "./context.ts";
import type { Operation } from "./operations.ts";

type Of<K extends Operation["kind"]> = Extract<Operation, { kind: K }>;

/**
 * Rows of the embedding by the batch's ids. As the first kernel of a batch it waits for everything ahead of it: so the
 * later ones may read before they wait what no launch of their own batch writes.
 */
export function launchEmbed({ calls, workspace, options, n }: LaunchContext, { out, table }: Of<"embed">): void {
  const { overlaps } = calls;
  calls.overlaps = false;
  calls.launch("embed", {
    out: out.range,
    outStride: out.stride,
    table: table.range,
    rowStride: table.rowStride,
    format: table.format,
    ids: workspace.ids,
    width: out.width,
    firstId: options.firstId,
    idCount: table.rows,
    round: options.round,
    n,
  });
  calls.overlaps = overlaps;
}

export function launchRmsNorm({ calls, options, n }: LaunchContext, { out, x, weight }: Of<"rmsNorm">): void {
  calls.launch("rmsNorm", {
    out: out.range,
    outStride: out.stride,
    x: x.range,
    xStride: x.stride,
    xRows: null,
    weight: weight.range,
    format: weight.format,
    width: out.width,
    eps: options.config.rmsNormEps,
    round: options.round,
    n,
  });
}

/** h += y. */
export function launchAdd({ calls, options: { round }, n }: LaunchContext, { h, y }: Of<"add">): void {
  calls.launch("add", { h: h.range, hStride: h.stride, y: y.range, yStride: y.stride, width: h.width, round, n });
}

/** The experts of the batch's tokens and their weights, to `workspace.routeIds` and `workspace.routeWeights`. */
export function launchRoute({ calls, workspace, options, n }: LaunchContext, { logits }: Of<"route">): void {
  calls.launch("route", {
    logits: logits.range,
    stride: logits.stride,
    experts: logits.width,
    topK: options.config.topK,
    ids: workspace.routeIds,
    weights: workspace.routeWeights,
    n,
  });
}

export function launchSwiglu({ calls, options, n }: LaunchContext, { out, z }: Of<"swiglu">): void {
  const { config, round } = options;
  calls.launch("swiglu", {
    out: out.range,
    outStride: out.stride,
    z: z.range,
    zStride: z.stride,
    width: out.width,
    alpha: config.swigluAlpha,
    limit: config.swigluLimit,
    round,
    rows: n * config.topK,
  });
}
