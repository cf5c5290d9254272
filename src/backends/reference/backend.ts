/**
 * The operations of `backend.ts` in plain scalar TypeScript: the meaning of the other backends. Sums run in float64 and
 * are rounded to float32 (and to bfloat16 where the dtype is that) once, at the end.
 */
import type { ModelConfig } from "../../checkpoint/model_config.ts";
import { type RotaryTables, rotaryTables } from "../../model/yarn.ts";
import {
  type Backend,
  type BackendInfo,
  type Batch,
  cachePositions,
  type OpenRequest,
  type RankGroup,
  type RankPart,
} from "../../model/backend.ts";
import { attendHead } from "./attention.ts";
import { CacheHalf } from "./cache.ts";
import { combine } from "./combine.ts";
import { experts } from "./experts.ts";
import { dot, linear, prepareRow } from "./linear.ts";
import { rmsNorm } from "./rms_norm.ts";
import { rotate } from "./rotate.ts";
import { route } from "./route.ts";
import { swiglu } from "./swiglu.ts";
import { ReferenceTensor, type Round, rounding } from "./tensor.ts";
import { rowScale, type WeightFiles } from "./weight_files.ts";
import type { ReferenceLinear, ReferenceMatrix, ReferenceTree, ReferenceVector } from "./weights.ts";

const NO_BATCH: Batch = { ids: new Int32Array(0), slots: new Int32Array(0), positions: new Int32Array(0) };

/**
 * An opened model; see `backend.ts` of the folder above for what each operation means, and `open.ts` for how one is
 * made.
 */
export class ReferenceBackend<N extends string> implements Backend<N> {
  readonly name = "reference";
  readonly tensors: Readonly<Record<N, ReferenceTensor>>;
  readonly #config: ModelConfig;
  readonly #files: WeightFiles;
  readonly #part: RankPart | undefined;
  readonly #toBf16: boolean;
  /** (round) of the contract. */
  readonly #round: Round;
  /** Per layer. */
  readonly #keys: readonly CacheHalf[];
  readonly #values: readonly CacheHalf[];
  readonly #routeIds: Int32Array;
  readonly #routeWeights: Float32Array;
  #batch: Batch = NO_BATCH;
  #rotary: RotaryTables = { cos: new Float32Array(0), sin: new Float32Array(0) };

  constructor(
    request: OpenRequest<N>,
    readonly weights: ReferenceTree,
    files: WeightFiles,
    readonly info: BackendInfo,
  ) {
    const { config, source, maxTokens, slots, kvFormat } = request;
    this.#config = config;
    this.#files = files;
    this.#part = request.part;
    this.#toBf16 = request.dtype === "bf16";
    this.#round = rounding(request.dtype);
    const names = Object.keys(request.tensors) as N[];
    this.tensors = Object.fromEntries(names.map((name) => {
      const { rowsPerToken, width } = request.tensors[name];
      return [name, new ReferenceTensor(rowsPerToken * maxTokens, width)];
    })) as Record<N, ReferenceTensor>;
    const caches = (half: "k" | "v") =>
      source.tree.layers.map((layer, l) => {
        const capacity = cachePositions(request, l);
        return new CacheHalf({ slots, capacity, width: layer.k.weight.rows }, kvFormat, source.kvScales[l]![half]);
      });
    this.#keys = caches("k");
    this.#values = caches("v");
    this.#routeIds = new Int32Array(maxTokens * config.topK);
    this.#routeWeights = new Float32Array(maxTokens * config.topK);
  }

