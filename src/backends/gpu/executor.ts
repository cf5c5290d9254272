/**
 * Decides by which kernels a step is computed: vector kernels for few tokens, matrix kernels for many, matrix
 * instructions where the device has them and the numbers are bf16. Everything here may be recorded in a graph: sizes
 * are fixed, data comes from device memory.
 */
import type { DeviceRange } from "../../../ffi/runtime.ts";
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { Cache, Input, Quantize } from "./abi.ts";
import { GROUP_LINEARS, NO_QUANTIZE, quantizeFor } from "./abi.ts";
import type { Calls, Codes, Prepared, Swiglu } from "./calls.ts";
import type { Step } from "./operations.ts";
import { type ExpertTable, type GpuLinear, type GpuTensor, type GpuVector, samePreparation } from "./tensors.ts";
import { SPLIT_TOKENS, splitsFor, strideOf, type Workspace } from "./workspace.ts";

/**
 * Largest batch that vector kernels compute: above it the weights would be read more often than a matrix kernel takes.
 */
export const VECTOR_TOKENS = 8;

/** What the executor must know of the current batch. */
export interface BatchShape {
  readonly n: number;
  /** Whether no two tokens belong to one sequence. */
  readonly single: boolean;
  /** Pieces of sequences that attention tiles are made of: number of tiles in the workspace's list. */
  readonly attentionTiles: number;
  /** Where rotation angles are looked up. */
  readonly rotary: { readonly cos: DeviceRange; readonly sin: DeviceRange; readonly rows: DeviceRange };
}

/** Fixed choices of an opened backend. */
export interface ExecutorOptions {
  readonly config: ModelConfig;
  readonly context: number;
  /** 1: dtype bf16. */
  readonly round: number;
  /** Row of the whole vocabulary and expert that are this rank's first. */
  readonly firstId: number;
  readonly firstExpert: number;
  /** Entry points with matrix instructions that agreed with the generic ones on this device. */
  readonly matrixKernels: ReadonlySet<string>;
  /** Computes every token by the same kernels, however many there are. */
  readonly invariant: boolean;
}

export class Executor {
  #shape: BatchShape | null = null;
  /** What the prepared rows are of, so that two linears can share them. */
  #prepared:
    | { readonly x: GpuTensor; readonly norm: GpuVector | null; readonly key: string; readonly rows: Prepared }
    | null = null;

  readonly #unrounded = new Set<GpuTensor>();
  /** For measurements: which steps are launched; all unless set. */
  only: ((step: Step) => boolean) | null = null;

  constructor(
    readonly calls: Calls,
    readonly workspace: Workspace<string>,
    readonly options: ExecutorOptions,
  ) {}

  /** Says what the next steps work on. */
  begin(shape: BatchShape): void {
    this.#shape = shape;
    this.#prepared = null;
  }

