/** Operations that were recorded and not launched yet, and the steps that they are launched in. */
import type { RankGroup } from "../../model/backend.ts";
import type { ExpertTable, GpuLinear, GpuMatrix, GpuTensor, GpuVector } from "./tensors.ts";

/** An operation of the contract. */
export type Operation =
  | { readonly kind: "embed"; readonly out: GpuTensor; readonly table: GpuMatrix }
  | { readonly kind: "rmsNorm"; readonly out: GpuTensor; readonly x: GpuTensor; readonly weight: GpuVector }
  | {
    readonly kind: "linear";
    readonly outs: readonly GpuTensor[];
    readonly x: GpuTensor;
    readonly linears: readonly GpuLinear[];
  }
  | { readonly kind: "rotate"; readonly q: GpuTensor; readonly k: GpuTensor }
  | { readonly kind: "store"; readonly layer: number; readonly k: GpuTensor; readonly v: GpuTensor }
  | {
    readonly kind: "attention";
    readonly out: GpuTensor;
    readonly q: GpuTensor;
    readonly layer: number;
    readonly sinks: GpuVector;
  }
  | { readonly kind: "add"; readonly h: GpuTensor; readonly y: GpuTensor }
  | { readonly kind: "route"; readonly logits: GpuTensor }
  | { readonly kind: "expertGateUp"; readonly out: GpuTensor; readonly x: GpuTensor; readonly experts: ExpertTable }
  | { readonly kind: "swiglu"; readonly out: GpuTensor; readonly z: GpuTensor }
  | { readonly kind: "expertDown"; readonly out: GpuTensor; readonly a: GpuTensor; readonly experts: ExpertTable }
  | { readonly kind: "combine"; readonly out: GpuTensor; readonly y: GpuTensor }
  /** Only where devices sum among themselves. */
  | { readonly kind: "allReduce"; readonly x: GpuTensor; readonly group: RankGroup };

type Of<K extends Operation["kind"]> = Extract<Operation, { kind: K }>;

/**
 * What a kernel sums over ranks: rows as they are, the experts' weighted sums, or rows whose experts it chooses; or
 * those weighted sums of one rank alone.
 */
export type SumKind = "rows" | "choices" | "routed" | "combined";

/** Who reads rows that a kernel leaves as they are read: linears of one input, or experts. */
export type NormReader =
  | { readonly linears: readonly GpuLinear[]; readonly experts?: undefined }
  | { readonly experts: ExpertTable; readonly linears?: undefined };

/** The norm of what a sum gives, which the sum's kernel makes. */
export interface SumNorm {
  readonly weight: GpuVector;
  readonly out: GpuTensor;
  readonly readers: readonly NormReader[];
  /** Whether `out` is written, and not only rows as the readers' kernels want them. */
  readonly written: boolean;
}

/** One or several operations that are launched together. */
export type Step =
  | Of<"embed">
  | Of<"rmsNorm">
  | Of<"rotate">
  | Of<"store">
  /** `readers`: of rows that the kernel leaves as they read them, instead of `out`; nobody: `out` is written. */
  | Of<"attention"> & { readonly readers: readonly NormReader[] }
  | Of<"add">
  | Of<"route">
  | Of<"swiglu">
  /**
   * `norm`: RMSNorm of x first. `accumulate`: the result is added to the output. `gives`: it goes to the ranks of a
   * group instead, whose sum comes next.
   */
  | Of<"linear"> & {
    readonly norm: GpuVector | null;
    readonly accumulate: boolean;
    readonly gives: RankGroup | null;
  }
  | {
    readonly kind: "rotateStore";
    readonly q: GpuTensor;
    readonly k: GpuTensor;
    readonly v: GpuTensor;
    readonly layer: number;
  }
  /** Rotation, store and attention of tokens of different sequences; q and k are not rotated in place. */
  | {
    readonly kind: "rotateAttention";
    readonly q: GpuTensor;
    readonly k: GpuTensor;
    readonly v: GpuTensor;
    readonly out: GpuTensor;
    readonly layer: number;
    readonly sinks: GpuVector;
    readonly readers: readonly NormReader[];
  }
  /** Norm, router, choice of experts; null: a result that is not read. `sum`, over ranks, is added to x first. */
  | {
    readonly kind: "normRoute";
    readonly x: GpuTensor;
    readonly norm: GpuVector;
    readonly router: GpuLinear;
    readonly normed: GpuTensor | null;
    readonly logits: GpuTensor | null;
    readonly sum: {
      readonly x: GpuTensor;
      readonly group: RankGroup;
      /** What the norm is called, and who reads it as its kernel leaves rows of it. */
      readonly normed: GpuTensor;
      readonly readers: readonly NormReader[];
    } | null;
  }
  /** Both products of the experts, SwiGLU between them, and the weighted sum, with `group` over its ranks. */
  | {
    readonly kind: "expertMlp";
    readonly group: RankGroup | null;
    readonly x: GpuTensor;
    readonly up: ExpertTable;
    readonly down: ExpertTable;
    readonly out: GpuTensor;
    readonly accumulate: boolean;
  }
  /** `out` is as wide as the activation where `swiglu` is fused. */
  | Of<"expertGateUp"> & { readonly swiglu: boolean }
  | Of<"expertDown">
  | Of<"combine"> & { readonly accumulate: boolean }
  /** The sum goes to `h`, to which it is added, or takes the place of x. */
  | Of<"allReduce"> & {
    readonly h: GpuTensor | null;
    readonly norm: SumNorm | null;
    /** Whether the linear before it gives x, which is not written then. */
    readonly given: boolean;
  }
  /**
   * `y` may be used for the experts' own outputs; its contents are not promised. With `group` what is added to `out` is
   * the sum over ranks.
   */
  | {
    readonly kind: "expertDownCombine";
    readonly group: RankGroup | null;
    readonly y: GpuTensor;
    readonly a: GpuTensor;
    readonly experts: ExpertTable;
    readonly out: GpuTensor;
    readonly accumulate: boolean;
    readonly norm: SumNorm | null;
  };

/** Names a kind of step in measurements: "linear of hidden" is the one of q, k and v where the norm is fused. */
export function labelOf(step: Step): string {
  return step.kind === "linear" ? `linear of ${step.x.name}` : step.kind;
}

/** Tensors that an operation reads. */
export function reads(o: Operation): readonly GpuTensor[] {
  switch (o.kind) {
    case "embed":
      return [];
    case "rmsNorm":
    case "linear":
    case "expertGateUp":
    case "allReduce":
      return [o.x];
    case "rotate":
      return [o.q, o.k];
    case "store":
      return [o.k, o.v];
    case "attention":
      return [o.q];
    case "add":
      return [o.h, o.y];
    case "route":
      return [o.logits];
    case "swiglu":
      return [o.z];
    case "expertDown":
      return [o.a];
    case "combine":
      return [o.y];
  }
}

/** Tensors that an operation writes. */
export function writes(o: Operation): readonly GpuTensor[] {
  switch (o.kind) {
    case "linear":
      return o.outs;
    case "rotate":
      return [o.q, o.k];
    case "store":
    case "route":
      return [];
    case "add":
      return [o.h];
    case "allReduce":
      return [o.x];
    default:
      return [o.out];
  }
}
