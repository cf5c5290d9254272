/** The operations of `backend.ts` on the WASM kernels: each writes a descriptor and lets the pool run the kernel. */
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import type { ModelTree } from "../../checkpoint/source.ts";
import { rotaryTables } from "../../model/yarn.ts";
import type { KvFormat } from "../../formats/format.ts";
import type { Backend, BackendInfo, Batch, OpenRequest, RankGroup, RankPart } from "../../model/backend.ts";
import type { Areas, EmulateTensor } from "./areas.ts";
import { HeadsTogether } from "./attention_units.ts";
import { copyCacheSlot, type LayerCache, layerCaches } from "./cache.ts";
import { Gemm } from "./gemm.ts";
import { Machine, wordAt } from "./machine.ts";
import { Picker } from "./picker.ts";
import type { ModelPlan } from "./plan.ts";
import type { Pool } from "./pool.ts";
import type { EmulateLinear, EmulateMatrix, EmulateVector } from "./weights.ts";

const CACHE_FORMAT: Record<KvFormat, number> = { bf16: 0, f32: 1, fp8: 3 };

/** Everything an {@linkcode EmulateBackend} is made of; see `open.ts`. */
export interface EmulateParts<N extends string> {
  readonly request: OpenRequest<N>;
  readonly areas: Areas<N>;
  readonly plan: ModelPlan;
  readonly memories: readonly WebAssembly.Memory[];
  readonly pool: Pool;
  readonly weights: ModelTree<EmulateMatrix, EmulateLinear, EmulateVector>;
  readonly info: BackendInfo;
  /** Gives back what the system need not keep once the backend is closed. */
  readonly letGo: () => Promise<void>;
  /** See {@linkcode Machine}. */
  readonly worthSharing?: number | undefined;
}

export class EmulateBackend<N extends string> implements Backend<N> {
  readonly name = "emulate";
  readonly tensors: Readonly<Record<N, EmulateTensor>>;
  readonly weights: ModelTree<EmulateMatrix, EmulateLinear, EmulateVector>;
  readonly info: BackendInfo;
  readonly #config: ModelConfig;
  readonly #areas: Areas<N>;
  readonly #machine: Machine;
  readonly #gemm: Gemm;
  readonly #picker: Picker;
  readonly picksGreedily = (head: EmulateLinear, rows: number): boolean => this.#picker.suits(head, rows);
  readonly #together: HeadsTogether;
  readonly #round: number;
  readonly #kvFormat: KvFormat;
  readonly #caches: readonly LayerCache[];
  readonly #part: RankPart | undefined;
  readonly #letGo: () => Promise<void>;
  /** Token ids of the current batch; ids of the whole vocabulary, also where a rank holds a part of it. */
  #ids: Int32Array = new Int32Array(0);

  constructor(parts: EmulateParts<N>) {
    const { request, areas, plan, memories } = parts;
    this.tensors = areas.tensors;
    this.weights = parts.weights;
    this.#letGo = parts.letGo;
    this.info = parts.info;
    this.#config = request.config;
    this.#areas = areas;
    this.#together = new HeadsTogether(areas.headsTogether);
    this.#round = request.dtype === "bf16" ? 1 : 0;
    this.#kvFormat = request.kvFormat;
    this.#caches = layerCaches(request, plan);
    this.#part = request.part;
    const descriptor = { address: areas.descriptor, words: areas.descriptorWords };
    this.#machine = new Machine(memories, parts.pool, descriptor, parts.worthSharing);
    this.#gemm = new Gemm(this.#machine, areas, request.config, request.part?.expertStart ?? 0, this.#round);
    this.#picker = new Picker(this.#machine, areas, this.#gemm, plan.keptDigits ?? 0);
  }

