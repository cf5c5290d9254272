/**
 * Decides by which kernels a step is computed: vector kernels for few tokens, matrix kernels for many, matrix
 * instructions where the device has them and the numbers are bf16. Everything here may be recorded in a graph: sizes
 * are fixed, data comes from device memory.
 */
import { groupOf, quantizeFor, type Rows } from "./abi.ts";
import type { Values } from "./arguments.ts";
import { attendsBatch, canStep, launchAttention, launchStep } from "./attention.ts";
import { batchEntry, linearBatchEntry } from "./batches.ts";
import type { Calls } from "./calls.ts";
import { type BatchShape, type ExecutorOptions, LaunchContext } from "./context.ts";
import { Experts } from "./experts.ts";
import { Inputs } from "./inputs.ts";
import type { NormReader, Step } from "./operations.ts";
import { launchBatch, launchGemm, launchGive, launchGroups, type Products } from "./products.ts";
import type { RankSums } from "./ranks.ts";
import { launchNormRoute } from "./norm_route.ts";
import { launchAdd, launchEmbed, launchRmsNorm, launchRoute, launchSwiglu } from "./rows.ts";
import { launchRotate, launchRotateStore, launchStore } from "./rotary.ts";
import { batchesLinears, linearEntry, Summed } from "./summed.ts";
import type { ExpertTable, GpuLinear, GpuTensor } from "./tensors.ts";
import type { Workspace } from "./workspace.ts";

export class Executor {
  readonly #context: LaunchContext;
  readonly #inputs: Inputs;
  readonly #experts: Experts;
  readonly #summed: Summed;
  /** For measurements: which steps are launched; all unless set. */
  only: ((step: Step) => boolean) | null = null;
  /** What sums over ranks on their devices, once they have joined. */
  ranks: RankSums | null = null;

  constructor(readonly calls: Calls, readonly workspace: Workspace<string>, readonly options: ExecutorOptions) {
    this.#context = new LaunchContext(calls, workspace, options);
    this.#inputs = new Inputs(this.#context);
    this.#experts = new Experts(this.#context, this.#inputs);
    this.#summed = new Summed(this.#context, this.#inputs, this.#experts, () => this.ranks);
  }

  /** Says what the next steps work on. */
  begin(shape: BatchShape): void {
    this.#context.begin(shape);
    this.#inputs.reset();
    this.#experts.routed();
  }

  /** Says that the choice of experts got new contents from outside. */
  routed(): void {
    this.#experts.routed();
  }

  /** See {@linkcode Inputs.changed}. */
  changed(tensor: GpuTensor, rounded: boolean): void {
    this.#inputs.changed(tensor, rounded);
  }

