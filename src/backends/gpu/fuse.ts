/**
 * Fusion: neighbouring operations that one kernel computes become one step. A fused kernel gives the same bits as the
 * operations it replaces; it only leaves out intermediate tensors that are not read.
 */
import { type NormReader, type Operation, reads, type Step, type SumKind, type SumNorm, writes } from "./operations.ts";
import type { ExpertTable, GpuLinear, GpuTensor, GpuVector } from "./tensors.ts";

type Linear = Extract<Operation, { kind: "linear" }>;

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
 * @param canFuse Which fused kernels exist for the weights in question.
 */
export function fuse(
  operations: readonly Operation[],
  seen: (tensor: GpuTensor) => boolean,
  canFuse: {
    readonly normRoute: (router: GpuLinear) => boolean;
    /** Rotation and store with the attention after them. */
    readonly rotateAttention: (layer: number) => boolean;
    /** Attention whose kernel leaves rows as their readers' kernels want them. */
    readonly leaveAttended: (layer: number, width: number, readers: readonly NormReader[]) => boolean;
    readonly downCombine: (experts: ExpertTable) => boolean;
    /** Both products of experts, where nobody reads what lies between them. */
    readonly expertMlp: (up: ExpertTable, down: ExpertTable) => boolean;
    /** With the sum over ranks, where {@linkcode normRoute} can be and the router's logits are not read. */
    readonly sumRoute: (router: GpuLinear) => boolean;
    /** With the sum over ranks of the experts' weighted sums, where {@linkcode downCombine} can be. */
    readonly sumCombine: (combined: GpuTensor) => boolean;
    /**
     * Whether the kernel of a sum, over ranks or of the experts, makes the norm of it: with the norm's rows themselves,
     * or only as its readers want them.
     */
    readonly sumNorm: (
      of: SumKind,
      norm: GpuVector,
      readers: readonly NormReader[],
    ) => "rows" | "prepared" | null;
  },
): Fused {
  const steps: Step[] = [];
  const elided = new Set<GpuTensor>();

  /** True if the contents of `tensor` after operation `index` are not read. */
  const dead = (tensor: GpuTensor, index: number): boolean => {
    for (let j = index + 1; j < operations.length; j++) {
      const next = operations[j]!;
      if (reads(next).includes(tensor)) return false;
      if (writes(next).includes(tensor)) return true;
    }
    return !seen(tensor);
  };
  const elide = (tensor: GpuTensor) => void elided.add(tensor);
  const put = (step: Step, index: number): number => {
    // A tensor that is written holds its contents again.
    for (const tensor of writtenBy(step)) elided.delete(tensor);
    steps.push(step);
    return index;
  };

  for (let i = 0; i < operations.length;) {
    i = next(i);
  }
  return { steps, elided };

  /** Emits the step that begins at operation i; returns the index after it. */
  function next(i: number): number {
    const o = operations[i]!, second = operations[i + 1], third = operations[i + 2];
    switch (o.kind) {
      case "rmsNorm": {
        const routed = routeAt(i);
        if (routed !== null) return putRoute(i, routed, null);
        if (second?.kind !== "linear" || second.x !== o.out || o.out === o.x) break;
        const isRouter = third?.kind === "route" && second.outs.length === 1 && third.logits === second.outs[0];
        if (isRouter || !dead(o.out, i + 1)) break;
        const linear = linearStep(i + 1, o.x, o.weight);
        elide(o.out);
        return linear;
      }
      case "linear":
        return linearStep(i, o.x, null);
      case "rotate":
        if (second?.kind !== "store" || second.k !== o.k) break;
        if (
          third?.kind === "attention" && third.q === o.q && third.layer === second.layer &&
          canFuse.rotateAttention(third.layer)
        ) {
          if (dead(o.q, i + 2) && dead(o.k, i + 2)) {
            const { v, layer } = second, { out, sinks } = third;
            const readers = readersOfAttended(i + 2);
            put({ kind: "rotateAttention", q: o.q, k: o.k, v, out, layer, sinks, readers }, i);
            if (readers.length > 0) elide(out);
            elide(o.q);
            elide(o.k);
            return i + 3;
          }
        }
        return put({ kind: "rotateStore", q: o.q, k: o.k, v: second.v, layer: second.layer }, i + 2);
      case "attention": {
        const readers = readersOfAttended(i);
        put({ ...o, readers }, i);
        if (readers.length > 0) elide(o.out);
        return i + 1;
      }
      case "expertGateUp":
        if (second?.kind === "swiglu" && second.z === o.out && dead(o.out, i + 1)) {
          const after = mlpAt(i);
          if (after !== null) return after;
          put({ ...o, out: second.out, swiglu: true }, i);
          elide(o.out);
          return i + 2;
        }
        return put({ ...o, swiglu: false }, i + 1);
      case "expertDown": {
        if (second?.kind !== "combine" || second.y !== o.out || !dead(o.out, i + 1)) break;
        if (!canFuse.downCombine(o.experts)) break;
        const { group, sum, length } = summedAt(i + 1, second.out), after = i + 2 + length;
        const { out: y } = o, { a, experts } = o, out = sum ?? second.out, accumulate = sum !== null;
        const norm = sum && normAt(group === null ? "combined" : "choices", after, out);
        put({ kind: "expertDownCombine", y, a, experts, out, accumulate, group, norm }, i);
        elide(y);
        if (sum) elide(second.out);
        return after + afterNorm(norm);
      }
      case "combine": {
        const sum = sumAfter(i, o.out);
        put({ kind: "combine", y: o.y, out: sum ?? o.out, accumulate: sum !== null }, i);
        if (sum) elide(o.out);
        return i + (sum ? 2 : 1);
      }
      case "allReduce": {
        const sum = sumAfter(i, o.x), routed = sum && routeAt(i + 2);
        if (routed && routed.norm.x === sum && !routed.chosen && canFuse.sumRoute(routed.router)) {
          elide(o.x);
          return putRoute(i + 2, routed, { x: o.x, group: o.group, normed: routed.norm.out, readers: [] });
        }
        // A kernel that routes makes the norm itself.
        const norm = sum && !routed ? normAt("rows", i + 2, sum) : null;
        put({ ...o, h: sum, norm }, i);
        if (sum) elide(o.x);
        return i + (sum ? 2 : 1) + afterNorm(norm);
      }
      default:
        return put(o, i + 1);
    }
    // Nothing to join it with.
    return put(o, i + 1);
  }

  /**
   * Emits both products of experts with what lies between and after them, where one kernel computes that; returns the
   * index after them.
   */
  function mlpAt(index: number): number | null {
    const [up, swiglu, down, combine] = operations.slice(index, index + 4);
    if (up?.kind !== "expertGateUp" || swiglu?.kind !== "swiglu") return null;
    if (down?.kind !== "expertDown" || down.a !== swiglu.out || !dead(down.a, index + 2)) return null;
    if (combine?.kind !== "combine" || combine.y !== down.out || !dead(combine.y, index + 3)) return null;
    if (!canFuse.expertMlp(up.experts, down.experts)) return null;
    const { group, sum, length } = summedAt(index + 3, combine.out), out = sum ?? combine.out;
    const both = { x: up.x, up: up.experts, down: down.experts };
    put({ kind: "expertMlp", ...both, out, accumulate: sum !== null, group }, index);
    for (const skipped of [up.out, down.a, down.out]) elide(skipped);
    if (sum) elide(combine.out);
    return index + 4 + length;
  }

  /** A norm at `index`, the router and the choice after it, where one kernel computes them. */
  function routeAt(index: number) {
    const [norm, linear, route] = operations.slice(index, index + 3);
    if (norm?.kind !== "rmsNorm" || linear?.kind !== "linear" || norm.out === norm.x) return null;
    const router = linear.linears[0]!, logits = linear.outs[0]!;
    const isRouter = route?.kind === "route" && linear.x === norm.out && linear.outs.length === 1 &&
      route.logits === logits;
    if (!isRouter || !canFuse.normRoute(router)) return null;
    return { norm, router, logits, kept: !dead(norm.out, index + 2), chosen: !dead(logits, index + 2) };
  }

  function putRoute(
    index: number,
    { norm, router, logits, kept, chosen }: NonNullable<ReturnType<typeof routeAt>>,
    over: Extract<Step, { kind: "normRoute" }>["sum"],
  ): number {
    const found = over && kept ? readersAfter(index + 2, norm.out) : null;
    const prepared = found !== null && !found.others &&
      canFuse.sumNorm("routed", norm.weight, found.readers) === "prepared";
    const sum = over && prepared ? { ...over, readers: found.readers } : over, read = kept && !prepared;
    const results = { normed: read ? norm.out : null, logits: chosen ? logits : null };
    put({ kind: "normRoute", x: norm.x, norm: norm.weight, router, ...results, sum }, index);
    if (!read) elide(norm.out);
    if (!chosen) elide(logits);
    return index + 3;
  }

  /** Who reads a tensor after `index` as long as it is not written again, and whether others than linears do. */
  function readersAfter(
    index: number,
    tensor: GpuTensor,
  ): { readonly readers: NormReader[]; readonly others: boolean } {
    const readers: NormReader[] = [];
    let others = false, written = false;
    for (const o of operations.slice(index + 1)) {
      if (reads(o).includes(tensor)) {
        if (o.kind === "linear") readers.push({ linears: o.linears });
        else if (o.kind === "expertGateUp") readers.push({ experts: o.experts });
        else others = true;
      }
      written = writes(o).includes(tensor);
      if (written) break;
    }
    return { readers, others: others || !written && seen(tensor) };
  }

  /** Who reads what attention at `index` leaves as they read it; nobody where its output is to be written. */
  function readersOfAttended(index: number): readonly NormReader[] {
    const { out, layer } = operations[index] as Extract<Operation, { kind: "attention" }>;
    const { readers, others } = readersAfter(index, out);
    return !others && readers.length > 0 && canFuse.leaveAttended(layer, out.width, readers) ? readers : [];
  }

  /** The norm of `h` at `index`, where the kernel of the sum before it makes it. */
  function normAt(of: SumKind, index: number, h: GpuTensor): SumNorm | null {
    const norm = operations[index];
    if (norm?.kind !== "rmsNorm" || norm.x !== h || norm.out === h) return null;
    const { readers, others } = readersAfter(index, norm.out), how = canFuse.sumNorm(of, norm.weight, readers);
    return how && { weight: norm.weight, out: norm.out, readers, written: others || how === "rows" };
  }

  /** Operations that a sum's norm takes the place of. */
  function afterNorm(norm: SumNorm | null): number {
    if (norm !== null && !norm.written) elide(norm.out);
    return norm === null ? 0 : 1;
  }

  /** The tensor that the operation after `index` adds `y` to, if `y` is read nowhere else. */
  function sumAfter(index: number, y: GpuTensor): GpuTensor | null {
    const add = operations[index + 1];
    return add?.kind === "add" && add.y === y && add.h !== y && dead(y, index + 1) ? add.h : null;
  }

  /**
   * What the experts' weighted sum `y`, made at `index`, is added to, how many operations that takes, and over which
   * ranks it is summed by its kernel: a sum over ranks that is not added to anything is a step of its own.
   */
  function summedAt(index: number, y: GpuTensor) {
    const reduce = operations[index + 1];
    const over = reduce?.kind === "allReduce" && reduce.x === y && canFuse.sumCombine(y);
    const all = over ? sumAfter(index + 1, y) : null, sum = all ?? sumAfter(index, y);
    return { group: all && over ? reduce.group : null, sum, length: all ? 2 : sum ? 1 : 0 };
  }

  function linearStep(index: number, x: GpuTensor, norm: GpuVector | null): number {
    const o = operations[index] as Linear;
    const only = o.outs.length === 1 ? o.outs[0]! : null;
    const sum = only ? sumAfter(index, only) : null;
    put({ ...o, x, norm, outs: sum ? [sum] : o.outs, accumulate: sum !== null }, index);
    if (sum) elide(only!);
    return index + (sum ? 2 : 1);
  }
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
