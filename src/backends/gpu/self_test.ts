/**
 * Kernels with matrix instructions are only used after they agreed, on this very device, with the generic kernels:
 * their layouts of registers differ between architectures, and a wrong one still gives fluent text. Takes some
 * milliseconds at start-up.
 */
import { isMxFormat } from "../../formats/format.ts";
import type { DeviceRange, GpuDevice, PinnedBuffer } from "../../../ffi/runtime.ts";
import { float32ToBf16 } from "../../formats/bf16.ts";
import { type Cache, type Input, NO_QUANTIZE, quantizeFor, writeLinear } from "./abi.ts";
import type { Calls, Codes, ExpertTiles, Prepared } from "./calls.ts";
import { codesIn, scaledEntry } from "./executor.ts";
import { downloadFloats, uploadFloats } from "./staging.ts";
import {
  type ExpertTable,
  type GpuLinear,
  type GpuTensor,
  type GpuTree,
  type GpuVector,
  NUMBER_FORMAT,
} from "./tensors.ts";

/** Which matrix kernels may be used. */
export interface SelfTest {
  readonly accepted: ReadonlySet<string>;
  /** Entry points that gave something else than the generic ones. */
  readonly rejected: readonly string[];
}

/**
 * Tolerated sum of squared differences, in parts of the sum of squares: what another order of sums, and another
 * exponential, may change.
 */
const MAX_NMSE = { gemm: 1e-8, attention: 1e-6 } as const;

/** Sizes that leave the last tile of every kernel incomplete. */
const TOKENS = 75, FEW = 3, ROWS = 144, COLS = 192, EXPERTS = 3, TOP_K = 2;
const HEADS_PER_KV = 8, HEAD_DIM = 64;
/** FP8 scale of inputs below 2. */
const STATIC_SCALE = Math.fround(2 / 448);

/** Tests the matrix kernels that a model's weights would use. */
export function matrixKernels(calls: Calls, weights: GpuTree, cache: Cache | undefined): SelfTest {
  const dense = new Map<string, GpuLinear>(), expert = new Map<string, GpuLinear>();
  for (const { q, k, v, o, router, gateUp, down } of weights.layers) {
    for (const l of [q, k, v, o, router]) dense.set(l.suffix, l);
    for (const l of [gateUp[0], down[0]]) if (l) expert.set(l.suffix, l);
  }
  const expertInputs = new Map(
    weights.layers.flatMap(({ gateUp, down }) => [gateUp[0], down[0]])
      .filter((l) => l !== undefined && scaledEntry(l) !== null).map((l) => [scaledEntry(l!), l!]),
  ).values();
  const accepted = new Set<string>(), rejected: string[] = [];
  const judge = (entry: string, limit: number, nmse: () => number) => {
    if (!calls.kernels.has(entry)) return;
    // Not `> limit`, which NaN would pass.
    if (nmse() <= limit) accepted.add(entry);
    else rejected.push(entry);
  };
  using bench = new Bench(calls);
  for (const [suffix, like] of dense) judge(`gemm_${suffix}_mma`, MAX_NMSE.gemm, () => bench.gemm(like));
  for (const [suffix, like] of expert) judge(`expert_gemm_${suffix}_mma`, MAX_NMSE.gemm, () => bench.expertGemm(like));
  for (const [suffix, like] of expert) {
    if (!calls.kernels.has(`expert_up_${suffix}_mma`)) continue;
    judge(`expert_up_${suffix}_mma`, MAX_NMSE.gemm, () => bench.expertUp(like));
    judge(`expert_down_combine_${suffix}_mma`, MAX_NMSE.gemm, () => bench.expertDownCombine(like));
  }
  for (const like of expertInputs) judge(scaledEntry(like)!, MAX_NMSE.gemm, () => bench.scaledGemm(like));
  // No matrix kernel reads a float32 cache.
  if (cache?.headDim === HEAD_DIM && cache.format !== NUMBER_FORMAT.f32) {
    judge("attention_tile_mma", MAX_NMSE.attention, () => bench.attention(cache));
  }
  return { accepted, rejected };
}

/** Bytes of the memory that the tests share; each test begins anew at its start. */
const ARENA_BYTES = 4 * 2 ** 20;

