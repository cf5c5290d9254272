/** Which neighbouring operations become one step. */
import type { Flow } from "./flow.ts";
import type { NormReader, Operation, Step, SumKind, SumNorm } from "./operations.ts";
import type { RankGroup } from "../../model/backend.ts";
import type { ExpertTable, GpuLinear, GpuTensor, GpuVector } from "./tensors.ts";

/** Which fused kernels exist for the weights in question. */
export interface FusedKernels {
  /** Norm before the router, router and choice of experts. */
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
  /** A linear whose rows its kernel gives to the sum over ranks itself, where that adds them to the residual stream. */
  readonly sumGiven: (linear: GpuLinear) => boolean;
  /** With the sum over ranks of the experts' weighted sums, where {@linkcode downCombine} can be. */
  readonly sumCombine: (combined: GpuTensor) => boolean;
  /**
   * Whether the kernel of a sum, over ranks or of the experts, makes the norm of it: with the norm's rows themselves,
   * or only as its readers want them.
   */
  readonly sumNorm: (of: SumKind, norm: GpuVector, readers: readonly NormReader[]) => "rows" | "prepared" | null;
}

/** A step, and what it takes the place of. */
export interface Fusion {
  readonly step: Step;
  /** How many operations. */
  readonly length: number;
  /** Tensors whose contents those operations would have written. */
  readonly elided: readonly GpuTensor[];
}

type Of<K extends Operation["kind"]> = Extract<Operation, { kind: K }>;
type RouteSum = Extract<Step, { kind: "normRoute" }>["sum"];

/** A norm, the router and the choice of experts after it, where one kernel computes them. */
interface Route {
  readonly norm: Of<"rmsNorm">;
  readonly router: GpuLinear;
  readonly logits: GpuTensor;
  /** Whether the norm is read besides. */
  readonly kept: boolean;
  /** Whether the router's logits are read besides. */
  readonly chosen: boolean;
}

export class FusionRules {
  constructor(readonly flow: Flow, readonly kernels: FusedKernels) {}

  /** The step that begins with operation i. */
  at(i: number): Fusion {
    const o = this.flow.operations[i]!;
    switch (o.kind) {
      case "rmsNorm":
        return this.#norm(i, o);
      case "linear":
        return this.#linear(i, o, null);
      case "rotate":
        return this.#rotate(i, o);
      case "attention":
        return this.#attention(i, o);
      case "expertGateUp":
        return this.#expertGateUp(i, o);
      case "expertDown":
        return this.#expertDown(i, o);
      case "combine": {
        const sum = this.#sumBeside(i, o.out, o.y);
        const step: Step = { kind: "combine", y: o.y, out: sum ?? o.out, accumulate: sum !== null };
        return { step, length: sum ? 2 : 1, elided: present(sum && o.out) };
      }
      case "allReduce":
        return this.#allReduce(i, o);
      default:
        return alone(o);
    }
  }