  /** Whether the norm before the router, the router and the choice are one kernel here. */
  canNormRoute(router: GpuLinear): boolean {
    return (this.#context.few || this.#context.some) && router.input.kind === "none" &&
      this.calls.fits(`norm_route_${router.suffix}`, router.cols);
  }

  /** Whether a kernel rotates and stores the tokens of the batch that it attends from. */
  canRotateAttention(layer: number): boolean {
    return canStep(this.#context, layer);
  }

  /** Whether the kernel that attends leaves rows as their readers' kernels want them. */
  canLeaveAttended(layer: number, width: number, readers: readonly NormReader[]): boolean {
    return !this.#context.few && attendsBatch(this.#context, layer) && this.#summed.prepares(readers, width);
  }

  /** Whether that kernel sums over ranks first. */
  canSumRoute(router: GpuLinear): boolean {
    return this.ranks?.canSumRoute(this.#context.n, router) ?? false;
  }

  /** See {@linkcode Experts.canDownCombine}. */
  canDownCombine(experts: ExpertTable): boolean {
    return this.#experts.canDownCombine(experts);
  }

  /** See {@linkcode Experts.canMlp}. */
  canMlp(up: ExpertTable, down: ExpertTable): boolean {
    return this.#experts.canMlp(up, down);
  }

  /** See {@linkcode Summed.canCombine}. */
  canSumCombine(combined: GpuTensor): boolean {
    return this.#summed.canCombine(combined);
  }

  /** See {@linkcode Summed.canGive}. */
  canSumGiven(linear: GpuLinear): boolean {
    return this.#summed.canGive(linear);
  }

  /** See {@linkcode Summed.knowsGive}. */
  knowsGive(linear: GpuLinear): boolean {
    return this.#summed.knowsGive(linear);
  }

  /** See {@linkcode Experts.knowsOne}. */
  knowsOne(up: GpuLinear, down: GpuLinear): boolean {
    return this.#experts.knowsOne(up, down);
  }

  /** See {@linkcode Summed.can}. */
  canSumNorm(...parameters: Parameters<Summed["can"]>): ReturnType<Summed["can"]> {
    return this.#summed.can(...parameters);
  }

  /** Launches the kernels of a step, unless {@linkcode only} leaves it out. */
  run(step: Step): void {
    if (this.only?.(step) === false) return;
    switch (step.kind) {
      case "embed":
        launchEmbed(this.#context, step);
        break;
      case "rmsNorm":
        launchRmsNorm(this.#context, step);
        break;
      case "linear":
        this.#linear(step);
        break;
      case "rotate":
        launchRotate(this.#context, step.q);
        launchRotate(this.#context, step.k);
        break;
      case "store":
        launchStore(this.#context, step);
        break;
      case "rotateStore":
        launchRotateStore(this.#context, step);
        break;
      case "attention":
        launchAttention(this.#context, step, this.#summed.leave(step.out, step.readers));
        break;
      case "rotateAttention":
        launchStep(this.#context, step, this.#summed.leave(step.out, step.readers));
        break;
      case "add":
        launchAdd(this.#context, step);
        break;
      case "route":
        this.#experts.routed();
        launchRoute(this.#context, step);
        break;
      case "normRoute":
        this.#experts.routed();
        launchNormRoute(this.#context, this.#inputs, this.#summed, this.ranks, step);
        break;
      case "swiglu":
        launchSwiglu(this.#context, step);
        break;
      case "expertMlp":
        this.#experts.mlp(step, step.group && this.ranks!.blockSum(step.group));
        break;
      case "expertGateUp":
        this.#experts.gateUp(step.experts, step.x, step.out, step.swiglu);
        break;
      case "expertDown":
        this.#experts.down(step.experts, step.a, step.out);
        break;
      case "combine":
        this.#experts.combine(step.y, step.out, step.accumulate);
        break;
      case "expertDownCombine":
        if (step.group !== null) this.#summed.combine(step, step.group);
        else this.#experts.downCombine(step, step.norm && this.#summed.rowsOf(step.out, step.norm));
        break;
      case "allReduce":
        this.#allReduce(step);
        break;
      default:
        // Without this a kind that nobody launches would compile, and compute nothing.
        step satisfies never;
    }
    this.#inputs.forget(step);
  }

  #allReduce({ x, h, group, norm, given }: Extract<Step, { kind: "allReduce" }>): void {
    const { n } = this.#context, ranks = this.ranks!, { round, overlap } = this.options;
    if (h !== null && given) return ranks.takeGiven(h, group, { ...this.#summed.rowsOf(h, norm), round, n }, overlap);
    if (h === null || norm === null) return ranks.sum(x, h, group, n);
    ranks.sumNorm(x, h, group, { ...this.#summed.rowsOf(h, norm), round, n });
  }

  /** Logits of rows of x that `workspace.rows` names, to `workspace.allLogits`. */
  logits(x: GpuTensor, head: GpuLinear, rows: number): void {
    this.#ownLogits(x, head, rows);
    this.ranks?.gatherLogits(rows);
  }

  /** Whether {@linkcode pick} can be used: ranks have not to gather the logits of so many rows. */
  canPick(rows: number): boolean {
    return this.ranks?.canPick(rows) ?? false;
  }

  /** The likeliest tokens of rows of x that `workspace.rows` names, to `workspace.picked`. */
  pick(x: GpuTensor, head: GpuLinear, rows: number): void {
    this.#ownLogits(x, head, rows);
    this.ranks!.pick(rows, head.rows);
  }

  #ownLogits(x: GpuTensor, head: GpuLinear, rows: number): void {
    const { workspace: w } = this;
    this.#inputs.round(x, head);
    const out = { range: w.logits, stride: w.logitStride };
    if (this.#context.batched(rows, head, batchEntry(head.suffix, rows))) {
      const entry = linearBatchEntry(this.options.matrixKernels, head.suffix, rows, [head.rows]);
      const chosen = this.#inputs.choose(x, head, rows, entry);
      return this.#batch(entry, { linears: [head], outs: [out], x: chosen, round: false, accumulate: false, n: rows });
    }
    const input = { ...this.#inputs.of(x, null, quantizeFor(head)), xRows: w.rows };
    const group = groupOf([head], [out]);
    this.#vectorLinear(head, rows > 1, { group, in: input, round: false, accumulate: false, n: rows });
  }

  #linear({ linears, outs, x, norm, accumulate, gives }: Extract<Step, { kind: "linear" }>): void {
    const { n, few } = this.#context, { round, invariant } = this.options;
    for (const indices of launchGroups(linears)) {
      const members = indices.map((i) => linears[i]!), targets: Rows[] = indices.map((i) => outs[i]!);
      const first = members[0]!;
      if (!norm) this.#inputs.round(x, first);
      if (few) {
        const input = this.#inputs.of(x, norm, quantizeFor(first)), group = groupOf(members, targets);
        this.#vectorLinear(first, n >= 4 && !invariant, { group, in: input, round, accumulate, n });
      } else {
        const entry = linearEntry(this.#context, members), rows = this.#inputs.prepare(x, norm, first, n, entry);
        const products = { linears: members, outs: targets, x: rows, round, accumulate, n };
        if (gives !== null) launchGive(this.calls, products, entry, this.ranks!.giving(gives));
        else if (batchesLinears(this.#context, members)) this.#batch(entry, products);
        else launchGemm(this.calls, products, entry);
      }
    }
  }

  #batch(entry: string, products: Products): void {
    const { parts: sums, counters } = this.workspace;
    launchBatch(this.calls, entry, products, { sums, counters });
  }

  /** @param many Whether to read each weight once for four rows, where their kernel can. */
  #vectorLinear({ suffix, cols }: GpuLinear, many: boolean, values: Values<"linear">): void {
    const { calls } = this, four = `linear_${suffix}_x4`;
    if (many && calls.fits(four, cols)) return calls.launch("linear", values, four, calls.fullGrid);
    calls.launch("linear", values, `linear_${suffix}`, calls.linearGrid(suffix));
  }
}
