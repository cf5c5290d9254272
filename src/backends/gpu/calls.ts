/**
 * Launches of single kernels: arguments in the order of kernels/ABI.md, grids from the launch traits. No decisions are
 * taken here.
 */
import { BLOCK, blocksOf } from "../../formats/format.ts";
import type { ArgumentWriter, DeviceRange, LaunchShape, Stream } from "../../../ffi/runtime.ts";
import { type Cache, type Input, writeCache, writeGroup, writeInput, writeLinear } from "./abi.ts";
import type { KernelSet, LoadedKernel } from "./kernels.ts";
import type { ExpertTable, GpuLinear, GpuMatrix, GpuTensor, GpuVector } from "./tensors.ts";

/** Rows that a kernel writes: a tensor or a part of the workspace. */
export interface Rows {
  readonly range: DeviceRange;
  /** Elements. */
  readonly stride: number;
}

/** Rows that `qdq` prepared for a GEMM. */
export interface Prepared extends Rows {
  readonly bf16: boolean;
  /** Factors of the epilogue, or null. */
  readonly scales: DeviceRange | null;
}

/** Rows that `quantize` made for the scaled matrix instructions: codes, and for MX a scale byte per block of 32. */
export interface Codes {
  readonly codes: DeviceRange;
  /** Bytes. */
  readonly stride: number;
  readonly blocks: DeviceRange | null;
  readonly blockStride: number;
  /** Factors of the epilogue, or null. */
  readonly scales: DeviceRange | null;
}

/** SwiGLU's constants, or null where it is not fused. */
export type Swiglu = { readonly alpha: number; readonly limit: number } | null;

/** The sorted slot rows of a batch. */
export interface ExpertTiles {
  readonly sorted: DeviceRange;
  readonly offsets: DeviceRange;
  readonly tiles: DeviceRange;
  readonly count: DeviceRange;
}

/** Which blocks of 256 threads fill a processor; more of them would only stage the same input again. */
const BLOCKS_PER_PROCESSOR = 8;
/** More than any kernel with rows in shared memory has there besides. */
const STATIC_SHARED_BYTES = 1024;
/** Dynamic shared memory that needs no permission. */
const SHARED_BYTES = 48 * 1024;

/** Puts kernels on a stream. */
export class Calls {
  readonly #args: ArgumentWriter;
  readonly #blocks: number;
  /** Largest dynamic shared memory that was permitted, by entry point. */
  readonly #permitted = new Map<string, number>();

  constructor(readonly stream: Stream, readonly kernels: KernelSet) {
    this.#args = kernels.device.createArguments();
    this.#blocks = BLOCKS_PER_PROCESSOR * kernels.device.properties.multiprocessors;
  }

