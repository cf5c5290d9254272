/** What a GPU run uses and why, in one line for `--stats`. */
import { codeText } from "./code.ts";
import { scaledEntry } from "./products.ts";
import type { KernelSet } from "./kernels.ts";
import type { GpuLinear, GpuTree } from "./tensors.ts";

/** Which matrix kernels are used. */
export interface MatrixChoice {
  readonly accepted: ReadonlySet<string>;
  /** How products are computed, and why so. */
  readonly why: string;
}

/** Library and version, device, products, formats of experts and attention. */
export function describe({ device, code }: KernelSet, weights: GpuTree, { accepted, why }: MatrixChoice): string {
  const { runtime, properties: { name, arch: own, index } } = device;
  const api = runtime.kind === "hip" ? "HIP" : "CUDA";
  const kernels = code.kind === "own" ? own : `${own}, kernels: ${codeText(code, own)}`;
  const experts = weights.layers.flatMap(({ gateUp, down }) => [gateUp[0], down[0]]).filter((l) => l !== undefined)
    .map((l) => formatOf(l, accepted.has(scaledEntry(l) ?? "")));
  const attention = weights.layers.flatMap(({ q, k, v, o }) => [q, k, v, o]).map((l) => formatOf(l, false));
  return `${api} ${runtime.version}, device ${index} ${name} (${kernels}); ${why}; ` +
    `experts: ${[...new Set(experts)].join(" and ")}; attention: ${[...new Set(attention)].join(" and ")}`;
}

/** "mxfp4 weights, mx e2m1 inputs through QDQ" */
function formatOf({ format, input }: GpuLinear, native: boolean): string {
  if (input.kind === "none") return `${format} weights`;
  const how = native ? "by the scaled MFMA for many tokens, through QDQ for few" : "through QDQ";
  return `${format} weights, ${input.kind === "mx" ? `mx ${input.element}` : input.kind} inputs ${how}`;
}
