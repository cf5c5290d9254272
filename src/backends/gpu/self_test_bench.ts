/** Runs a kernel with matrix instructions and the generic one on the same numbers, and compares what they give. */
import { PAGE_POSITIONS } from "../../model/pages.ts";
import { mlpStateWords, WALK_SLOT_ROWS } from "../../../kernels/abi/experts.ts";
import { NUMBER_FORMAT } from "../../../kernels/abi/types.ts";
import { type Cache, type CacheShape, type Input, NO_QUANTIZE, quantizeFor } from "./abi.ts";
import { writeLinear } from "./arguments.ts";
import { type Attention, ATTENTION_BATCH, launchBatchAttention, launchTiles } from "./attention.ts";
import type { Calls } from "./calls.ts";
import { orderOf, preparedStride } from "./inputs.ts";
import { expertWalkEntry } from "./batches.ts";
import { GIVEN_TOKENS, roomFor } from "./exchanged.ts";
import { normedArguments, withoutNorm } from "./exchange_rows.ts";
import { type Codes, codesIn, launchQdq, launchQuantize, type Prepared } from "./prepared.ts";
import { launchExpertMlp } from "./expert_mlp.ts";
import {
  forOne,
  launchBatch,
  launchExpertDownCombine,
  launchExpertGemm,
  launchExpertUp,
  launchExpertWalk,
  launchGemm,
  launchGive,
  scaledEntry,
} from "./products.ts";
import { COLS, ROWS, Samples } from "./self_test_samples.ts";
import type { ExpertTable, GpuLinear, GpuTensor, GpuVector } from "./tensors.ts";

const TOKENS = 75, EXPERTS = 3, TOP_K = 2;
/** Kernels of experts for few tokens, and for one, which takes whole pairs of blocks of columns. */
type FewKind = "mma" | "one";
const TOKENS_OF = { mma: 3, one: 1 } as const, COLS_OF = { mma: COLS, one: 192 } as const;
const HEADS_PER_KV = 8;
/** Elements of a head; the attention kernels that are tested know no other size. */
export const HEAD_DIM = 64;
/** FP8 scale of inputs below 2. */
const STATIC_SCALE = Math.fround(2 / 448);

/** Every method gives a normalized mean square error, of a kernel in the format of `like`. */
export class Bench implements Disposable {
  readonly #samples: Samples;

  constructor(readonly calls: Calls) {
    this.#samples = new Samples(calls);
  }