  get #n(): number {
    return this.#shape!.n;
  }

  get #few(): boolean {
    return this.options.invariant || this.#n <= VECTOR_TOKENS;
  }

  /**
   * Says that a tensor got new contents from outside.
   *
   * @param rounded Whether they are numbers of the dtype, as those of all operations are that a linear reads.
   */
  changed(tensor: GpuTensor, rounded: boolean): void {
    if (this.#prepared?.x === tensor) this.#prepared = null;
    if (rounded) this.#unrounded.delete(tensor);
    else this.#unrounded.add(tensor);
  }

  /**
   * What a GEMM reads is rounded to the dtype, after QDQ if there is any; only tensors that were written from outside
   * may need it.
   */
  #roundInput(x: GpuTensor, { input }: GpuLinear): void {
    if (input.kind === "none" && this.#unrounded.delete(x)) this.calls.roundRows(x, x.rowsPerToken * this.#n);
  }

  /** Whether the norm before the router, the router and the choice are one kernel here. */
  canNormRoute(router: GpuLinear): boolean {
    return this.#few && router.input.kind === "none" && this.calls.fits(`norm_route_${router.suffix}`, router.cols);
  }

  /** Whether the experts' outputs are weighed and summed by the kernel that computes them. */
  canDownCombine(experts: ExpertTable): boolean {
    const { suffix, cols } = experts.first;
    return !this.#few || this.calls.fits(`expert_down_combine_${suffix}`, cols, this.options.config.topK);
  }

  run(step: Step): void {
    if (this.only?.(step) === false) return;
    const { calls, workspace: w } = this, { config, round } = this.options, n = this.#n;
    switch (step.kind) {
      case "embed":
        calls.embed(step.out, step.table, w.ids, this.options.firstId, round, n);
        break;
      case "rmsNorm":
        calls.rmsNorm(step.out, step.x, step.weight, config.rmsNormEps, round, n);
        break;
      case "linear":
        this.#linear(step.linears, step.outs, step.x, step.norm, step.accumulate);
        break;
      case "rotate": {
        const { cos, sin, rows } = this.#shape!.rotary;
        for (const x of [step.q, step.k]) calls.rotate(x, config.headDim, cos, sin, rows, round, n);
        break;
      }
      case "store":
        calls.store(step.k, step.v, this.#cache(step.layer), w.slots, w.positions, n);
        break;
      case "rotateStore": {
        const { cos, sin, rows } = this.#shape!.rotary, cache = this.#cache(step.layer);
        if (rows === w.positions) calls.rotateStore(step, cos, sin, cache, w.slots, w.positions, round, n);
        else {
          for (const x of [step.q, step.k]) calls.rotate(x, config.headDim, cos, sin, rows, round, n);
          calls.store(step.k, step.v, cache, w.slots, w.positions, n);
        }
        break;
      }
      case "attention":
        this.#attention(step.out, step.q, step.layer, step.sinks);
        break;
      case "add":
        calls.add(step.h, step.y, round, n);
        break;
      case "route":
        calls.route(step.logits, config.topK, w.routeIds, w.routeWeights, n);
        break;
      case "normRoute": {
        const input = this.#input(step.x, step.norm, NO_QUANTIZE);
        calls.normRoute(
          input,
          step.router,
          config.topK,
          step.normed,
          step.logits,
          w.routeIds,
          w.routeWeights,
          round,
          n,
        );
        break;
      }
      case "swiglu":
        calls.swiglu(step.out, step.z, config.swigluAlpha, config.swigluLimit, round, n * config.topK);
        break;
      case "expertGateUp":
        this.#expertUp(step.experts, step.x, step.out, step.swiglu);
        break;
      case "expertDown":
        this.#expertDown(step.experts, step.a, step.out);
        break;
      case "combine":
        calls.combine(step.out, step.y, w.routeWeights, config.topK, round, step.accumulate, n);
        break;
      case "expertDownCombine":
        this.#roundInput(step.a, step.experts.first);
        if (this.#few) {
          const input = this.#input(step.a, null, quantizeFor(step.experts.first));
          const entry = this.#fewEntry("expert_down_combine", step.experts.first);
          calls.expertDownCombine(entry, step.experts, input, this.#routing, step.out, round, step.accumulate, n);
        } else {
          this.#expertDown(step.experts, step.a, step.y);
          calls.combine(step.out, step.y, w.routeWeights, config.topK, round, step.accumulate, n);
        }
        break;
    }
    this.#forget(step);
  }

  /** Logits of rows of x that `workspace.rows` names, to `workspace.logits`. */
  logits(x: GpuTensor, head: GpuLinear, rows: number): void {
    const { calls, workspace: w } = this;
    this.#roundInput(x, head);
    const input = { ...this.#input(x, null, quantizeFor(head)), rows: w.rows };
    const out = { range: w.logits, stride: head.rows };
    calls.linear([head], [out], input, 0, false, rows, rows > 1 && this.#canFour(head));
  }

  /** Whether one pass over the weights can serve four rows. */
  #canFour({ suffix, cols }: GpuLinear): boolean {
    return this.calls.fits(`linear_${suffix}_x4`, cols);
  }

  get #routing(): { ids: DeviceRange; weights: DeviceRange; first: number; topK: number } {
    const { routeIds, routeWeights } = this.workspace;
    return { ids: routeIds, weights: routeWeights, first: this.options.firstExpert, topK: this.options.config.topK };
  }

  #cache(layer: number): Cache {
    return this.workspace.caches[layer]!;
  }

  #input(x: GpuTensor, norm: GpuVector | null, how: Quantize): Input {
    const { config, round } = this.options;
    return { x: x.range, stride: x.stride, rows: null, norm, eps: config.rmsNormEps, quantize: how, round };
  }

  #linear(
    linears: readonly GpuLinear[],
    outs: readonly GpuTensor[],
    x: GpuTensor,
    norm: GpuVector | null,
    accumulate: boolean,
  ): void {
    for (const group of groups(linears)) {
      if (!norm) this.#roundInput(x, linears[group[0]!]!);
      const members = group.map((i) => linears[i]!), targets = group.map((i) => outs[i]!);
      const [first] = members, { round } = this.options, n = this.#n;
      if (this.#few) {
        const four = n >= 4 && !this.options.invariant && this.#canFour(first!);
        this.calls.linear(members, targets, this.#input(x, norm, quantizeFor(first!)), round, accumulate, n, four);
      } else {
        const rows = this.#prepare(x, norm, first!, n, `gemm_${first!.suffix}_mma`);
        this.calls.gemm(members, targets, rows, round, accumulate, n);
      }
    }
  }

  /** The kernel of few tokens for the experts' weights, on matrix instructions where they passed. */
  #fewEntry(stem: "expert_up" | "expert_down_combine", { suffix }: GpuLinear): string {
    const entry = `${stem}_${suffix}`;
    return this.options.matrixKernels.has(`${entry}_mma`) ? `${entry}_mma` : entry;
  }

  #expertUp(experts: ExpertTable, x: GpuTensor, out: GpuTensor, fused: boolean): void {
    const { config, round } = this.options, n = this.#n;
    this.#roundInput(x, experts.first);
    const swiglu: Swiglu = fused ? { alpha: config.swigluAlpha, limit: config.swigluLimit } : null;
    // Rows of experts that other ranks have are zeros.
    if (experts.count < config.experts) this.calls.stream.fill(rowsOf(out, n * config.topK), 0);
    if (this.#few) {
      const input = this.#input(x, null, quantizeFor(experts.first));
      const entry = this.#fewEntry("expert_up", experts.first);
      return this.calls.expertUp(entry, experts, input, this.#routing, out, round, swiglu, n);
    }
    this.#expertGemm(experts, x, n, config.topK, out, round, swiglu);
  }

  #expertDown(experts: ExpertTable, a: GpuTensor, out: GpuTensor): void {
    const { config } = this.options, n = this.#n, slotRows = n * config.topK;
    this.#roundInput(a, experts.first);
    if (this.#few) {
      const input = this.#input(a, null, quantizeFor(experts.first));
      return this.calls.expertDown(experts, input, this.#routing, out, n);
    }
    if (experts.count < config.experts) this.calls.stream.fill(rowsOf(out, slotRows), 0);
    this.#expertGemm(experts, a, slotRows, 1, out, 0, null);
  }

  /** @param divisor Slot rows that share a row of x. */
  #expertGemm(
    experts: ExpertTable,
    x: GpuTensor,
    rows: number,
    divisor: number,
    out: GpuTensor,
    round: number,
    swiglu: Swiglu,
  ): void {
    const { calls, workspace: { routeIds } } = this, { config, firstExpert, matrixKernels } = this.options;
    const slotRows = this.#n * config.topK, { first } = experts;
    const scaled = scaledEntry(first);
    const native = scaled !== null && matrixKernels.has(scaled);
    const input = native
      ? this.#quantize(x, first, rows)
      : this.#prepare(x, null, first, rows, `expert_gemm_${first.suffix}_mma`);
    const entry = "codes" in input ? scaled! : `expert_gemm_${first.suffix}${input.bf16 ? "_mma" : ""}`;
    calls.expertSort(routeIds, slotRows, firstExpert, experts.count, calls.expertTileRows(entry), this.#tiles);
    calls.expertGemm(entry, experts, input, divisor, this.#tiles, out, round, swiglu, slotRows);
  }

  get #tiles() {
    const { sorted, expertOffsets, expertTiles, expertTileCount } = this.workspace;
    return { sorted, offsets: expertOffsets, tiles: expertTiles, count: expertTileCount };
  }

  /** Rows of x as codes, for the scaled matrix instructions. */
  #quantize(x: GpuTensor, linear: GpuLinear, rows: number): Codes {
    const { prepared, rowScales } = this.workspace;
    const out = codesIn(prepared, rows, x.width, linear, rowScales);
    this.calls.quantize(out, this.#input(x, null, quantizeFor({ ...linear, multipliesCodes: true })), x.width, rows);
    this.#prepared = null;
    return out;
  }

  /** Rows of x as a GEMM reads them. */
  #prepare(x: GpuTensor, norm: GpuVector | null, linear: GpuLinear, rows: number, matrixEntry: string): Prepared {
    const bf16 = this.options.matrixKernels.has(matrixEntry);
    const how = quantizeFor(linear);
    // A float32 GEMM reads activations as they are.
    if (!bf16 && !norm && how.kind === 0) return { range: x.range, stride: x.stride, bf16, scales: null };
    const key = [bf16, rows, how.kind, how.rule, how.scale].join(" ");
    if (this.#prepared?.x === x && this.#prepared.norm === norm && this.#prepared.key === key) {
      return this.#prepared.rows;
    }
    const { prepared, rowScales } = this.workspace;
    const into: Prepared = {
      range: prepared,
      stride: strideOf(x.width),
      bf16,
      scales: linear.multipliesCodes ? rowScales : null,
    };
    this.calls.qdq(into, this.#input(x, norm, how), x.width, rows);
    this.#prepared = { x, norm, key, rows: into };
    return into;
  }

  /** Prepared rows are of no use any more once their source changes. */
  #forget(step: Step): void {
    const x = this.#prepared?.x;
    if (!x) return;
    const out = "outs" in step
      ? step.outs
      : "out" in step
      ? [step.out]
      : "h" in step
      ? [step.h]
      : "q" in step
      ? [step.q]
      : [];
    if (out.includes(x) || step.kind === "normRoute") this.#prepared = null;
  }

  #attention(out: GpuTensor, q: GpuTensor, layer: number, sinks: GpuVector): void {
    const { calls, workspace: w } = this, { round, context, matrixKernels, invariant } = this.options, n = this.#n;
    const cache = this.#cache(layer), batch = { slots: w.slots, positions: w.positions };
    const { single, attentionTiles } = this.#shape!;
    if (cache.headDim !== 64 || invariant) return calls.attention(out, q, cache, batch, sinks, round, n, null);
    if (n <= SPLIT_TOKENS && (single || this.#few)) {
      const splits = splitsFor(context, cache.window);
      return calls.attentionSplit(out, q, cache, batch, sinks, w.partial, splits, round, n);
    }
    const entry = attentionEntry(matrixKernels);
    calls.attention(out, q, cache, batch, sinks, round, n, { entry, list: w.attentionTiles, count: attentionTiles });
  }
}

