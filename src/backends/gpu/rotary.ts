/** Rotation of queries and keys, and the store of keys and values, where no kernel of attention does both. */
import type { LaunchContext } from "./context.ts";
import type { Step } from "./operations.ts";
import type { GpuTensor } from "./tensors.ts";

type Of<K extends Step["kind"]> = Extract<Step, { kind: K }>;

/** Rotates the heads of x in place. */
export function launchRotate({ calls, shape, options, n }: LaunchContext, x: GpuTensor): void {
  const { rotary: { cos, sin, rows } } = shape, { config: { headDim }, round } = options, heads = x.width / headDim;
  calls.launch("rotate", { x: x.range, stride: x.stride, heads, headDim, cos, sin, positions: rows, round, n });
}

/** Stores keys and values as they are. */
export function launchStore({ calls, workspace, n }: LaunchContext, { layer, k, v }: Omit<Of<"store">, "kind">): void {
  const { slots, positions, caches } = workspace, cache = caches[layer]!;
  const keys = { k: k.range, kStride: k.stride }, values = { v: v.range, vStride: v.stride };
  calls.launch("store", { ...keys, ...values, cache, slots, positions, n });
}

/** What a kernel needs that rotates the tokens of a batch and stores them. */
export function fresh(
  { workspace: { slots, positions, caches }, shape, options: { round }, n }: LaunchContext,
  { q, k, v, layer }: Omit<Of<"rotateStore">, "kind">,
) {
  const queries = { q: q.range, qStride: q.stride }, keys = { k: k.range, kStride: k.stride };
  const values = { v: v.range, vStride: v.stride }, { cos, sin } = shape.rotary;
  return { ...queries, ...keys, ...values, cos, sin, cache: caches[layer]!, slots, positions, round, n };
}

/** Both. */
export function launchRotateStore(context: LaunchContext, step: Of<"rotateStore">): void {
  const { calls, workspace, shape } = context;
  // Angles of positions beyond the context lie elsewhere, by row.
  if (shape.rotary.rows !== workspace.positions) {
    launchRotate(context, step.q);
    launchRotate(context, step.k);
    return launchStore(context, step);
  }
  calls.launch("rotateStore", fresh(context, step));
}