  begin(batch: Batch): void {
    this.#machine.begin(batch.ids.length);
    const { cos, sin } = rotaryTables(this.#config, batch.positions);
    const a = this.#areas;
    this.#ids = batch.ids;
    const start = this.#part?.vocabStart ?? 0, local = this.weights.embedding.rows;
    for (const { i32, f32 } of this.#machine.views) {
      // Ids that another rank owns read row 0; their rows are zeroed afterwards.
      batch.ids.forEach((id, t) => i32[wordAt(a.ids) + t] = id >= start && id < start + local ? id - start : 0);
      i32.set(batch.slots, wordAt(a.slots));
      i32.set(batch.positions, wordAt(a.positions));
      f32.set(cos, wordAt(a.cos));
      f32.set(sin, wordAt(a.sin));
    }
  }

  embed(out: EmulateTensor, table: EmulateMatrix): void {
    const a = this.#areas;
    this.#machine.describe(table.memory).begin(
      out.address,
      out.stride,
      table.weight,
      table.rowStride,
      table.format,
      a.ids,
      table.cols,
      this.#round,
    );
    if (table.rows > 0) this.#machine.run("embed", table.memory, this.#machine.n, table.cols);
    out.home = table.memory;
    const { f32 } = this.#machine.views[table.memory]!, start = this.#part?.vocabStart ?? 0;
    this.#ids.forEach((id, t) => {
      const at = wordAt(out.address) + t * out.stride;
      if (id < start || id >= start + table.rows) f32.fill(0, at, at + out.width);
    });
  }

  rmsNorm(out: EmulateTensor, x: EmulateTensor, weight: EmulateVector): void {
    const m = weight.memory;
    this.#machine.bring(x, m);
    this.#machine.describe(m)
      .begin(out.address, x.address, x.stride, x.width, weight.address, weight.format)
      .f32(this.#config.rmsNormEps)
      .u32(this.#round);
    this.#machine.run("rms_norm", m, this.#machine.n, x.width);
    out.home = m;
  }

  linear(outs: readonly EmulateTensor[], x: EmulateTensor, linears: readonly EmulateLinear[]): void {
    this.#gemm.linear(outs, x, linears);
  }

  rotate(q: EmulateTensor, k: EmulateTensor): void {
    const a = this.#areas, { headDim } = this.#config;
    for (const x of [q, k]) {
      this.#machine.describe(x.home)
        .begin(x.address, x.stride, x.width / headDim, headDim, a.cos, a.sin, this.#round);
      this.#machine.run("rotate", x.home, this.#machine.n, x.width);
    }
  }

  store(layer: number, k: EmulateTensor, v: EmulateTensor): void {
    const a = this.#areas, g = this.#caches[layer]!, m = g.memory;
    const halves = [[k, g.keys, g.scales.k], [v, g.values, g.scales.v]] as const;
    for (const [x, cache, factor] of halves) {
      this.#machine.bring(x, m);
      this.#machine.describe(m).begin(
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
      this.#machine.run("store", m, this.#machine.n, x.width);
    }
  }

  attention(out: EmulateTensor, q: EmulateTensor, layer: number, sinks: EmulateVector): void {
    const a = this.#areas, g = this.#caches[layer]!, m = g.memory;
    const { headDim, sliding, slidingWindow } = this.#config, heads = q.width / headDim;
    const together = this.#together.of(heads, this.#machine.n, this.#machine.threads);
    this.#machine.bring(q, m);
    this.#machine.describe(m).begin(
      out.address,
      out.stride,
      q.address,
      q.stride,
      g.keys,
      g.values,
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
    ).f32(g.scales.k).f32(g.scales.v).f32(1 / Math.sqrt(headDim)).u32(this.#round, together);
    // Tokens see different numbers of keys; the last token's is an upper bound.
    const keys = Math.min(this.#machine.views[m]!.i32[wordAt(a.positions) + this.#machine.n - 1]! + 1, g.capacity);
    this.#machine.run("attention", m, this.#machine.n * heads / together, 2 * headDim * keys * together);
    out.home = m;
  }

  add(h: EmulateTensor, y: EmulateTensor): void {
    const m = h.home;
    this.#machine.bring(y, m);
    this.#machine.describe(m).begin(h.address, y.address, h.stride, h.width, this.#round);
    this.#machine.run("add", m, this.#machine.n, h.width);
  }

  route(logits: EmulateTensor): void {
    const { experts, topK } = this.#config, a = this.#areas;
    this.#machine.describe(logits.home).begin(logits.address, logits.stride, experts, topK, a.routeIds, a.routeWeights);
    this.#machine.run("route", logits.home, this.#machine.n, experts * topK);
    this.#routing = logits.home;
    this.#gemm.sorted.forget();
  }
  /** Memory that holds the current routing. */
  #routing = 0;

  expertGateUp(out: EmulateTensor, x: EmulateTensor, gateUp: readonly EmulateLinear[]): void {
    this.#gemm.expertLinear(out, x, gateUp, this.#machine.n, this.#config.topK, this.#round);
  }

  swiglu(out: EmulateTensor, z: EmulateTensor): void {
    const { swigluAlpha, swigluLimit } = this.#config;
    this.#machine.describe(z.home).begin(out.address, out.stride, z.address, z.stride, out.width)
      .f32(swigluAlpha).f32(swigluLimit).u32(this.#round);
    // An exponential costs some ten multiply-adds.
    this.#machine.run("swiglu", z.home, this.#machine.n * this.#config.topK, 16 * out.width);
    out.home = z.home;
  }

  expertDown(out: EmulateTensor, a: EmulateTensor, down: readonly EmulateLinear[]): void {
    this.#gemm.expertLinear(out, a, down, this.#machine.n * this.#config.topK, 1, 0);
  }

  combine(out: EmulateTensor, y: EmulateTensor): void {
    const { topK } = this.#config;
    this.#machine.describe(y.home).begin(
      out.address,
      out.stride,
      y.address,
      y.stride,
      out.width,
      topK,
      this.#areas.routeWeights,
      this.#round,
    );
    this.#machine.run("combine", y.home, this.#machine.n, topK * out.width);
    out.home = y.home;
  }

  allReduce(x: EmulateTensor, group: RankGroup): void {
    if (!this.#part) return;
    this.#part.communicator.allReduce(this.#machine.current(x), group, this.#round === 1);
  }

  logits(x: EmulateTensor, head: EmulateLinear, rows: Int32Array, into?: Float32Array): Float32Array {
    return this.#gemm.logits(x, head, rows, into);
  }

  likeliest(head: EmulateLinear, rows: number): Int32Array {
    return this.#picker.ofLogits(head, rows);
  }

  greedy(x: EmulateTensor, head: EmulateLinear, rows: Int32Array): Int32Array | undefined {
    return this.#picker.pick(x, head, rows);
  }

  copySlot(from: number, to: number, length: number): void {
    for (const cache of this.#caches) {
      const kept = Math.min(length, cache.capacity) * this.#config.headDim * cache.elementBytes;
      copyCacheSlot(this.#machine.views[cache.memory]!.u8, cache, from, to, kept);
    }
  }

  read(tensor: EmulateTensor, rows: number): Float32Array {
    const { f32 } = this.#machine.views[tensor.home]!;
    const out = new Float32Array(rows * tensor.width);
    for (let r = 0; r < rows; r++) {
      const at = wordAt(tensor.address) + r * tensor.stride;
      out.set(f32.subarray(at, at + tensor.width), r * tensor.width);
    }
    return out;
  }

  write(tensor: EmulateTensor, values: Float32Array): void {
    const { f32 } = this.#machine.views[tensor.home]!;
    for (let r = 0; r * tensor.width < values.length; r++) {
      f32.set(values.subarray(r * tensor.width, (r + 1) * tensor.width), wordAt(tensor.address) + r * tensor.stride);
    }
  }

  readRouting(): { ids: Int32Array; weights: Float32Array } {
    const { i32, f32 } = this.#machine.views[this.#routing]!,
      a = this.#areas,
      count = this.#machine.n * this.#config.topK;
    return {
      ids: i32.slice(wordAt(a.routeIds), wordAt(a.routeIds) + count),
      weights: f32.slice(wordAt(a.routeWeights), wordAt(a.routeWeights) + count),
    };
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    for (const { i32, f32 } of this.#machine.views) {
      i32.set(ids, wordAt(this.#areas.routeIds));
      f32.set(weights, wordAt(this.#areas.routeWeights));
    }
    this.#gemm.sorted.forget();
  }

  close(): Promise<void> {
    this.#machine.close();
    return this.#letGo();
  }
}