  /** Normalized mean square error of a dense linear by matrix instructions. */
  gemm(like: GpuLinear, entry: string): number {
    this.#samples.reset();
    const linear = this.#samples.linear(like),
      x = this.#samples.rows(TOKENS, COLS),
      prepared = this.#prepared(x, TOKENS, entry);
    const [expected, got] = [this.#samples.tensor(TOKENS, ROWS), this.#samples.tensor(TOKENS, ROWS)];
    const run = (out: GpuTensor, rows: Prepared) => {
      const how = { round: false, accumulate: false, n: TOKENS };
      launchGemm(this.calls, { linears: [linear], outs: [out], x: rows, ...how }, entry);
    };
    run(expected, { range: x.range, stride: x.stride, bf16: false, scales: null });
    run(got, prepared);
    return this.#samples.compare(expected, got, TOKENS);
  }

  /** The same of the kernel that gives a dense linear's rows to ranks, beside the one that writes them; of one rank. */
  give(like: GpuLinear, matrixEntry: string): number {
    this.#samples.reset();
    const linear = this.#samples.linear(like),
      x = this.#samples.rows(TOKENS, COLS),
      zeros = (bytes: number) => {
        const range = this.#samples.take(bytes);
        this.calls.fill(range);
        return range;
      };
    const [expected, got] = [this.#samples.tensor(TOKENS, ROWS), this.#samples.tensor(TOKENS, ROWS)];
    const rows = { linears: [linear], x: this.#prepared(x, TOKENS, matrixEntry), n: TOKENS };
    launchGemm(this.calls, { ...rows, outs: [expected], round: true, accumulate: false }, matrixEntry);
    const { givenBytes: room, givenTiles: tiles } = roomFor(TOKENS, ROWS);
    const [inboxes, marks] = [2 * room, 4 * tiles].map((bytes) => this.#samples.pointerTo(zeros(bytes)));
    const to = { inboxes: inboxes!, marks: marks!, rank: 0, ranks: 1, room, tiles };
    launchGive(this.calls, { ...rows, outs: [got] }, matrixEntry, to);
    const taken = { ...to, turns: zeros(4 * GIVEN_TOKENS), stop: zeros(4), phase: 3, round: true, n: TOKENS };
    const norms = normedArguments({ in: withoutNorm(got), normed: null, prepared: [] });
    this.calls.launch("exchangeGiven", { h: got.range, stride: got.stride, width: ROWS, ...taken, ...norms });
    return this.#samples.compare(expected, got, TOKENS);
  }

  /** The same of a kernel for batches. */
  batch(like: GpuLinear, entry: string): number {
    this.#samples.reset();
    const linear = this.#samples.linear(like), x = this.#samples.rows(TOKENS, COLS);
    const [expected, got] = [this.#samples.tensor(TOKENS, ROWS), this.#samples.tensor(TOKENS, ROWS)];
    const how = { linears: [linear], round: false, accumulate: false, n: TOKENS };
    const plain = { range: x.range, stride: x.stride, bf16: false, scales: null };
    launchGemm(this.calls, { ...how, outs: [expected], x: plain }, "");
    const tiles = Math.ceil(ROWS / 128) * TOKENS, counters = this.#samples.take(4 * tiles);
    this.calls.stream.fill(counters, 0);
    const sums = this.#samples.take(4 * 8 * Math.ceil(ROWS / 128) * 128 * 2 * TOKENS);
    launchBatch(this.calls, entry, { ...how, outs: [got], x: this.#prepared(x, TOKENS, entry) }, { sums, counters });
    return this.#samples.compare(expected, got, TOKENS);
  }

  /** The same of the experts' kernel, or of one for batches. */
  expertGemm(like: GpuLinear, entry: string): number {
    const { experts, x, ids, run } = this.#expertBench(like), { first } = experts;
    const plain = { range: x.range, stride: x.stride, bf16: false, scales: null };
    const expected = run(`expert_gemm_${first.suffix}`, plain);
    if (entry !== expertWalkEntry(first.suffix)) {
      const got = run(entry, this.#prepared(x, TOKENS, entry));
      return this.#samples.compare(expected, got, TOKENS * TOP_K);
    }
    const out = this.#samples.tensor(WALK_SLOT_ROWS, ROWS), slotRows = WALK_SLOT_ROWS;
    const how = { divisor: TOP_K, round: false, swiglu: null, slotRows, early: false };
    launchExpertWalk(this.calls, entry, { experts, x: plain, routing: { ids, first: 0 }, out, ...how });
    return this.#samples.compare(expected, out, slotRows);
  }

  /** The same of the experts' first kernel for few tokens, or for one. */
  expertUp(like: GpuLinear, kind: FewKind): number {
    const n = TOKENS_OF[kind], slotRows = n * TOP_K, { experts, ids, x } = this.#expertBench(like, COLS_OF[kind]);
    const run = (entry: string): GpuTensor => {
      const out = this.#samples.tensor(slotRows, ROWS), routing = { ids, first: 0, topK: TOP_K };
      const input = this.#plain(x);
      launchExpertUp(this.calls, entry, { experts, input, routing, out, round: false, swiglu: null, n });
      return out;
    };
    const entry = `expert_up_${like.suffix}`;
    return this.#samples.compare(run(entry), run(`${entry}_${kind}`), slotRows);
  }

  /** The same of their second, with the weighted sum. */
  expertDownCombine(like: GpuLinear, kind: FewKind): number {
    const n = TOKENS_OF[kind], { experts, ids, x } = this.#expertBench(like, COLS_OF[kind]);
    const weights = this.#samples.floats(Float32Array.from({ length: n * TOP_K }, () => this.#samples.random()));
    const run = (entry: string): GpuTensor => {
      const out = this.#samples.tensor(n, ROWS), routing = { ids, weights, first: 0, topK: TOP_K };
      const input = this.#plain(x), how = { round: false, accumulate: false, n };
      launchExpertDownCombine(this.calls, entry, { experts, input, routing, out, ...how });
      return out;
    };
    const entry = `expert_down_combine_${like.suffix}`;
    return this.#samples.compare(run(entry), run(`${entry}_${kind}`), n);
  }

  /**
   * The same of the kernel of both, whose numbers are those of the kernels of one token each.
   *
   * @param over "none": of the one for one of several ranks, with teams of warps.
   */
  expertMlp(like: GpuLinear, over: "none" | null): number {
    const inner = COLS_OF.one, up = this.#expertBench(like, inner, 2 * inner);
    const down = this.#tableOf(like, inner, ROWS), { ids } = up, routing = { ids, first: 0, topK: TOP_K };
    const weights = this.#samples.floats(Float32Array.from({ length: TOP_K }, () => this.#samples.random()));
    const swiglu = { alpha: 1.702, limit: 7 }, how = { round: true, n: 1 }, input = this.#plain(up.x);
    const activated = this.#samples.tensor(TOP_K, inner), expected = this.#samples.tensor(1, ROWS);
    const got = this.#samples.tensor(1, ROWS), first = forOne(`expert_up_${like.suffix}`);
    launchExpertUp(this.calls, first, { experts: up.experts, input, routing, out: activated, swiglu, ...how });
    const second = { experts: down, input: this.#plain(activated), routing: { ...routing, weights }, out: expected };
    const entry = forOne(`expert_down_combine_${like.suffix}`);
    launchExpertDownCombine(this.calls, entry, { ...second, accumulate: false, ...how });
    const state = this.#samples.take(4 * mlpStateWords(TOP_K, inner));
    this.calls.fill(state);
    const both = { up: up.experts, down, input, routing: { ...routing, weights }, swiglu, state, over };
    launchExpertMlp(this.calls, { ...both, out: got, accumulate: false });
    return this.#samples.compare(expected, got, 1);
  }

  /** The same of the experts' kernel that takes codes, for the input format of `like`. */
  scaledGemm(like: GpuLinear): number {
    const { x, run } = this.#expertBench(like);
    const scales = this.#samples.take(4 * TOKENS);
    // The generic kernel multiplies by the factor in its epilogue as well, so that both see the same numbers.
    const format = like.input.kind === "fp8_static" ? { ...like.input, scale: STATIC_SCALE } : like.input;
    const input = { ...this.#plain(x), ...quantizeFor({ input: format, multipliesCodes: true }) };
    const rows: Prepared = {
      range: this.#samples.take(4 * TOKENS * x.stride),
      stride: x.stride,
      bf16: false,
      scales: like.input.kind === "mx" ? null : scales,
    };
    launchQdq(this.calls, rows, input, COLS, TOKENS);
    const codes = codesIn(this.#samples.take(TOKENS * COLS * 2), TOKENS, COLS, like, scales);
    launchQuantize(this.calls, codes, input, COLS, TOKENS);
    return this.#samples.compare(run("expert_gemm_mxfp4", rows), run(scaledEntry(like)!, codes), TOKENS * TOP_K);
  }

  /** Experts of random weights. */
  #tableOf(like: GpuLinear, cols: number, rows: number): ExpertTable {
    const linears = Array.from({ length: EXPERTS }, () => this.#samples.linear(like, cols, rows));
    const records = this.#samples.device.createArguments();
    for (const linear of linears) writeLinear(records, linear);
    const range = this.#samples.take(records.bytes);
    this.calls.stream.uploadRecords(range, records);
    return { records: range, count: EXPERTS, first: linears[0]! };
  }

  /** Experts, rows of x, and a function that multiplies them. */
  #expertBench(like: GpuLinear, cols = COLS, rows = ROWS) {
    this.#samples.reset();
    const slotRows = TOKENS * TOP_K, experts = this.#tableOf(like, cols, rows);
    const ids = this.#samples.words(Int32Array.from({ length: slotRows }, (_, s) => (s * s + 1) % EXPERTS));
    const x = this.#samples.rows(TOKENS, cols);
    const tiles = {
      sorted: this.#samples.take(4 * slotRows),
      offsets: this.#samples.take(4 * (EXPERTS + 1)),
      tiles: this.#samples.take(8 * (slotRows + EXPERTS)),
      tileCount: this.#samples.take(4),
    };
    const run = (entry: string, rows: Prepared | Codes): GpuTensor => {
      const out = this.#samples.tensor(slotRows, ROWS);
      const routing = { ids, first: 0 }, how = { divisor: TOP_K, round: false, swiglu: null, slotRows };
      launchExpertGemm(this.calls, entry, { experts, x: rows, routing, tiles, out, ...how });
      return out;
    };
    return { experts, ids, x, run };
  }

  /** The same of attention to tiles of a sequence. */
  attention(like: CacheShape): number {
    return this.#attend(like, (attention, entry) => {
      const most = Math.max(1, Math.floor(this.calls.kernels.traits(entry).tokensPerBlock / HEADS_PER_KV));
      const list: number[] = [];
      for (let row = 0; row < TOKENS; row += most) list.push(row, Math.min(most, TOKENS - row));
      launchTiles(this.calls, entry, attention, this.#samples.words(Int32Array.from(list)), list.length / 2);
    }, "attention_tile_mma");
  }

  /** The same of attention to single tokens. */
  batchAttention(like: CacheShape): number {
    return this.#attend(like, (attention, entry) => {
      if (entry === ATTENTION_BATCH) return launchBatchAttention(this.calls, attention, null);
      launchTiles(this.calls, entry, attention, this.#samples.words(singleTiles(TOKENS)), TOKENS);
    }, ATTENTION_BATCH);
  }

  /** Attention with all keys and with a window over a cache of the model's format, beside `attention_tile`. */
  #attend(like: CacheShape, launch: (attention: Attention, entry: string) => void, entry: string): number {
    return Math.max(...[0, 24].map((window) => {
      this.#samples.reset();
      const kvHeads = 2, heads = kvHeads * HEADS_PER_KV;
      // Not in order, so that a kernel that takes them for neighbours shows.
      const pages = Int32Array.of(1, 2, 0), headStride = pages.length * PAGE_POSITIONS * HEAD_DIM * like.elementBytes;
      const cache: Cache = {
        ...like,
        ...{ heads, kvHeads, headStride, tableStride: pages.length, window },
        k: this.#samples.take(kvHeads * headStride),
        v: this.#samples.take(kvHeads * headStride),
        pages: this.#samples.words(pages),
        // Not powers of two, so that a factor in the wrong place shows.
        ...(like.format === NUMBER_FORMAT.fp8 ? { kScale: 0.011, vScale: 0.013 } : {}),
      };
      this.calls.stream.fill(cache.k, 0);
      this.calls.stream.fill(cache.v, 0);
      const q = this.#samples.rows(TOKENS, heads * HEAD_DIM), k = this.#samples.rows(TOKENS, kvHeads * HEAD_DIM);
      const v = this.#samples.rows(TOKENS, kvHeads * HEAD_DIM);
      const slots = this.#samples.words(new Int32Array(TOKENS));
      const positions = this.#samples.words(Int32Array.from({ length: TOKENS }, (_, t) => t));
      const sinks: GpuVector = {
        length: heads,
        range: this.#samples.floats(Float32Array.from({ length: heads }, () => this.#samples.random())),
        format: NUMBER_FORMAT.f32,
      };
      const keys = { k: k.range, kStride: k.stride }, values = { v: v.range, vStride: v.stride };
      this.calls.launch("store", { ...keys, ...values, cache, slots, positions, n: TOKENS });
      const run = (entry: string): GpuTensor => {
        const out = this.#samples.tensor(TOKENS, heads * HEAD_DIM);
        launch({ out, q, cache, slots, positions, sinks, round: false, n: TOKENS }, entry);
        return out;
      };
      return this.#samples.compare(run("attention_tile"), run(entry), TOKENS);
    }));
  }

  /** Rows as a matrix kernel reads them. */
  #prepared(x: GpuTensor, rows: number, entry: string): Prepared {
    const order = orderOf(entry), stride = preparedStride(x.width, order);
    const out: Prepared = {
      range: this.#samples.take(2 * rows * stride),
      stride,
      bf16: true,
      order,
      scales: null,
    };
    launchQdq(this.calls, out, this.#plain(x), x.width, rows);
    return out;
  }

  #plain(x: GpuTensor): Input {
    const nothing = { xRows: null, norm: null, normFormat: NUMBER_FORMAT.bf16, eps: 0, ...NO_QUANTIZE };
    return { x: x.range, xStride: x.stride, ...nothing, round: true };
  }

  [Symbol.dispose](): void {
    this.#samples[Symbol.dispose]();
  }
}

/** Tiles of one row each. */
function singleTiles(rows: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: 2 * rows }, (_, i) => i % 2 === 0 ? i / 2 : 1);
}
