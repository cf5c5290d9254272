/** One layer as operations for tests of fusion, and steps in words. */
import type { fuse, Fused } from "../../../src/backends/gpu/fuse.ts";
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { Operation, Step, SumNorm } from "../../../src/backends/gpu/operations.ts";
import type { ExpertTable, GpuLinear, GpuTensor, GpuVector } from "../../../src/backends/gpu/tensors.ts";
import { NO_QDQ } from "../../../src/formats/input.ts";

const range = {} as DeviceRange;
const tensor = (name: string): GpuTensor => ({ name, rows: 1, rowsPerToken: 1, width: 32, stride: 32, range });
export const linear: GpuLinear = {
  ...{ rows: 32, cols: 32, weight: range, scale: null, bias: null, rowStride: 64, scaleStride: 0, tensorScale: 1 },
  ...{ biasFormat: 0, flags: 0, format: "bf16", suffix: "bf16", input: NO_QDQ, multipliesCodes: false },
};
export const vector: GpuVector = { length: 32, range, format: 0 };
export const experts: ExpertTable = { records: range, count: 1, first: linear };
const NAMES = [
  ...["hidden", "normed", "query", "key", "value", "attended", "projected", "router", "gateUp", "activated"],
  ...["expertOut", "combined"],
] as const;
export const t = Object.fromEntries(NAMES.map((name) => [name, tensor(name)])) as Record<
  typeof NAMES[number],
  GpuTensor
>;

/** One layer as the graph asks for it. */
export const LAYER: readonly Operation[] = [
  { kind: "rmsNorm", out: t.normed, x: t.hidden, weight: vector },
  { kind: "linear", outs: [t.query, t.key, t.value], x: t.normed, linears: [linear, linear, linear] },
  { kind: "rotate", q: t.query, k: t.key },
  { kind: "store", layer: 0, k: t.key, v: t.value },
  { kind: "attention", out: t.attended, q: t.query, layer: 0, sinks: vector },
  { kind: "linear", outs: [t.projected], x: t.attended, linears: [linear] },
  { kind: "add", h: t.hidden, y: t.projected },
  { kind: "rmsNorm", out: t.normed, x: t.hidden, weight: vector },
  { kind: "linear", outs: [t.router], x: t.normed, linears: [linear] },
  { kind: "route", logits: t.router },
  { kind: "expertGateUp", out: t.gateUp, x: t.normed, experts },
  { kind: "swiglu", out: t.activated, z: t.gateUp },
  { kind: "expertDown", out: t.expertOut, a: t.activated, experts },
  { kind: "combine", out: t.combined, y: t.expertOut },
  { kind: "add", h: t.hidden, y: t.combined },
];

/** Which steps there are kernels for. */
export type CanFuse = Parameters<typeof fuse>[2];
const all = (can: () => boolean, sumNorm: CanFuse["sumNorm"]): CanFuse => ({
  ...{ rotateAttention: can, leaveAttended: can, normRoute: can, downCombine: can, sumRoute: can, sumCombine: can },
  // With it no test would see the steps that it takes the place of; it has one of its own.
  ...{ expertMlp: () => false, sumGiven: () => false },
  sumNorm,
});
export const ALL = all(() => true, () => "prepared"), NONE = all(() => false, () => null);
export const nobody = (tensor: GpuTensor) => tensor === t.hidden;
export const everybody = () => true;

/** The norm that a sum's kernel writes besides. */
const normOf = ({ norm }: { readonly norm: SumNorm | null }) => norm?.written ? [norm.out] : [];

/** "linear hidden -> query, key, value +norm". */
export function show(step: Step): string {
  const names = (tensors: readonly (GpuTensor | null)[]) => tensors.map((x) => x?.name ?? "-").join(", ");
  const flag = (on: boolean, text: string) => on ? ` +${text}` : "";
  switch (step.kind) {
    case "linear":
      return `linear ${step.x.name} -> ${names(step.outs)}${flag(step.norm !== null, "norm")}${
        flag(step.accumulate, "sum")
      }${flag(step.gives !== null, "gives")}`;
    case "rotateAttention":
      return `rotateAttention ${names([step.q, step.k, step.v])} -> ${step.out.name}`;
    case "normRoute":
      return `normRoute ${step.x.name} -> ${names([step.normed, step.logits])}${flag(step.sum !== null, "sum")}`;
    case "allReduce":
      return `allReduce ${step.x.name} -> ${names([step.h ?? step.x, ...normOf(step)])}${flag(step.given, "given")}`;
    case "expertGateUp":
      return `expertGateUp ${step.x.name} -> ${step.out.name}${flag(step.swiglu, "swiglu")}`;
    case "expertDownCombine":
      return `expertDownCombine ${step.a.name} -> ${step.out.name}${flag(step.accumulate, "sum")}${
        flag(step.group !== null, "ranks")
      }${normOf(step).map((normed) => `, ${normed.name}`).join("")}`;
    case "combine":
      return `combine ${step.y.name} -> ${step.out.name}${flag(step.accumulate, "sum")}`;
    default:
      return step.kind;
  }
}

/** A layer whose sums go over ranks. */
export const SUMMED: readonly Operation[] = LAYER.flatMap((o): Operation[] =>
  o.kind === "add" ? [{ kind: "allReduce", x: o.y, group: "world" }, o] : [o]
);

export const elidedNames = ({ elided }: Fused) => [...elided].map(({ name }) => name).sort();
