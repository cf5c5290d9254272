/** The operations of `backend.ts` on the WASM kernels: each writes a descriptor and lets the pool run the kernel. */
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { ModelTree } from "../../checkpoint/source.ts";
import { rotaryTables } from "../../model/yarn.ts";
import type { Dtype, KvFormat } from "../../quant/format.ts";
import type { Backend, BackendInfo, Batch, OpenRequest, RankGroup, RankPart } from "../backend.ts";
import { type Areas, type EmulateTensor, padded } from "./areas.ts";
import { type CacheGeometry, cacheGeometry } from "./cache.ts";
import type { KernelName } from "./control.ts";
import { DescriptorWriter } from "./descriptor.ts";
import type { ModelPlan } from "./plan.ts";
import type { Pool } from "./pool.ts";
import type { EmulateLinear, EmulateMatrix, EmulateVector } from "./weights.ts";

/** Output rows of one unit of the `linear` kernel. */
const LINEAR_TILE = 8;
/** Multiply-adds below which waking other threads costs more than it saves (a wake is some 5 us, a core makes some 5 per ns). */
const WORTH_SHARING = 24_000;

const CACHE_FORMAT: Record<KvFormat, number> = { bf16: 0, f32: 1, fp8: 3 };
const MX_KIND = { e2m1: 1, e3m2: 2, e2m3: 3 } as const;

/** Everything an {@linkcode EmulateBackend} is made of; see `open.ts`. */
export interface EmulateParts<N extends string> {
  readonly request: OpenRequest<N>;
  readonly areas: Areas<N>;
  readonly plan: ModelPlan;
  readonly memories: readonly WebAssembly.Memory[];
  readonly pool: Pool;
  readonly weights: ModelTree<EmulateMatrix, EmulateLinear, EmulateVector>;
  readonly info: BackendInfo;
}

/** Typed views of one memory. */
interface Views {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly f32: Float32Array;
  readonly descriptor: DescriptorWriter;
}

export class EmulateBackend<N extends string> implements Backend<N> {
  readonly name = "emulate";
  readonly tensors: Readonly<Record<N, EmulateTensor>>;
  readonly weights: ModelTree<EmulateMatrix, EmulateLinear, EmulateVector>;
  readonly info: BackendInfo;
  readonly #config: ModelConfig;
  readonly #areas: Areas<N>;
  readonly #plan: ModelPlan;
  readonly #pool: Pool;
  readonly #views: readonly Views[];
  readonly #round: number;
  readonly #kvFormat: KvFormat;
  readonly #kvScales: readonly { readonly k: number; readonly v: number }[];
  readonly #caches: readonly CacheGeometry[];
  readonly #part: RankPart | undefined;
  readonly #perExpert: Int32Array;
  /** Tokens of the current batch, and their ids in the whole vocabulary. */
  #n = 0;
  #ids: Int32Array = new Int32Array(0);