/**
 * The kernel that takes a linear's codes and its input's as they are, whether or not there is one; null for other
 * formats.
 */
export function scaledEntry({ format, input }: GpuLinear): string | null {
  if (format !== "mxfp4") return null;
  if (input.kind === "mx") return input.element === "e2m1" ? "expert_gemm_mxfp4_e2m1_mma" : null;
  return input.kind === "none" ? null : "expert_gemm_mxfp4_fp8_mma";
}

/** Places codes of rows, and behind them the blocks' scales, in a range. */
export function codesIn(
  range: DeviceRange,
  rows: number,
  width: number,
  { input }: GpuLinear,
  scales: DeviceRange,
): Codes {
  const { buffer, offset } = range, padded = strideOf(width);
  if (input.kind !== "mx") return { codes: range, stride: padded, blocks: null, blockStride: 0, scales };
  const stride = padded / 2, blockStride = padded / 32;
  const blocks = buffer.range(offset + Math.ceil(rows * stride / 256) * 256, rows * blockStride);
  return { codes: range, stride, blocks, blockStride, scales: null };
}

/** The kernel for many tokens of one sequence. */
export function attentionEntry(matrixKernels: ReadonlySet<string>): string {
  return matrixKernels.has("attention_tile_mma") ? "attention_tile_mma" : "attention_tile";
}

/** Indices of linears that one launch can compute: neighbours of one format that want the same input. */
function groups(linears: readonly GpuLinear[]): number[][] {
  const found: number[][] = [];
  linears.forEach((linear, i) => {
    const last = found.at(-1), first = last ? linears[last[0]!]! : null;
    const joins = first && last!.length < GROUP_LINEARS && first.suffix === linear.suffix &&
      samePreparation(first, linear);
    if (joins) last!.push(i);
    else found.push([i]);
  });
  return found;
}

/** The first rows of a tensor as bytes. */
function rowsOf(tensor: GpuTensor, rows: number): DeviceRange {
  return tensor.range.buffer.range(tensor.range.offset, 4 * rows * tensor.stride);
}