  #begin(): ArgumentWriter {
    return this.#args.reset();
  }

  #launch(entry: string, grid: LaunchShape["grid"], cols = 0, ldsRows = 1): void {
    if (grid[0] === 0 || grid[1] === 0) return;
    const { kernel, traits } = this.kernels.get(entry);
    const sharedBytes = sharedBytesOf(traits, cols, ldsRows);
    if (sharedBytes > SHARED_BYTES && sharedBytes > (this.#permitted.get(entry) ?? 0)) {
      kernel.allowSharedBytes(sharedBytes);
      this.#permitted.set(entry, sharedBytes);
    }
    this.stream.launch(kernel, { grid, threads: traits.threads, sharedBytes }, this.#args);
  }

  #traits(entry: string): LoadedKernel["traits"] {
    return this.kernels.traits(entry);
  }

  embed(out: GpuTensor, table: GpuMatrix, ids: DeviceRange, firstId: number, round: number, n: number): void {
    this.#begin().pointer(out.range).i32(out.stride).pointer(table.range).i64(table.rowStride).i32(table.format)
      .pointer(ids).i32(out.width).i32(firstId).i32(table.rows).i32(round).i32(n);
    this.#launch("embed", [n, 1, 1]);
  }

  rmsNorm(out: GpuTensor, x: GpuTensor, weight: GpuVector, eps: number, round: number, n: number): void {
    this.#begin().pointer(out.range).i32(out.stride).pointer(x.range).i32(x.stride).pointer(null)
      .pointer(weight.range).i32(weight.format).i32(out.width).f32(eps).i32(round).i32(n);
    this.#launch("rms_norm", [n, 1, 1]);
  }

  /** @param rows Rows to prepare; `out` has `out.stride` elements a row, float32 or bf16. */
  qdq(out: Prepared, input: Input, width: number, rows: number): void {
    const a = this.#begin();
    a.pointer(out.bf16 ? null : out.range).i32(out.bf16 ? 0 : out.stride);
    a.pointer(out.bf16 ? out.range : null).i32(out.bf16 ? out.stride : 0).pointer(out.scales);
    writeInput(a, input);
    a.i32(width).i32(rows);
    this.#launch("qdq", [rows, 1, 1]);
  }

  /** Rounds rows to bf16 in place. */
  roundRows(x: GpuTensor, rows: number): void {
    this.#begin().pointer(x.range).i32(x.stride).i32(x.width).i32(rows);
    this.#launch("round_rows", [rows, 1, 1]);
  }

  /** Rows as codes; see {@linkcode Codes}. */
  quantize(out: Codes, input: Input, width: number, rows: number): void {
    const a = this.#begin().pointer(out.codes).i32(out.stride).pointer(out.blocks).i32(out.blockStride).pointer(
      out.scales,
    );
    writeInput(a, input);
    a.i32(width).i32(rows);
    this.#launch("quantize", [rows, 1, 1]);
  }

  add(h: GpuTensor, y: GpuTensor, round: number, n: number): void {
    this.#begin().pointer(h.range).i32(h.stride).pointer(y.range).i32(y.stride).i32(h.width).i32(round).i32(n);
    this.#launch("add", [n, 1, 1]);
  }

  swiglu(out: GpuTensor, z: GpuTensor, alpha: number, limit: number, round: number, rows: number): void {
    this.#begin().pointer(out.range).i32(out.stride).pointer(z.range).i32(z.stride).i32(out.width)
      .f32(alpha).f32(limit).i32(round).i32(rows);
    this.#launch("swiglu", [rows, 1, 1]);
  }

  combine(
    out: GpuTensor,
    y: GpuTensor,
    weights: DeviceRange,
    topK: number,
    round: number,
    accumulate: boolean,
    n: number,
  ): void {
    this.#begin().pointer(out.range).i32(out.stride).pointer(y.range).i32(y.stride).pointer(weights)
      .i32(out.width).i32(topK).i32(round).i32(accumulate ? 1 : 0).i32(n);
    this.#launch("combine", [n, 1, 1]);
  }

  rotate(
    x: GpuTensor,
    headDim: number,
    cos: DeviceRange,
    sin: DeviceRange,
    positions: DeviceRange,
    round: number,
    n: number,
  ): void {
    this.#begin().pointer(x.range).i32(x.stride).i32(x.width / headDim).i32(headDim).pointer(cos).pointer(sin)
      .pointer(positions).i32(round).i32(n);
    this.#launch("rotate", [n, 1, 1]);
  }

  store(k: GpuTensor, v: GpuTensor, cache: Cache, slots: DeviceRange, positions: DeviceRange, n: number): void {
    const a = this.#begin().pointer(k.range).i32(k.stride).pointer(v.range).i32(v.stride);
    writeCache(a, cache);
    a.pointer(slots).pointer(positions).i32(n);
    this.#launch("store", [n, 1, 1]);
  }

  rotateStore(
    { q, k, v }: { readonly q: GpuTensor; readonly k: GpuTensor; readonly v: GpuTensor },
    cos: DeviceRange,
    sin: DeviceRange,
    cache: Cache,
    slots: DeviceRange,
    positions: DeviceRange,
    round: number,
    n: number,
  ): void {
    const a = this.#begin().pointer(q.range).i32(q.stride).pointer(k.range).i32(k.stride).pointer(v.range).i32(v.stride)
      .pointer(cos).pointer(sin);
    writeCache(a, cache);
    a.pointer(slots).pointer(positions).i32(round).i32(n);
    this.#launch("rotate_store", [cache.heads + 2 * cache.kvHeads, n, 1]);
  }

  route(logits: GpuTensor, topK: number, ids: DeviceRange, weights: DeviceRange, n: number): void {
    this.#begin().pointer(logits.range).i32(logits.stride).i32(logits.width).i32(topK).pointer(ids).pointer(weights)
      .i32(n);
    this.#launch("route", [n, 1, 1]);
  }

  normRoute(
    input: Input,
    router: GpuLinear,
    topK: number,
    normed: GpuTensor | null,
    logits: GpuTensor | null,
    ids: DeviceRange,
    weights: DeviceRange,
    round: number,
    n: number,
  ): void {
    const a = this.#begin();
    writeInput(a, input);
    writeLinear(a, router);
    a.i32(topK).pointer(normed?.range ?? null).i32(normed?.stride ?? 0).pointer(logits?.range ?? null)
      .i32(logits?.stride ?? 0).pointer(ids).pointer(weights).i32(round).i32(n);
    this.#launch(`norm_route_${router.suffix}`, [n, 1, 1], router.cols);
  }

  /** Few rows; `four` reads each weight once for four rows. */
  linear(
    linears: readonly GpuLinear[],
    outs: readonly Rows[],
    input: Input,
    round: number,
    accumulate: boolean,
    rows: number,
    four = false,
  ): void {
    const { suffix, cols } = linears[0]!;
    const entry = `linear_${suffix}${four ? "_x4" : ""}`;
    const traits = this.#traits(entry);
    const a = this.#begin();
    writeGroup(a, linears, outs);
    writeInput(a, input);
    a.i32(round).i32(accumulate ? 1 : 0).i32(rows);
    const tiles = linears.reduce((sum, l) => sum + Math.ceil(l.rows / traits.rowsPerBlock), 0);
    this.#launch(entry, [Math.min(tiles, this.#blocks), Math.ceil(rows / traits.tokensPerBlock), 1], cols);
  }

  gemm(
    linears: readonly GpuLinear[],
    outs: readonly Rows[],
    x: Prepared,
    round: number,
    accumulate: boolean,
    n: number,
  ): void {
    const { suffix, cols } = linears[0]!;
    const entry = `gemm_${suffix}${x.bf16 ? "_mma" : ""}`;
    const traits = this.#traits(entry);
    const a = this.#begin();
    writeGroup(a, linears, outs);
    a.pointer(x.range).i32(x.stride).pointer(x.scales).i32(round).i32(accumulate ? 1 : 0).i32(n);
    const tiles = linears.reduce((sum, l) => sum + Math.ceil(l.rows / traits.rowsPerBlock), 0);
    this.#launch(entry, [tiles, Math.ceil(n / traits.tokensPerBlock), 1], cols);
  }

  /** @param entry `expert_up_F` or `expert_up_F_mma`. */
  expertUp(
    entry: string,
    experts: ExpertTable,
    input: Input,
    routing: { readonly ids: DeviceRange; readonly first: number; readonly topK: number },
    out: GpuTensor,
    round: number,
    swiglu: Swiglu,
    n: number,
  ): void {
    const { rows, cols } = experts.first;
    const a = this.#begin().pointer(experts.records);
    writeInput(a, input);
    a.pointer(routing.ids).i32(routing.first).i32(experts.count).i32(routing.topK).pointer(out.range).i32(out.stride)
      .i32(round).i32(swiglu ? 1 : 0).f32(swiglu?.alpha ?? 0).f32(swiglu?.limit ?? 0).i32(rows).i32(cols).i32(n);
    this.#launch(entry, [Math.ceil(rows / this.#traits(entry).rowsPerBlock), n * routing.topK, 1], cols);
  }

  expertDown(
    experts: ExpertTable,
    input: Input,
    routing: { readonly ids: DeviceRange; readonly first: number; readonly topK: number },
    out: GpuTensor,
    n: number,
  ): void {
    const { rows, cols, suffix } = experts.first, entry = `expert_down_${suffix}`;
    const a = this.#begin().pointer(experts.records);
    writeInput(a, input);
    a.pointer(routing.ids).i32(routing.first).i32(experts.count).i32(routing.topK).pointer(out.range).i32(out.stride)
      .i32(rows).i32(cols).i32(n);
    this.#launch(entry, [Math.ceil(rows / this.#traits(entry).rowsPerBlock), n * routing.topK, 1], cols);
  }

  /** @param entry `expert_down_combine_F` or `expert_down_combine_F_mma`. */
  expertDownCombine(
    entry: string,
    experts: ExpertTable,
    input: Input,
    routing: {
      readonly ids: DeviceRange;
      readonly weights: DeviceRange;
      readonly first: number;
      readonly topK: number;
    },
    out: GpuTensor,
    round: number,
    accumulate: boolean,
    n: number,
  ): void {
    const { rows, cols } = experts.first;
    const a = this.#begin().pointer(experts.records);
    writeInput(a, input);
    a.pointer(routing.ids).pointer(routing.weights).i32(routing.first).i32(experts.count).i32(routing.topK)
      .pointer(out.range).i32(out.stride).i32(round).i32(accumulate ? 1 : 0).i32(rows).i32(cols).i32(n);
    this.#launch(entry, [Math.ceil(rows / this.#traits(entry).rowsPerBlock), n, 1], cols, routing.topK);
  }

  /** Whether there is such a kernel, and `rows` input rows of `cols` columns fit the shared memory of a block. */
  fits(entry: string, cols: number, rows = 1): boolean {
    if (!this.kernels.has(entry)) return false;
    const most = this.kernels.device.properties.sharedBytesPerBlock - STATIC_SHARED_BYTES;
    return sharedBytesOf(this.#traits(entry), cols, rows) <= most;
  }

  expertSort(
    ids: DeviceRange,
    slotRows: number,
    first: number,
    count: number,
    tileRows: number,
    into: ExpertTiles,
  ): void {
    this.#begin().pointer(ids).i32(slotRows).i32(first).i32(count).i32(tileRows).pointer(into.sorted)
      .pointer(into.offsets).pointer(into.tiles).pointer(into.count);
    this.#launch("expert_sort", [1, 1, 1]);
  }

  /** Rows of one tile of an expert GEMM, which `expertSort` must know. */
  expertTileRows(entry: string): number {
    return this.#traits(entry).tokensPerBlock;
  }

  /**
   * @param entry `expert_gemm_F` for prepared rows, `expert_gemm_F_G_mma` for codes.
   * @param divisor Slot rows that share a row of x.
   */
  expertGemm(
    entry: string,
    experts: ExpertTable,
    x: Prepared | Codes,
    divisor: number,
    tiles: ExpertTiles,
    out: GpuTensor,
    round: number,
    swiglu: Swiglu,
    slotRows: number,
  ): void {
    const { rows, cols } = experts.first, traits = this.#traits(entry);
    const a = this.#begin().pointer(experts.records);
    if ("codes" in x) a.pointer(x.codes).i32(x.stride).pointer(x.blocks).i32(x.blockStride).pointer(x.scales);
    else a.pointer(x.range).i32(x.stride).pointer(x.scales);
    a.i32(divisor).pointer(tiles.sorted).pointer(tiles.offsets).pointer(tiles.tiles).pointer(tiles.count)
      .pointer(out.range).i32(out.stride).i32(round).i32(swiglu ? 1 : 0).f32(swiglu?.alpha ?? 0).f32(swiglu?.limit ?? 0)
      .i32(rows).i32(cols);
    const most = Math.ceil(slotRows / traits.tokensPerBlock) + experts.count;
    this.#launch(entry, [Math.ceil(rows / traits.rowsPerBlock), most, 1], cols);
  }

  attention(
    out: GpuTensor,
    q: GpuTensor,
    cache: Cache,
    batch: { readonly slots: DeviceRange; readonly positions: DeviceRange },
    sinks: GpuVector,
    round: number,
    n: number,
    tiles: { readonly entry: string; readonly list: DeviceRange; readonly count: number } | null,
  ): void {
    const a = this.#begin().pointer(out.range).i32(out.stride).pointer(q.range).i32(q.stride);
    writeCache(a, cache);
    a.pointer(batch.slots).pointer(batch.positions).pointer(sinks.range).i32(sinks.format).i32(round).i32(n);
    if (!tiles) return this.#launch("attention", [cache.heads, n, 1]);
    a.pointer(tiles.list).i32(tiles.count);
    this.#launch(tiles.entry, [tiles.count, cache.kvHeads, 1]);
  }

  attentionSplit(
    out: GpuTensor,
    q: GpuTensor,
    cache: Cache,
    batch: { readonly slots: DeviceRange; readonly positions: DeviceRange },
    sinks: GpuVector,
    partial: DeviceRange,
    splits: number,
    round: number,
    n: number,
  ): void {
    const a = this.#begin().pointer(partial).pointer(q.range).i32(q.stride);
    writeCache(a, cache);
    a.pointer(batch.slots).pointer(batch.positions).i32(splits).i32(n);
    // A block serves eight query heads of a kv head.
    const chunks = Math.ceil(cache.heads / cache.kvHeads / 8);
    this.#launch("attention_split", [splits, cache.kvHeads * chunks, n]);
    this.#begin().pointer(out.range).i32(out.stride).pointer(partial).pointer(sinks.range).i32(sinks.format)
      .i32(cache.heads).i32(cache.headDim).i32(splits).i32(round).i32(n);
    this.#launch("attention_reduce", [cache.heads, n, 1]);
  }

  argmax(logits: DeviceRange, stride: number, vocab: number, picked: DeviceRange, rows: number): void {
    this.#begin().pointer(logits).i64(stride).i32(vocab).pointer(picked).i32(rows);
    this.#launch("argmax", [rows, 1, 1]);
  }

  sample(
    logits: DeviceRange,
    stride: number,
    vocab: number,
    params: DeviceRange,
    uniforms: DeviceRange,
    uniformStride: number,
    positions: DeviceRange,
    picked: DeviceRange,
    rows: number,
  ): void {
    this.#begin().pointer(logits).i64(stride).i32(vocab).pointer(params).pointer(uniforms).i32(uniformStride)
      .pointer(positions).pointer(picked).i32(rows);
    this.#launch("sample", [rows, 1, 1]);
  }

  advance(
    ids: DeviceRange,
    positions: DeviceRange,
    picked: DeviceRange,
    history: DeviceRange,
    step: DeviceRange,
    capacity: number,
    n: number,
  ): void {
    this.#begin().pointer(ids).pointer(positions).pointer(picked).pointer(history).pointer(step).i32(capacity).i32(n);
    this.#launch("advance", [1, 1, 1]);
  }
}

function sharedBytesOf(traits: LoadedKernel["traits"], cols: number, rows: number): number {
  return traits.ldsFixed + rows * traits.ldsPerColumn * blocksOf(cols) * BLOCK;
}