class Bench implements Disposable {
  readonly #device: GpuDevice;
  readonly #staging: PinnedBuffer;
  readonly #arena: DeviceRange;
  #used = 0;
  #state = 1;

  constructor(readonly calls: Calls) {
    this.#device = calls.kernels.device;
    this.#staging = this.#device.allocatePinned(2 ** 20);
    this.#arena = this.#device.allocate(ARENA_BYTES).range();
  }

  /** Normalized mean square error of a dense linear by matrix instructions. */
  gemm(like: GpuLinear): number {
    this.#used = 0;
    const linear = this.#linear(like), x = this.#rows(TOKENS, COLS), prepared = this.#prepared(x, TOKENS);
    const [expected, got] = [this.#tensor(TOKENS, ROWS), this.#tensor(TOKENS, ROWS)];
    this.calls.gemm(
      [linear],
      [expected],
      { range: x.range, stride: x.stride, bf16: false, scales: null },
      0,
      false,
      TOKENS,
    );
    this.calls.gemm([linear], [got], prepared, 0, false, TOKENS);
    return this.#compare(expected, got, TOKENS);
  }

  /** The same of the experts' kernel. */
  expertGemm(like: GpuLinear): number {
    const { experts, x, run } = this.#expertBench(like);
    const plain = { range: x.range, stride: x.stride, bf16: false, scales: null };
    const expected = run(`expert_gemm_${experts.first.suffix}`, plain);
    const got = run(`expert_gemm_${experts.first.suffix}_mma`, this.#prepared(x, TOKENS));
    return this.#compare(expected, got, TOKENS * TOP_K);
  }

  /** The same of the experts' first kernel for few tokens. */
  expertUp(like: GpuLinear): number {
    const { experts, ids, x } = this.#expertBench(like), slotRows = FEW * TOP_K;
    const run = (entry: string): GpuTensor => {
      const out = this.#tensor(slotRows, ROWS), routing = { ids, first: 0, topK: TOP_K };
      this.calls.expertUp(entry, experts, this.#plain(x), routing, out, 0, null, FEW);
      return out;
    };
    const entry = `expert_up_${like.suffix}`;
    return this.#compare(run(entry), run(`${entry}_mma`), slotRows);
  }

  /** The same of their second, with the weighted sum. */
  expertDownCombine(like: GpuLinear): number {
    const { experts, ids, x } = this.#expertBench(like);
    const weights = this.#floats(Float32Array.from({ length: FEW * TOP_K }, () => this.#random()));
    const run = (entry: string): GpuTensor => {
      const out = this.#tensor(FEW, ROWS), routing = { ids, weights, first: 0, topK: TOP_K };
      this.calls.expertDownCombine(entry, experts, this.#plain(x), routing, out, 0, false, FEW);
      return out;
    };
    const entry = `expert_down_combine_${like.suffix}`;
    return this.#compare(run(entry), run(`${entry}_mma`), FEW);
  }

  /** The same of the experts' kernel that takes codes, for the input format of `like`. */
  scaledGemm(like: GpuLinear): number {
    const { x, run } = this.#expertBench(like);
    const scales = this.#take(4 * TOKENS);
    // The generic kernel multiplies by the factor in its epilogue as well, so that both see the same numbers.
    const format = like.input.kind === "fp8_static" ? { ...like.input, scale: STATIC_SCALE } : like.input;
    const input = { ...this.#plain(x), quantize: quantizeFor({ input: format, multipliesCodes: true }) };
    const rows: Prepared = {
      range: this.#take(4 * TOKENS * x.stride),
      stride: x.stride,
      bf16: false,
      scales: like.input.kind === "mx" ? null : scales,
    };
    this.calls.qdq(rows, input, COLS, TOKENS);
    const codes = codesIn(this.#take(TOKENS * COLS * 2), TOKENS, COLS, like, scales);
    this.calls.quantize(codes, input, COLS, TOKENS);
    return this.#compare(run("expert_gemm_mxfp4", rows), run(scaledEntry(like)!, codes), TOKENS * TOP_K);
  }

  /** Experts, rows of x, and a function that multiplies them. */
  #expertBench(like: GpuLinear) {
    this.#used = 0;
    const slotRows = TOKENS * TOP_K;
    const linears = Array.from({ length: EXPERTS }, () => this.#linear(like));
    const records = this.#device.createArguments();
    for (const linear of linears) writeLinear(records, linear);
    const range = this.#take(records.bytes);
    this.calls.stream.uploadRecords(range, records);
    const experts: ExpertTable = { records: range, count: EXPERTS, first: linears[0]! };
    const ids = this.#words(Int32Array.from({ length: slotRows }, (_, s) => (s * s + 1) % EXPERTS));
    const x = this.#rows(TOKENS, COLS);
    const tiles: ExpertTiles = {
      sorted: this.#take(4 * slotRows),
      offsets: this.#take(4 * (EXPERTS + 1)),
      tiles: this.#take(8 * (slotRows + EXPERTS)),
      count: this.#take(4),
    };
    const run = (entry: string, rows: Prepared | Codes): GpuTensor => {
      const out = this.#tensor(slotRows, ROWS);
      this.calls.expertSort(ids, slotRows, 0, EXPERTS, this.calls.expertTileRows(entry), tiles);
      this.calls.expertGemm(entry, experts, rows, TOP_K, tiles, out, 0, null, slotRows);
      return out;
    };
    return { experts, ids, x, run };
  }

  /** The same of attention, with all keys and with a window, over a cache of the model's format. */
  attention(like: Cache): number {
    return Math.max(...[0, 24].map((window) => {
      this.#used = 0;
      const kvHeads = 2, heads = kvHeads * HEADS_PER_KV, capacity = 128;
      const headStride = capacity * HEAD_DIM * like.elementBytes, slotStride = kvHeads * headStride;
      const cache: Cache = {
        ...like,
        ...{ heads, kvHeads, capacity, headStride, slotStride, window },
        keys: this.#take(slotStride),
        values: this.#take(slotStride),
        // Not powers of two, so that a factor in the wrong place shows.
        ...(like.format === NUMBER_FORMAT.fp8 ? { keyScale: 0.011, valueScale: 0.013 } : {}),
      };
      this.calls.stream.fill(cache.keys, 0);
      this.calls.stream.fill(cache.values, 0);
      const q = this.#rows(TOKENS, heads * HEAD_DIM), k = this.#rows(TOKENS, kvHeads * HEAD_DIM);
      const v = this.#rows(TOKENS, kvHeads * HEAD_DIM);
      const slots = this.#words(new Int32Array(TOKENS));
      const positions = this.#words(Int32Array.from({ length: TOKENS }, (_, t) => t));
      const sinks: GpuVector = {
        length: heads,
        range: this.#floats(Float32Array.from({ length: heads }, () => this.#random())),
        format: NUMBER_FORMAT.f32,
      };
      this.calls.store(k, v, cache, slots, positions, TOKENS);
      const run = (entry: string): GpuTensor => {
        const out = this.#tensor(TOKENS, heads * HEAD_DIM);
        const most = Math.max(1, Math.floor(this.calls.kernels.traits(entry).tokensPerBlock / HEADS_PER_KV));
        const list: number[] = [];
        for (let row = 0; row < TOKENS; row += most) list.push(row, Math.min(most, TOKENS - row));
        const tiles = { entry, list: this.#words(Int32Array.from(list)), count: list.length / 2 };
        this.calls.attention(out, q, cache, { slots, positions }, sinks, 0, TOKENS, tiles);
        return out;
      };
      return this.#compare(run("attention_tile"), run("attention_tile_mma"), TOKENS);
    }));
  }

  /** A linear of random weights in the format of another one. */
  #linear(like: GpuLinear): GpuLinear {
    const { format, suffix } = like, transposed = suffix.endsWith("_t");
    const [lines, numbers] = transposed ? [COLS, ROWS] : [ROWS, COLS];
    const rowStride = ROW_BYTES[format](numbers);
    const bytes = new Uint8Array(lines * rowStride);
    if (format === "bf16") {
      new Uint16Array(bytes.buffer).forEach((_, i, all) => all[i] = float32ToBf16(this.#random()));
    } else if (format === "f32") new Float32Array(bytes.buffer).forEach((_, i, all) => all[i] = this.#random());
    else bytes.forEach((_, i) => bytes[i] = this.#next() & CODE_MASK[format]);
    const isMx = isMxFormat(format);
    const scales = Uint8Array.from({ length: ROWS * COLS / 32 }, () => 125 + this.#next() % 4);
    return {
      ...like,
      rows: ROWS,
      cols: COLS,
      rowStride,
      weight: this.#bytes(bytes),
      scale: isMx ? this.#bytes(scales) : null,
      scaleStride: isMx ? COLS / 32 : 0,
      tensorScale: 1,
      bias: this.#floats(Float32Array.from({ length: ROWS }, () => this.#random())),
      biasFormat: NUMBER_FORMAT.f32,
    };
  }

  /** Rows of random bf16 numbers as float32. */
  #rows(rows: number, width: number): GpuTensor {
    const tensor = this.#tensor(rows, width), word = new Uint32Array(1), float = new Float32Array(word.buffer);
    const values = Float32Array.from({ length: rows * tensor.stride }, () => {
      word[0] = float32ToBf16(this.#random()) << 16;
      return float[0]!;
    });
    uploadFloats(this.calls.stream, this.#staging, tensor.range, values);
    return tensor;
  }

  #prepared(x: GpuTensor, rows: number): Prepared {
    const out: Prepared = { range: this.#take(2 * rows * x.stride), stride: x.stride, bf16: true, scales: null };
    this.calls.qdq(out, this.#plain(x), x.width, rows);
    return out;
  }

  #plain(x: GpuTensor): Input {
    return { x: x.range, stride: x.stride, rows: null, norm: null, eps: 0, quantize: NO_QUANTIZE, round: 1 };
  }

  #tensor(rows: number, width: number): GpuTensor {
    const stride = Math.ceil(width / 32) * 32, range = this.#take(4 * rows * stride);
    this.calls.stream.fill(range, 0);
    return { name: "self-test", rows, rowsPerToken: 1, width, stride, range };
  }

  #compare(a: GpuTensor, b: GpuTensor, rows: number): number {
    const read = (t: GpuTensor) => downloadFloats(this.calls.stream, this.#staging, t.range, rows * t.stride);
    const x = read(a), y = read(b);
    let squares = 0, error = 0;
    for (let i = 0; i < x.length; i++) {
      squares += x[i]! ** 2;
      error += (x[i]! - y[i]!) ** 2;
    }
    return error / squares;
  }

  #take(bytes: number): DeviceRange {
    const range = this.#arena.buffer.range(this.#used, bytes);
    this.#used = Math.ceil((this.#used + bytes) / 256) * 256;
    return range;
  }

  #bytes(bytes: Uint8Array<ArrayBuffer>): DeviceRange {
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    return this.#floats(new Float32Array(padded.buffer));
  }

  #words(values: Int32Array<ArrayBuffer>): DeviceRange {
    return this.#floats(new Float32Array(values.buffer));
  }

  #floats(values: Float32Array): DeviceRange {
    const range = this.#take(values.byteLength);
    uploadFloats(this.calls.stream, this.#staging, range, values);
    return range;
  }

  /** Pseudo-random 16 bits; always the same sequence. */
  #next(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state >>> 16;
  }

  /** A number of about that of an activation, in [-2, 2). */
  #random(): number {
    return this.#next() / 16384 - 2;
  }

  [Symbol.dispose](): void {
    this.#arena.buffer[Symbol.dispose]();
    this.#staging[Symbol.dispose]();
  }
}

/** Bytes of a stored row of so many numbers. */
const ROW_BYTES = {
  bf16: (n: number) => 2 * n,
  f16: (n: number) => 2 * n,
  f32: (n: number) => 4 * n,
  mxfp4: (n: number) => n / 2,
  mxfp6_e3m2: (n: number) => 3 * n / 4,
  mxfp6_e2m3: (n: number) => 3 * n / 4,
  fp8_e4m3: (n: number) => n,
  fp8_e4m3fnuz: (n: number) => n,
} as const;

/** Bits of random bytes that give finite numbers below 2 in size; f16 bytes stay below 2^-14 to 2 in both halves. */
const CODE_MASK = {
  bf16: 0xff,
  f32: 0xff,
  f16: 0x3b,
  mxfp4: 0xff,
  mxfp6_e3m2: 0xff,
  mxfp6_e2m3: 0xff,
  fp8_e4m3: 0xbf,
  // The sign is left out: a negative zero is its NaN.
  fp8_e4m3fnuz: 0x3f,
} as const;