  get #n(): number {
    return this.#batch.ids.length;
  }

  begin(batch: Batch): void {
    this.#batch = batch;
    this.#rotary = rotaryTables(this.#config, batch.positions);
  }

  embed(out: ReferenceTensor, table: ReferenceMatrix): void {
    const start = this.#part?.vocabStart ?? 0;
    this.#batch.ids.forEach((id, t) => {
      const local = id - start;
      if (local < 0 || local >= table.rows) return void out.row(t).fill(0);
      const scale = rowScale(table.source, local);
      out.row(t).set(this.#files.row(table.source, local).map((value) => this.#round(value * scale)));
    });
  }

  rmsNorm(out: ReferenceTensor, x: ReferenceTensor, weight: ReferenceVector): void {
    for (let t = 0; t < this.#n; t++) {
      rmsNorm(out.row(t), x.row(t), weight.values, this.#config.rmsNormEps, this.#round);
    }
  }

  linear(outs: readonly ReferenceTensor[], x: ReferenceTensor, linears: readonly ReferenceLinear[]): void {
    linears.forEach((l, i) => linear(outs[i]!, x, this.#n, l, this.#files, this.#toBf16, this.#round));
  }

  rotate(q: ReferenceTensor, k: ReferenceTensor): void {
    const pairs = this.#config.headDim / 2;
    for (let t = 0; t < this.#n; t++) {
      const cos = this.#rotary.cos.subarray(t * pairs, (t + 1) * pairs);
      const sin = this.#rotary.sin.subarray(t * pairs, (t + 1) * pairs);
      rotate(q.row(t), cos, sin, this.#round);
      rotate(k.row(t), cos, sin, this.#round);
    }
  }

  store(layer: number, k: ReferenceTensor, v: ReferenceTensor): void {
    const { slots, positions } = this.#batch;
    for (let t = 0; t < this.#n; t++) {
      this.#keys[layer]!.store(slots[t]!, positions[t]!, k.row(t));
      this.#values[layer]!.store(slots[t]!, positions[t]!, v.row(t));
    }
  }

  attention(out: ReferenceTensor, q: ReferenceTensor, layer: number, sinks: ReferenceVector): void {
    const { headDim, sliding, slidingWindow } = this.#config;
    const keys = this.#keys[layer]!, values = this.#values[layer]!;
    const kvHeads = keys.sizes.width / headDim;
    // Counted from what is here: a rank has a part of the heads.
    const group = q.width / headDim / kvHeads;
    for (let t = 0; t < this.#n; t++) {
      const slot = this.#batch.slots[t]!, position = this.#batch.positions[t]!;
      const first = sliding[layer] ? Math.max(0, position - slidingWindow + 1) : 0;
      const visible = Array.from({ length: position - first + 1 }, (_, j) => first + j);
      for (let kv = 0; kv < kvHeads; kv++) {
        const part = (half: CacheHalf) =>
          visible.map((p) => half.row(slot, p).subarray(kv * headDim, (kv + 1) * headDim));
        const headKeys = part(keys), headValues = part(values);
        for (let head = kv * group; head < (kv + 1) * group; head++) {
          const query = q.row(t).subarray(head * headDim, (head + 1) * headDim);
          const result = out.row(t).subarray(head * headDim, (head + 1) * headDim);
          attendHead(result, query, headKeys, headValues, sinks.values[head]!, this.#round);
        }
      }
    }
  }

  add(h: ReferenceTensor, y: ReferenceTensor): void {
    for (let i = 0; i < this.#n * h.width; i++) h.values[i] = this.#round(h.values[i]! + y.values[i]!);
  }

  route(logits: ReferenceTensor): void {
    const { topK } = this.#config;
    for (let t = 0; t < this.#n; t++) {
      const chosen = route(logits.row(t), topK);
      this.#routeIds.set(chosen.experts, t * topK);
      this.#routeWeights.set(chosen.weights, t * topK);
    }
  }

  expertGateUp(out: ReferenceTensor, x: ReferenceTensor, gateUp: readonly ReferenceLinear[]): void {
    this.#experts(out, x, gateUp, this.#config.topK, this.#round);
  }

  swiglu(out: ReferenceTensor, z: ReferenceTensor): void {
    const { swigluAlpha, swigluLimit, topK } = this.#config;
    for (let s = 0; s < this.#n * topK; s++) swiglu(out.row(s), z.row(s), swigluAlpha, swigluLimit, this.#round);
  }

  expertDown(out: ReferenceTensor, a: ReferenceTensor, down: readonly ReferenceLinear[]): void {
    this.#experts(out, a, down, 1, Math.fround);
  }

  #experts(
    out: ReferenceTensor,
    x: ReferenceTensor,
    linears: readonly ReferenceLinear[],
    rowsPerInput: number,
    round: Round,
  ): void {
    const ids = this.#routeIds.subarray(0, this.#n * this.#config.topK);
    const rows = { ids, expertStart: this.#part?.expertStart ?? 0, rowsPerInput };
    experts(out, x, rows, linears, this.#files, this.#toBf16, round);
  }

  combine(out: ReferenceTensor, y: ReferenceTensor): void {
    const { topK } = this.#config;
    for (let t = 0; t < this.#n; t++) {
      const from = t * topK, to = from + topK;
      const rows = y.values.subarray(from * y.width, to * y.width);
      combine(out.row(t), rows, this.#routeWeights.subarray(from, to), this.#round);
    }
  }

  allReduce(x: ReferenceTensor, group: RankGroup): void {
    this.#part?.communicator.allReduce(x.values.subarray(0, this.#n * x.width), group, this.#toBf16);
  }

  logits(x: ReferenceTensor, head: ReferenceLinear, rows: Int32Array, into?: Float32Array): Float32Array {
    const result = into ?? new Float32Array(rows.length * head.rows);
    const inputs = Array.from(rows, (t) => prepareRow(x.row(t), head, this.#toBf16));
    this.#files.forEachRow(head.source, (r, weights) => {
      const weightScale = rowScale(head.source, r), bias = head.bias?.[r] ?? 0;
      inputs.forEach(({ values, scale }, i) => {
        result[i * head.rows + r] = dot(values, weights) * weightScale * scale + bias;
      });
    });
    return result;
  }

  copySlot(from: number, to: number, _length: number): void {
    // What lies after `length` is written before it is read.
    for (const half of [...this.#keys, ...this.#values]) half.copySlot(from, to);
  }

  read(tensor: ReferenceTensor, rows: number): Float32Array {
    return tensor.values.slice(0, rows * tensor.width);
  }

  write(tensor: ReferenceTensor, values: Float32Array): void {
    tensor.values.set(values);
  }

  readRouting(): { ids: Int32Array; weights: Float32Array } {
    const count = this.#n * this.#config.topK;
    return { ids: this.#routeIds.slice(0, count), weights: this.#routeWeights.slice(0, count) };
  }

  writeRouting(ids: Int32Array, weights: Float32Array): void {
    this.#routeIds.set(ids);
    this.#routeWeights.set(weights);
  }

  close(): Promise<void> {
    this.#files[Symbol.dispose]();
    return Promise.resolve();
  }
}
