/** The experts' products: by vector kernels for few tokens, sorted by expert and by GEMMs for many. */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import { quantizeFor } from "./abi.ts";
import { expertBatchEntry, expertWalkEntry, WALK_TOKENS } from "./batches.ts";
import type { LaunchContext } from "./context.ts";
import { launchExpertMlp, mlpEntry, mlpKnows, mlpRanksEntry } from "./expert_mlp.ts";
import { type BlockSum, normedArguments, type SumRows } from "./exchange_rows.ts";
import type { Inputs } from "./inputs.ts";
import {
  forOne,
  launchExpertDownCombine,
  launchExpertGemm,
  launchExpertUp,
  launchExpertWalk,
  oneKnows,
  type Routing,
  scaledEntry,
  type Stored,
  type Swiglu,
  walkKnows,
} from "./products.ts";
import type { Step } from "./operations.ts";
import type { ExpertTable, GpuLinear, GpuTensor } from "./tensors.ts";

export class Experts {
  /** Tokens a block that the slot rows are sorted for; 0: they are not sorted. */
  #sortedFor = 0;
  /** Whether the kernel of the first product waited for what was chosen before any launch after it could begin. */
  #waited = false;

  /** What blocks of the kernel of both products tell one another by, for each layer's experts. */
  readonly #mlpStates = new Map<ExpertTable, DeviceRange>();

  constructor(readonly context: LaunchContext, readonly inputs: Inputs) {}

  /** Says that the choice of experts changed. */
  routed(): void {
    this.#sortedFor = 0;
  }

  /** Whether the kernel that computes the experts' outputs also weights and sums them. */
  canDownCombine({ first: { suffix, cols } }: ExpertTable): boolean {
    const { few, calls, options: { config } } = this.context;
    return !few || calls.fits(`expert_down_combine_${suffix}`, cols, config.topK);
  }

  /** Slot rows of the first product, with SwiGLU where it is fused. */
  gateUp(experts: ExpertTable, x: GpuTensor, out: GpuTensor, fused: boolean): void {
    const { calls, few, n, options: { config, round } } = this.context;
    this.inputs.round(x, experts.first);
    const swiglu: Swiglu = fused ? { alpha: config.swigluAlpha, limit: config.swigluLimit } : null;
    // Rows of experts that other ranks have are zeros where somebody may look; the second product does not read them.
    if (!fused && experts.count < config.experts) calls.fill(rowsOf(out, n * config.topK));
    if (few) {
      const input = this.inputs.of(x, null, quantizeFor(experts.first)), { routing } = this;
      const entry = this.#fewEntry("expert_up", experts.first);
      launchExpertUp(calls, entry, { experts, input, routing, out, round, swiglu, n });
    } else {
      this.#waited = this.#gemm(experts, { x, rows: n, divisor: config.topK, early: false, out, round, swiglu });
    }
  }

  /**
   * Slot rows of the second product, unrounded.
   *
   * @param zeros Whether rows of experts that other ranks have are to be zeros; else they hold anything.
   */
  down(experts: ExpertTable, a: GpuTensor, out: GpuTensor, zeros = true): void {
    const { calls, few, n, options: { config } } = this.context, slotRows = n * config.topK;
    this.inputs.round(a, experts.first);
    if (few) {
      const { rows, cols, suffix } = experts.first, { ids, first, topK } = this.routing;
      const values = { experts: experts.records, ids, first, count: experts.count, topK, rows, cols, n };
      const input = this.inputs.of(a, null, quantizeFor(experts.first));
      const entry = `expert_down_${suffix}`;
      return calls.launch("expertDown", { ...values, in: input, out: out.range, outStride: out.stride }, entry);
    }
    if (zeros && experts.count < config.experts) calls.fill(rowsOf(out, slotRows));
    const early = this.#waited;
    this.#gemm(experts, { x: a, rows: slotRows, divisor: 1, early, out, round: false, swiglu: null });
  }