  constructor(parts: EmulateParts<N>) {
    const { request, areas, plan, memories } = parts;
    this.tensors = areas.tensors;
    this.weights = parts.weights;
    this.info = parts.info;
    this.#config = request.config;
    this.#areas = areas;
    this.#plan = plan;
    this.#pool = parts.pool;
    this.#round = roundFlag(request.dtype);
    this.#kvFormat = request.kvFormat;
    this.#kvScales = request.source.kvScales;
    this.#caches = plan.memoryOfLayer.map((_, layer) => cacheGeometry(request, layer));
    this.#part = request.part;
    this.#perExpert = new Int32Array(request.config.experts + 1);
    this.#views = memories.map(({ buffer }) => ({
      u8: new Uint8Array(buffer),
      i32: new Int32Array(buffer),
      f32: new Float32Array(buffer),
      descriptor: new DescriptorWriter(buffer, areas.descriptor, areas.descriptorWords),
    }));
  }

  begin(batch: Batch): void {
    this.#n = batch.ids.length;
    const { cos, sin } = rotaryTables(this.#config, batch.positions);
    const a = this.#areas;
    this.#ids = batch.ids;
    const start = this.#part?.vocabStart ?? 0, local = this.weights.embedding.rows;
    for (const { i32, f32 } of this.#views) {
      // Ids that another rank owns read row 0 and are zeroed after.
      batch.ids.forEach((id, t) => i32[(a.ids >> 2) + t] = id >= start && id < start + local ? id - start : 0);
      i32.set(batch.slots, a.slots >> 2);
      i32.set(batch.positions, a.positions >> 2);
      f32.set(cos, a.cos >> 2);
      f32.set(sin, a.sin >> 2);
    }
  }

  embed(out: EmulateTensor, table: EmulateMatrix): void {
    const a = this.#areas;
    this.#describe(table.memory).begin(
      out.address,
      out.stride,
      table.weight,
      table.rowStride,
      table.format,
      a.ids,
      table.cols,
      this.#round,
    );
    if (table.rows > 0) this.#run("embed", table.memory, this.#n, table.cols);
    out.home = table.memory;
    const { f32 } = this.#views[table.memory]!, start = this.#part?.vocabStart ?? 0;
    this.#ids.forEach((id, t) => {
      const at = (out.address >> 2) + t * out.stride;
      if (id < start || id >= start + table.rows) f32.fill(0, at, at + out.width);
    });
  }

  rmsNorm(out: EmulateTensor, x: EmulateTensor, weight: EmulateVector): void {
    const m = weight.memory;
    this.#bring(x, m);
    this.#describe(m)
      .begin(out.address, x.address, x.stride, x.width, weight.address, weight.format)
      .f32(this.#config.rmsNormEps)
      .u32(this.#round);
    this.#run("rms_norm", m, this.#n, x.width);
    out.home = m;
  }

  linear(outs: readonly EmulateTensor[], x: EmulateTensor, linears: readonly EmulateLinear[]): void {
    // Linears that want the same input format share one prepared input and one pass over the threads.
    for (let from = 0; from < linears.length;) {
      const first = linears[from]!;
      let to = from + 1;
      while (to < linears.length && sameInput(first, linears[to]!)) to++;
      const m = first.memory;
      this.#bring(x, m);
      const scales = this.#prepare(first, x, this.#n);
      const d = this.#describe(m).begin(to - from);
      let units = 0, work = 0;
      for (let i = from; i < to; i++) {
        const w = linears[i]!, out = outs[i]!;
        this.#record(d, w, out, this.#n, 0, 0, scales, this.#round, units);
        units += Math.ceil(w.rows / LINEAR_TILE);
        work += w.rows * w.cols * this.#n;
        out.home = m;
      }
      this.#run("linear", m, units, work / Math.max(1, units));
      from = to;
    }
  }

  rotate(q: EmulateTensor, k: EmulateTensor): void {
    const a = this.#areas, { headDim } = this.#config;
    for (const x of [q, k]) {
      const d = this.#describe(x.home);
      d.begin(x.address, x.stride, x.width / headDim, headDim, a.cos, a.sin, this.#round);
      this.#run("rotate", x.home, this.#n, x.width);
    }
  }

  store(layer: number, k: EmulateTensor, v: EmulateTensor): void {
    const m = this.#plan.memoryOfLayer[layer]!,
      a = this.#areas,
      g = this.#caches[layer]!,
      scale = this.#kvScales[layer]!;
    const base = this.#cacheAddress(layer);
    const halves = [[k, base, scale.k], [v, base + g.halfBytes, scale.v]] as const;
    for (const [x, cache, factor] of halves) {
      this.#bring(x, m);
      this.#describe(m).begin(
        x.address,
        x.stride,
        cache,
        CACHE_FORMAT[this.#kvFormat],
        g.slotBytes,
        g.headBytes,
        g.capacity,
        this.#config.headDim,
        g.kvHeads,
        a.slots,
        a.positions,
      ).f32(factor);
      this.#run("store", m, this.#n, x.width);
    }
  }

  attention(out: EmulateTensor, q: EmulateTensor, layer: number, sinks: EmulateVector): void {
    const m = this.#plan.memoryOfLayer[layer]!,
      a = this.#areas,
      g = this.#caches[layer]!,
      scale = this.#kvScales[layer]!;
    const { headDim, sliding, slidingWindow } = this.#config;
    const heads = q.width / headDim, base = this.#cacheAddress(layer);
    this.#bring(q, m);
    this.#describe(m).begin(
      out.address,
      out.stride,
      q.address,
      q.stride,
      base,
      base + g.halfBytes,
      CACHE_FORMAT[this.#kvFormat],
      g.slotBytes,
      g.headBytes,
      g.capacity,
      sliding[layer] ? slidingWindow : 0,
      heads,
      g.kvHeads,
      headDim,
      a.slots,
      a.positions,
      sinks.address,
      sinks.format,
    ).f32(scale.k).f32(scale.v).f32(1 / Math.sqrt(headDim)).u32(this.#round);
    // The visible length differs by token; the last one's bounds it.
    const keys = Math.min(this.#views[m]!.i32[(a.positions >> 2) + this.#n - 1]! + 1, g.capacity);
    this.#run("attention", m, this.#n * heads, 2 * headDim * keys);
    out.home = m;
  }

  add(h: EmulateTensor, y: EmulateTensor): void {
    const m = h.home;
    this.#bring(y, m);
    this.#describe(m).begin(h.address, y.address, h.stride, h.width, this.#round);
    this.#run("add", m, this.#n, h.width);
  }

  route(logits: EmulateTensor): void {
    const { experts, topK } = this.#config, a = this.#areas;
    this.#describe(logits.home).begin(logits.address, logits.stride, experts, topK, a.routeIds, a.routeWeights);
    this.#run("route", logits.home, this.#n, experts * topK);
    this.#routing = logits.home;
  }
  /** Memory that holds the current routing. */
  #routing = 0;

  expertGateUp(out: EmulateTensor, x: EmulateTensor, gateUp: readonly EmulateLinear[]): void {
    this.#experts(out, x, gateUp, this.#n, this.#config.topK, this.#round);
  }

  swiglu(out: EmulateTensor, z: EmulateTensor): void {
    const { swigluAlpha, swigluLimit } = this.#config;
    this.#describe(z.home).begin(out.address, out.stride, z.address, z.stride, out.width)
      .f32(swigluAlpha).f32(swigluLimit).u32(this.#round);
    // An exponential costs some ten multiply-adds.
    this.#run("swiglu", z.home, this.#n * this.#config.topK, 16 * out.width);
    out.home = z.home;
  }

  expertDown(out: EmulateTensor, a: EmulateTensor, down: readonly EmulateLinear[]): void {
    this.#experts(out, a, down, this.#n * this.#config.topK, 1, 0);
  }

  combine(out: EmulateTensor, y: EmulateTensor): void {
    const { topK } = this.#config;
    this.#describe(y.home).begin(
      out.address,
      out.stride,
      y.address,
      y.stride,
      out.width,
      topK,
      this.#areas.routeWeights,
      this.#round,
    );
    this.#run("combine", y.home, this.#n, topK * out.width);
    out.home = y.home;
  }

  allReduce(x: EmulateTensor, group: RankGroup): void {
    if (!this.#part) return;
    const at = x.address >> 2;
    const values = this.#views[x.home]!.f32.subarray(at, at + this.#n * x.stride);
    this.#part.communicator.allReduce(values, group, this.#round === 1);
  }

  logits(x: EmulateTensor, head: EmulateLinear, rows: Int32Array, into?: Float32Array): Float32Array {
    const m = head.memory, a = this.#areas, vocab = head.rows;
    const f32 = this.#views[m]!.f32;
    this.#bring(x, m);
    const result = into ??
      (rows.length <= a.logitRows
        ? f32.subarray(a.logits >> 2, (a.logits >> 2) + rows.length * vocab)
        : new Float32Array(rows.length * vocab));
    for (let from = 0; from < rows.length; from += a.logitRows) {
      const count = Math.min(a.logitRows, rows.length - from);
      const width = padded(head.cols);
      for (let i = 0; i < count; i++) {
        const row = x.address + 4 * x.stride * rows[from + i]!;
        this.#prepareRows(head, a.prepared + 4 * width * i, a.rowScales + 4 * i, row, x.stride, 1);
      }
      const d = this.#describe(m).begin(1);
      const out = { address: a.logits, stride: vocab };
      const scales = scalesInEpilogue(head) ? a.rowScales : 0;
      this.#record(d, head, out, count, 0, 0, scales, 0, 0);
      this.#run("linear", m, Math.ceil(head.rows / LINEAR_TILE), head.cols * LINEAR_TILE * count);
      if (into || rows.length > a.logitRows) {
        result.set(f32.subarray(a.logits >> 2, (a.logits >> 2) + count * vocab), from * vocab);
      }
    }
    return result;
  }

  copySlot(from: number, to: number, length: number): void {
    this.#caches.forEach((g, layer) => {
      const { u8 } = this.#views[this.#plan.memoryOfLayer[layer]!]!;
      const kept = Math.min(length, g.capacity) * this.#config.headDim * g.elementBytes;
      for (const half of [0, g.halfBytes]) {
        for (let head = 0; head < g.kvHeads; head++) {
          const at = this.#cacheAddress(layer) + half + head * g.headBytes;
          u8.copyWithin(at + to * g.slotBytes, at + from * g.slotBytes, at + from * g.slotBytes + kept);
        }
      }
    });
  }

  read(tensor: EmulateTensor, rows: number): Float32Array {
    const { f32 } = this.#views[tensor.home]!;
    const out = new Float32Array(rows * tensor.width);
    for (let r = 0; r < rows; r++) {
      const at = (tensor.address >> 2) + r * tensor.stride;
      out.set(f32.subarray(at, at + tensor.width), r * tensor.width);
    }
    return out;
  }

  write(tensor: EmulateTensor, values: Float32Array): void {
    const { f32 } = this.#views[tensor.home]!;
    for (let r = 0; r * tensor.width < values.length; r++) {
      f32.set(values.subarray(r * tensor.width, (r + 1) * tensor.width), (tensor.address >> 2) + r * tensor.stride);
    }
  }

  readRouting(): { ids: Int32Array; weights: Float32Array } {
    const { i32, f32 } = this.#views[this.#routing]!, a = this.#areas, count = this.#n * this.#config.topK;
    return {
      ids: i32.slice(a.routeIds >> 2, (a.routeIds >> 2) + count),
      weights: f32.slice(a.routeWeights >> 2, (a.routeWeights >> 2) + count),
    };
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    for (const { i32, f32 } of this.#views) {
      i32.set(ids, this.#areas.routeIds >> 2);
      f32.set(weights, this.#areas.routeWeights >> 2);
    }
  }

  close(): Promise<void> {
    this.#pool.close();
    return Promise.resolve();
  }

  /**
   * One GEMM of all chosen experts: tokens are grouped by expert, so that an expert's rows are decoded once for all its tokens.
   *
   * @param rows Rows of x to prepare.
   * @param shared Slot rows that share one row of x: topK for gate_up (x is per token), 1 for down.
   */
  #experts(
    out: EmulateTensor,
    x: EmulateTensor,
    experts: readonly EmulateLinear[],
    rows: number,
    shared: number,
    round: number,
  ): void {
    const first = experts[0], a = this.#areas;
    const expertStart = this.#part?.expertStart ?? 0;
    const m = first?.memory ?? x.home;
    out.home = m;
    if (!first) return this.#zero(out);
    this.#bring(x, m);
    const scales = this.#prepare(first, x, rows);
    const { i32 } = this.#views[m]!;
    const slotRows = this.#n * this.#config.topK;
    const ids = a.routeIds >> 2, xRows = a.rowLists >> 2, outRows = xRows + slotRows;

    // Counting sort of the slot rows by local expert; ascending rows within an expert. Rows of other ranks' experts stay zero.
    const ends = this.#perExpert.fill(0);
    const owned = (s: number): number => {
      const e = i32[ids + s]! - expertStart;
      return e < experts.length ? e : -1;
    };
    if (experts.length < this.#config.experts) this.#zero(out);
    for (let s = 0; s < slotRows; s++) if (owned(s) >= 0) ends[owned(s) + 1]!++;
    for (let e = 0; e < experts.length; e++) ends[e + 1]! += ends[e]!;
    for (let s = 0; s < slotRows; s++) {
      const e = owned(s);
      if (e < 0) continue;
      const at = ends[e]!++;
      i32[xRows + at] = shared === 1 ? s : Math.floor(s / shared);
      i32[outRows + at] = s;
    }
    // `ends[e]` is now the end of expert e; its start is the end of the one before.
    const d = this.#describe(m).begin(0);
    let records = 0, units = 0;
    for (let e = 0, from = 0; e < experts.length; e++) {
      const to = ends[e]!;
      if (to > from) {
        const w = experts[e]!;
        this.#record(d, w, out, to - from, 4 * (xRows + from), 4 * (outRows + from), scales, round, units);
        units += Math.ceil(w.rows / LINEAR_TILE);
        records++;
      }
      from = to;
    }
    i32[a.descriptor >> 2] = records;
    this.#run("linear", m, units, first.cols * LINEAR_TILE * slotRows / Math.max(1, records));
  }

  /** Zeros the slot rows of the current batch. */
  #zero(out: EmulateTensor): void {
    const at = out.address >> 2;
    this.#views[out.home]!.f32.fill(0, at, at + this.#n * out.rowsPerToken * out.stride);
  }

  /**
   * Prepares the first `rows` rows of x as the input of a linear.
   *
   * @returns Address of the rows' scales where the epilogue must apply them, else 0.
   */
  #prepare(linear: EmulateLinear, x: EmulateTensor, rows: number): number {
    const { prepared, rowScales } = this.#areas;
    this.#prepareRows(linear, prepared, rowScales, x.address, x.stride, rows);
    return scalesInEpilogue(linear) ? rowScales : 0;
  }

  #prepareRows(linear: EmulateLinear, out: number, rowScales: number, x: number, stride: number, rows: number): void {
    const { input, cols, memory } = linear;
    let kind = 0, rule = 0, scale = 0;
    if (input.kind === "mx") {
      kind = MX_KIND[input.element];
      rule = input.rule === "floor" ? 1 : 0;
    } else if (input.kind === "fp8_static") {
      kind = 4;
      scale = input.scale;
    } else if (input.kind === "fp8_token") kind = 5;
    this.#describe(memory).begin(out, padded(cols), x, stride, cols, kind, rule).f32(scale)
      .u32(this.#round, scalesInEpilogue(linear) ? rowScales : 0);
    this.#run("prepare", memory, rows, 4 * cols);
  }

  /** One record of the `linear` kernel. */
  #record(
    d: DescriptorWriter,
    w: EmulateLinear,
    out: { readonly address: number; readonly stride: number },
    n: number,
    xRows: number,
    outRows: number,
    xScales: number,
    round: number,
    firstUnit: number,
  ): void {
    d.u32(w.format, w.transposed, w.rows, w.cols, w.weight, w.rowStride, w.scale, w.scaleStride, w.scaleKind);
    d.u32(w.bias, w.biasFormat, this.#areas.prepared, padded(w.cols), out.address, out.stride, n, xRows, outRows);
    d.u32(xScales, round, firstUnit, 0, 0, 0);
  }

  #describe(memory: number): DescriptorWriter {
    return this.#views[memory]!.descriptor;
  }

  #cacheAddress(layer: number): number {
    return this.#plan.memories[this.#plan.memoryOfLayer[layer]!]!.caches.get(layer)!;
  }

  /** Makes the tensor's current contents available in a memory. */
  #bring(tensor: EmulateTensor, memory: number): void {
    if (tensor.home === memory) return;
    const at = tensor.address >> 2;
    const count = this.#n * tensor.rowsPerToken * tensor.stride;
    this.#views[memory]!.f32.set(this.#views[tensor.home]!.f32.subarray(at, at + count), at);
    tensor.home = memory;
  }

  /** @param workPerUnit Estimated multiply-adds of one unit; decides whether other threads are woken. */
  #run(kernel: KernelName, memory: number, units: number, workPerUnit: number): void {
    const descriptor = this.#areas.descriptor;
    if (units * workPerUnit < WORTH_SHARING) this.#pool.runHere(kernel, memory, descriptor, units);
    else this.#pool.run(kernel, memory, descriptor, units);
  }
}

const roundFlag = (dtype: Dtype): number => dtype === "bf16" ? 1 : 0;

/** FP8 weights with FP8 inputs multiply codes; both scales are applied to the sum. Everywhere else the input is dequantized first. */
const scalesInEpilogue = (linear: EmulateLinear): boolean =>
  linear.scaleKind >= 2 && (linear.input.kind === "fp8_static" || linear.input.kind === "fp8_token");

function sameInput(left: EmulateLinear, right: EmulateLinear): boolean {
  if (scalesInEpilogue(left) !== scalesInEpilogue(right)) return false;
  const a = left.input, b = right.input;
  if (a.kind !== b.kind) return false;
  if (a.kind === "mx" && b.kind === "mx") return a.element === b.element && a.rule === b.rule;
  if (a.kind === "fp8_static" && b.kind === "fp8_static") return a.scale === b.scale;
  return true;
}