  #norm(i: number, o: Of<"rmsNorm">): Fusion {
    const [linear, route] = this.flow.operations.slice(i + 1, i + 3), found = this.#routeAt(i);
    if (found !== null) return this.#route(i, found, null);
    if (linear?.kind !== "linear" || linear.x !== o.out || o.out === o.x) return alone(o);
    const isRouter = route?.kind === "route" && linear.outs.length === 1 && route.logits === linear.outs[0];
    // Blocks read rows of x while others write theirs.
    if (isRouter || !this.flow.dead(o.out, i + 1) || linear.outs.includes(o.x)) return alone(o);
    const { step, length, elided } = this.#linear(i + 1, linear, o);
    return { step, length: 1 + length, elided: [...elided, o.out] };
  }

  /** @param norm The norm of its input, which its kernel computes; null: the input is there. */
  #linear(i: number, o: Of<"linear">, norm: Of<"rmsNorm"> | null): Fusion {
    const from = { x: norm?.x ?? o.x, norm: norm?.weight ?? null };
    const only = o.outs.length === 1 ? o.outs[0]! : null, sum = only && this.#sumBeside(i, only, from.x);
    const gives = this.#givenAt(i);
    const step: Step = { ...o, ...from, outs: sum ? [sum] : o.outs, accumulate: sum !== null, gives };
    return { step, length: sum ? 2 : 1, elided: present(sum || gives ? only : null) };
  }

  /** What the operation after `i` adds y to, where it is not what the kernel that would add to it reads. */
  #sumBeside(i: number, y: GpuTensor, read: GpuTensor): GpuTensor | null {
    const sum = this.flow.sumAfter(i, y);
    return sum === read ? null : sum;
  }

  /** The ranks that the kernel of the linear at `i` gives its rows to; null where it does not. */
  #givenAt(i: number): RankGroup | null {
    const [before, linear, reduce] = [-1, 0, 1].map((k) => this.flow.operations[i + k]);
    if (linear?.kind !== "linear" || linear.outs.length !== 1 || reduce?.kind !== "allReduce") return null;
    // Which the linear's step would make.
    if (before?.kind === "rmsNorm" && before.out === linear.x) return null;
    const x = linear.outs[0]!, given = reduce.x === x && this.#sumBeside(i + 1, x, linear.x) !== null;
    // A router's kernel that sums reads x.
    if (!given || this.#routerOfSum(i + 1, x) !== null) return null;
    return this.kernels.sumGiven(linear.linears[0]!) ? reduce.group : null;
  }

  #rotate(i: number, o: Of<"rotate">): Fusion {
    const { flow, kernels } = this, [store, attention] = flow.operations.slice(i + 1, i + 3), { q, k } = o;
    if (store?.kind !== "store" || store.k !== k) return alone(o);
    const { v, layer } = store;
    if (
      attention?.kind !== "attention" || attention.q !== q || attention.layer !== layer ||
      !kernels.rotateAttention(layer) || !flow.dead(q, i + 2) || !flow.dead(k, i + 2)
    ) return { step: { kind: "rotateStore", q, k, v, layer }, length: 2, elided: [] };
    const { out, sinks } = attention, readers = this.#readersOfAttended(i + 2, attention);
    const step: Step = { kind: "rotateAttention", q, k, v, out, layer, sinks, readers };
    return { step, length: 3, elided: present(q, k, readers.length > 0 ? out : null) };
  }

  #attention(i: number, o: Of<"attention">): Fusion {
    const readers = this.#readersOfAttended(i, o);
    return { step: { ...o, readers }, length: 1, elided: present(readers.length > 0 ? o.out : null) };
  }

  /** Who reads what attention at `i` leaves as they read it; nobody where its output is to be written. */
  #readersOfAttended(i: number, { out, layer }: Of<"attention">): readonly NormReader[] {
    const { readers, others } = this.flow.readersAfter(i, out);
    return !others && readers.length > 0 && this.kernels.leaveAttended(layer, out.width, readers) ? readers : [];
  }

  #expertGateUp(i: number, o: Of<"expertGateUp">): Fusion {
    const swiglu = this.flow.operations[i + 1];
    if (swiglu?.kind !== "swiglu" || swiglu.z !== o.out || !this.flow.dead(o.out, i + 1)) {
      return alone({ ...o, swiglu: false });
    }
    return this.#expertMlp(i, o, swiglu) ??
      { step: { ...o, out: swiglu.out, swiglu: true }, length: 2, elided: [o.out] };
  }

  /** Both products of experts with what lies between and after them; null where no kernel computes that. */
  #expertMlp(i: number, up: Of<"expertGateUp">, swiglu: Of<"swiglu">): Fusion | null {
    const { flow, kernels } = this, [down, combine] = flow.operations.slice(i + 2, i + 4);
    if (down?.kind !== "expertDown" || down.a !== swiglu.out || !flow.dead(down.a, i + 2)) return null;
    if (combine?.kind !== "combine" || combine.y !== down.out || !flow.dead(combine.y, i + 3)) return null;
    if (!kernels.expertMlp(up.experts, down.experts)) return null;
    const { group, sum, length } = this.#summedAt(i + 3, combine.out), out = sum ?? combine.out;
    if (out === up.x) return null;
    const both = { x: up.x, up: up.experts, down: down.experts };
    const step: Step = { kind: "expertMlp", ...both, out, accumulate: sum !== null, group };
    return { step, length: 4 + length, elided: present(up.out, down.a, down.out, sum && combine.out) };
  }

  #expertDown(i: number, o: Of<"expertDown">): Fusion {
    const { flow, kernels } = this, combine = flow.operations[i + 1], { out: y, a, experts } = o;
    if (combine?.kind !== "combine" || combine.y !== y || !flow.dead(y, i + 1)) return alone(o);
    if (!kernels.downCombine(experts)) return alone(o);
    const { group, sum, length } = this.#summedAt(i + 1, combine.out), after = 2 + length, out = sum ?? combine.out;
    if (out === a) return alone(o);
    const norm = sum && this.#normAt(group === null ? "combined" : "choices", i + after, out, a);
    const step: Step = { kind: "expertDownCombine", y, a, experts, out, accumulate: sum !== null, group, norm };
    return { step, length: after + lengthOf(norm), elided: present(y, sum && combine.out, unwritten(norm)) };
  }

  #allReduce(i: number, o: Of<"allReduce">): Fusion {
    const { x, group } = o, sum = this.flow.sumAfter(i, x), router = this.#routerOfSum(i, x);
    if (router !== null) {
      const { step, length, elided } = this.#route(i + 2, router, { x, group, normed: router.norm.out, readers: [] });
      return { step, length: 2 + length, elided: [x, ...elided] };
    }
    // A kernel that routes makes the norm itself.
    const norm = sum && !this.#routeAt(i + 2) ? this.#normAt("rows", i + 2, sum, x) : null;
    const length = (sum ? 2 : 1) + lengthOf(norm);
    const given = this.#givenAt(i - 1) !== null;
    return { step: { ...o, h: sum, norm, given }, length, elided: present(sum && x, unwritten(norm)) };
  }

  /** The choice of experts after the sum of x over ranks at `i` whose kernel makes that as well; null: none does. */
  #routerOfSum(i: number, x: GpuTensor): Route | null {
    const sum = this.flow.sumAfter(i, x), found = sum && this.#routeAt(i + 2);
    const beside = found && found.norm.out !== x && found.logits !== x;
    return beside && found.norm.x === sum && !found.chosen && this.kernels.sumRoute(found.router) ? found : null;
  }

  #routeAt(i: number): Route | null {
    const { flow, kernels } = this, [norm, linear, route] = flow.operations.slice(i, i + 3);
    if (norm?.kind !== "rmsNorm" || linear?.kind !== "linear" || norm.out === norm.x) return null;
    const router = linear.linears[0]!, logits = linear.outs[0]!;
    const isRouter = route?.kind === "route" && linear.x === norm.out && linear.outs.length === 1 &&
      route.logits === logits;
    if (!isRouter || !kernels.normRoute(router)) return null;
    return { norm, router, logits, kept: !flow.dead(norm.out, i + 2), chosen: !flow.dead(logits, i + 2) };
  }

  /** @param over What is summed over ranks and added to the norm's input first; null: nothing. */
  #route(i: number, { norm, router, logits, kept, chosen }: Route, over: RouteSum): Fusion {
    const found = over && kept ? this.flow.readersAfter(i + 2, norm.out) : null;
    const prepared = found !== null && !found.others &&
      this.kernels.sumNorm("routed", norm.weight, found.readers) === "prepared";
    const sum = over && prepared ? { ...over, readers: found.readers } : over, read = kept && !prepared;
    const results = { normed: read ? norm.out : null, logits: chosen ? logits : null };
    const step: Step = { kind: "normRoute", x: norm.x, norm: norm.weight, router, ...results, sum };
    return { step, length: 3, elided: present(read ? null : norm.out, chosen ? null : logits) };
  }

  /** The norm of `h` at `i`, where the kernel of the sum before it makes it, which reads `read`. */
  #normAt(of: SumKind, i: number, h: GpuTensor, read: GpuTensor): SumNorm | null {
    const norm = this.flow.operations[i];
    if (norm?.kind !== "rmsNorm" || norm.x !== h || norm.out === h || norm.out === read) return null;
    const { readers, others } = this.flow.readersAfter(i, norm.out);
    const how = this.kernels.sumNorm(of, norm.weight, readers);
    return how && { weight: norm.weight, out: norm.out, readers, written: others || how === "rows" };
  }

  /**
   * What the experts' weighted sum `y`, made at `i`, is added to, how many operations that takes, and over which ranks
   * it is summed by its kernel: a sum over ranks that is not added to anything is a step of its own.
   */
  #summedAt(i: number, y: GpuTensor) {
    const { flow, kernels } = this, reduce = flow.operations[i + 1];
    const over = reduce?.kind === "allReduce" && reduce.x === y && kernels.sumCombine(y);
    const all = over ? flow.sumAfter(i + 1, y) : null, sum = all ?? flow.sumAfter(i, y);
    return { group: all && over ? reduce.group : null, sum, length: all ? 2 : sum ? 1 : 0 };
  }
}

/** An operation, or what became of it, that is joined with none. */
const alone = (step: Step): Fusion => ({ step, length: 1, elided: [] });

/** Those tensors that there are. */
const present = (...tensors: (GpuTensor | null)[]): GpuTensor[] => tensors.filter((tensor) => tensor !== null);

/** Operations that a sum's norm takes the place of. */
const lengthOf = (norm: SumNorm | null): number => norm === null ? 0 : 1;

/** What a sum's norm leaves unwritten. */
const unwritten = (norm: SumNorm | null): GpuTensor | null => norm === null || norm.written ? null : norm.out;