  /** Whether one kernel computes both products of such experts for this batch, as part of a model that has no other. */
  canMlp({ first: up }: ExpertTable, { first: down }: ExpertTable): boolean {
    const { n, few, calls, options: { config, matrixKernels, round, ranks } } = this.context;
    const entry = ranks ? mlpRanksEntry(up.suffix) : mlpEntry(up.suffix);
    // It gives the bits of the two kernels for one token, and is trusted where they are.
    const trusted = [forOne(`expert_up_${up.suffix}`), forOne(`expert_down_combine_${down.suffix}`), entry];
    return few && n === 1 && round && trusted.every((name) => matrixKernels.has(name)) &&
      mlpKnows(calls, up, down, config.topK, ranks);
  }

  /**
   * Both products and the weighted sum, where {@linkcode canMlp}.
   *
   * @param over What they are summed over ranks by; null: they are not.
   */
  mlp({ x, up, down, out, accumulate }: Extract<Step, { kind: "expertMlp" }>, over: BlockSum | null): void {
    const { calls, workspace: { mlpStates }, options: { config, ranks } } = this.context, { routing } = this;
    this.inputs.round(x, up.first);
    const input = this.inputs.of(x, null, quantizeFor(up.first)), known = this.#mlpStates;
    const state = known.get(up) ?? mlpStates[known.size]!;
    known.set(up, state);
    const swiglu = { alpha: config.swigluAlpha, limit: config.swigluLimit };
    const how = { out, accumulate, swiglu, state, over: over ?? (ranks ? "none" as const : null) };
    launchExpertMlp(calls, { up, down, input, routing, ...how });
  }

  /**
   * The second product and the weighted sum. `y` is room for slot rows.
   *
   * @param rows Where the norm of what the sum is added to goes; null: none is made.
   */
  downCombine(
    { experts, a, y, out, accumulate }: Extract<Step, { kind: "expertDownCombine" }>,
    rows: SumRows | null,
  ): void {
    const { few } = this.context;
    this.inputs.round(a, experts.first);
    if (few) this.#downFew(this.#fewEntry("expert_down_combine", experts.first), experts, a, out, accumulate, null);
    else {
      this.down(experts, a, y);
      if (rows === null) this.combine(y, out, accumulate);
      else this.#combineNorm(y, out, rows);
    }
  }

  /** Whether the kernels for one token compute both products of such experts. */
  knowsOne(up: GpuLinear, down: GpuLinear): boolean {
    return this.#oneEntry("expert_up", up) !== null && this.#oneEntry("expert_down_combine", down) !== null;
  }

  /** {@linkcode downCombine} with a sum over ranks, where {@linkcode knowsOne} says so of the experts of every rank. */
  downSum(experts: ExpertTable, a: GpuTensor, out: GpuTensor, over: BlockSum): void {
    this.inputs.round(a, experts.first);
    this.#downFew(this.#oneEntry("expert_down_combine", experts.first)!, experts, a, out, true, over);
  }

  #downFew(
    entry: string,
    experts: ExpertTable,
    a: GpuTensor,
    out: GpuTensor,
    accumulate: boolean,
    over: BlockSum | null,
  ): void {
    const { calls, n, options: { round } } = this.context, { routing } = this;
    const input = this.inputs.of(a, null, quantizeFor(experts.first));
    launchExpertDownCombine(calls, entry, { experts, input, routing, out, round, accumulate, n, over });
  }

  /** The weighted sum of slot rows. */
  combine(y: GpuTensor, out: GpuTensor, accumulate: boolean): void {
    const { calls, n, options: { config, round }, workspace } = this.context;
    calls.launch("combine", {
      out: out.range,
      outStride: out.stride,
      y: y.range,
      yStride: y.stride,
      weights: workspace.routeWeights,
      width: out.width,
      topK: config.topK,
      round,
      accumulate,
      n,
    });
  }

  /** The weighted sum of slot rows, added to h, and the norm of what comes out. */
  #combineNorm(y: GpuTensor, h: GpuTensor, rows: SumRows): void {
    const { calls, n, options: { config, round }, workspace: { routeWeights: weights } } = this.context;
    const { in: from, normed, normedStride, first, firstStride, firstOrder } = normedArguments(rows);
    calls.launch("combineNorm", {
      ...{ h: h.range, stride: h.stride, y: y.range, yStride: y.stride, weights, topK: config.topK },
      ...{ in: from, normed, normedStride, first, firstStride, firstOrder, width: h.width, round, n },
    });
  }

  get routing(): Routing {
    const { workspace: { routeIds, routeWeights }, options: { firstExpert, config } } = this.context;
    return { ids: routeIds, weights: routeWeights, first: firstExpert, topK: config.topK };
  }

  /** The kernel of few tokens for the experts' weights, on matrix instructions where they passed. */
  #fewEntry(stem: "expert_up" | "expert_down_combine", first: GpuLinear): string {
    const { n, options: { matrixKernels } } = this.context, entry = `${stem}_${first.suffix}`;
    // The second reads early what was chosen.
    const one = n === 1 && (stem === "expert_up" || this.#waited) ? this.#oneEntry(stem, first) : null;
    if (stem === "expert_up") this.#waited = one !== null;
    return one ?? (matrixKernels.has(`${entry}_mma`) ? `${entry}_mma` : entry);
  }

  /** The kernel for one token, where it knows such experts. */
  #oneEntry(stem: "expert_up" | "expert_down_combine", first: GpuLinear): string | null {
    const { calls, options: { config, matrixKernels } } = this.context, one = forOne(`${stem}_${first.suffix}`);
    return matrixKernels.has(one) && oneKnows(calls, one, first, config.topK) ? one : null;
  }

  /** The matrix kernel for a batch that is not few tokens, whether or not it is among those that are used. */
  matrixEntry(first: GpuLinear): string {
    const { n, calls, options: { config } } = this.context;
    const batch = expertBatchEntry(first.suffix, n), walk = expertWalkEntry(first.suffix);
    const may = n <= WALK_TOKENS && this.context.batched(n, first, walk);
    if (may && walkKnows(calls, walk, first, n * config.topK)) return walk;
    return this.context.batched(n, first, batch) ? batch : this.context.manyEntry("expert_gemm", first);
  }

  /** Whether the experts read rows of numbers, and not codes, in a batch that is not few tokens. */
  readsNumbers(first: GpuLinear): boolean {
    return this.#scaled(first) === null;
  }

  /** The kernel that takes codes, where it is used. */
  #scaled(first: GpuLinear): string | null {
    const scaled = scaledEntry(first);
    return scaled !== null && this.context.options.matrixKernels.has(scaled) ? scaled : null;
  }

  /**
   * @param product `rows` of x, each of which `divisor` slot rows share. `early`: what was chosen was there before the
   *   launch ahead began.
   * @returns Whether the kernel waits for what was chosen before any launch after it can begin, unless `early`.
   */
  #gemm(
    experts: ExpertTable,
    { x, rows, divisor, early, out, round, swiglu }: Stored & {
      readonly x: GpuTensor;
      readonly rows: number;
      readonly divisor: number;
      readonly early: boolean;
      readonly swiglu: Swiglu;
    },
  ): boolean {
    const { calls, workspace: w, options: { config }, n } = this.context, { first } = experts;
    const scaled = this.#scaled(first), native = scaled !== null, matrix = this.matrixEntry(first);
    const common = { experts, divisor, routing: this.routing, out, round, swiglu, slotRows: n * config.topK };
    if (!native && matrix === expertWalkEntry(first.suffix)) {
      const rowsOfX = this.inputs.readOrPrepare(x, first, rows, matrix);
      launchExpertWalk(calls, matrix, { ...common, x: rowsOfX, early });
      return true;
    }
    const prepared = native ? this.inputs.quantize(x, first, rows) : this.inputs.prepare(x, null, first, rows, matrix);
    const entry = "codes" in prepared ? scaled! : prepared.bf16 ? matrix : `expert_gemm_${first.suffix}`;
    const { tokensPerBlock } = calls.kernels.traits(entry), sorted = this.#sortedFor === tokensPerBlock;
    this.#sortedFor = tokensPerBlock;
    const tiles = { sorted: w.sorted, offsets: w.expertOffsets, tiles: w.expertTiles, tileCount: w.expertTileCount };
    launchExpertGemm(calls, entry, { ...common, x: prepared, tiles, sorted });
    return false;
  }
}

/** The first rows of a tensor as bytes. */
function rowsOf(tensor: GpuTensor, rows: number): DeviceRange {
  return tensor.range.buffer.range(tensor.range.offset, 4 * rows * tensor.stride);
}
