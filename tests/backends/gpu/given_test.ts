/** Sums over ranks of rows that the kernel of a linear gives, beside those of rows that another launch gives. */
import { openCuda } from "../../../ffi/cuda.ts";
import type { DeviceRange, PinnedBuffer, Stream } from "../../../ffi/runtime.ts";
import { NO_QUANTIZE } from "../../../src/backends/gpu/abi.ts";
import { Calls } from "../../../src/backends/gpu/calls.ts";
import { Exchange } from "../../../src/backends/gpu/exchange.ts";
import { exchangedBytes, tableBytes } from "../../../src/backends/gpu/exchanged.ts";
import { KernelSet } from "../../../src/backends/gpu/kernels.ts";
import { launchGemm, launchGive } from "../../../src/backends/gpu/products.ts";
import { Bench } from "../../../src/backends/gpu/self_test_bench.ts";
import { downloadFloats, uploadFloats } from "../../../src/backends/gpu/staging.ts";
import type { GpuLinear, GpuTensor } from "../../../src/backends/gpu/tensors.ts";
import type { Workspace } from "../../../src/backends/gpu/workspace.ts";
import { Random } from "../../../src/verify/cases/random.ts";
import { assert, assertEquals } from "../../assert.ts";
import { buildCudaHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";

const ignore = await withoutKernelCompiler();
const SIZES = { tp: 2, ep: 1 }, HIDDEN = 192, COLS = 64, MOST = 200, STRIDE = HIDDEN;
/** Rows of the sums that follow one another: less than a tile, more than one, the most. */
const TURNS = [5, 150, 7, MOST, 130];

/** A rank on a device of its own: memory, and random numbers that only it has. */
class Rank {
  readonly stream: Stream;
  readonly exchange: Exchange;
  readonly h: GpuTensor;
  readonly projected: GpuTensor;
  readonly linear: GpuLinear;
  readonly x: DeviceRange;
  readonly norm: DeviceRange;
  readonly prepared: DeviceRange;
  readonly r: Random;
  /** Kept: giving some back waits for all streams. */
  readonly #staging: PinnedBuffer;

  constructor(readonly calls: Calls, readonly rank: number) {
    const { stream, kernels: { device } } = calls,
      take = (bytes: number) => {
        const range = device.allocate(bytes).range();
        stream.fill(range, 0);
        return range;
      };
    this.#staging = device.allocatePinned(1 << 20);
    this.r = new Random(50 + rank);
    this.stream = stream;
    const tensor = (name: string): GpuTensor => {
      const shape = { rows: MOST, rowsPerToken: 1, width: HIDDEN, stride: STRIDE };
      return { name, ...shape, range: take(4 * MOST * STRIDE) };
    };
    this.h = tensor("h");
    this.projected = tensor("projected");
    this.x = take(2 * MOST * COLS);
    this.norm = take(2 * HIDDEN);
    this.prepared = take(2 * MOST * HIDDEN);
    const none = {
      scale: null,
      scaleStride: 0,
      tensorScale: 1,
      flags: 0,
      input: { kind: "none" },
      multipliesCodes: false,
    };
    const shape = { rows: HIDDEN, cols: COLS, rowStride: 2 * COLS, format: "bf16", suffix: "bf16" } as const;
    const weight = take(2 * HIDDEN * COLS), bias = take(4 * HIDDEN);
    this.linear = { ...shape, ...none, weight, bias, biasFormat: 1 } as GpuLinear;
    const workspace = {
      exchanged: take(exchangedBytes(SIZES, MOST, HIDDEN)),
      exchangeTables: take(tableBytes(SIZES)),
      exchangeStop: take(4),
      allLogits: take(4),
    } as Partial<Workspace<string>> as Workspace<string>;
    const parts = { device, stream, calls, workspace, sizes: SIZES, rank, maxTokens: MOST, hidden: HIDDEN };
    this.exchange = new Exchange(parts);
    this.put(weight, this.r.row(HIDDEN * COLS, true), true);
    this.put(bias, this.r.row(HIDDEN, true));
    this.put(this.norm, new Random(9).row(HIDDEN, true), true);
  }

  put(to: DeviceRange, values: Float32Array, bf16 = false): void {
    const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const halves = Uint16Array.from(words, (w) => w >>> 16);
    uploadFloats(this.stream, this.#staging, to, bf16 ? new Float32Array(halves.buffer) : values);
  }

  take(from: DeviceRange, count: number): number[] {
    return [...new Uint32Array(downloadFloats(this.stream, this.#staging, from, count).buffer)];
  }
}

/** Two ranks, each on a device of its own. */
async function openRanks(runtime: ReturnType<typeof openCuda>): Promise<Rank[]> {
  const files = await hostKernels({ arch: "sm_90", matrix: "right", ranks: true });
  return [0, 1].map((rank) => {
    const device = runtime.open(rank);
    return new Rank(new Calls(device.createStream(), new KernelSet(device, files)), rank);
  });
}

Deno.test({
  name: "rows that the kernel of a linear gives are summed to the bits of rows that are given later",
  ignore,
}, async () => {
  using host = new HipHost(buildCudaHost());
  host.configure({ devices: 2 });
  using runtime = openCuda(host.path);
  const ranks = await openRanks(runtime);
  const offers = ranks.map(({ exchange }) => exchange.offer({ sumsBlocks: false, gives: true, used: "" }, false));
  for (const { exchange } of ranks) assertEquals(exchange.meet(offers, { perProcess: 2 }), MOST);
  assertEquals(ranks[0]!.exchange.canGive(MOST, HIDDEN), true);
  const seen: unknown[][] = [[], []];
  for (const [turn, n] of TURNS.entries()) {
    const inputs = ranks.map(({ r }) => r.row(n * COLS, true));
    const before = new Random(turn).row(MOST * STRIDE, true);
    for (const given of [true, false]) {
      const ends = ranks.map((rank, i) => {
        const { stream, calls, exchange, linear, projected, h, x } = rank;
        rank.put(h.range, before);
        rank.put(x, inputs[i]!, true);
        const rows = { range: x, stride: COLS, bf16: true, order: 0, scales: null } as const;
        const products = { linears: [linear], outs: [projected], x: rows, n };
        const norms = {
          in: {
            x: h.range,
            xRows: null,
            norm: rank.norm,
            xStride: STRIDE,
            normFormat: 0,
            eps: 1e-5,
            ...NO_QUANTIZE,
            round: true,
          },
          normed: null,
          prepared: [{ range: rank.prepared, stride: HIDDEN, bf16: true, order: 2, scales: null }],
          round: true,
          n,
        } as const;
        if (given) {
          launchGive(calls, products, "gemm_bf16_wgmma", exchange.giving("world"));
          exchange.takeGiven(h, "world", norms, true);
        } else {
          launchGemm(calls, { ...products, round: true, accumulate: false }, "gemm_bf16_wgmma");
          exchange.sumNorm(projected, h, "world", norms);
        }
        const end = calls.kernels.device.createEvent();
        stream.record(end);
        return end;
      });
      // One thread has both: each goes on by turns.
      while (!ends.map((end) => end.done()).every((done) => done));
      seen[given ? 0 : 1]!.push(ranks.map((rank) => [
        rank.take(rank.h.range, MOST * STRIDE),
        rank.take(rank.prepared, n * HIDDEN / 2),
      ]));
    }
  }
  assertEquals(seen[0], seen[1]);
  assert(new Set(seen[0]!.map((one) => JSON.stringify(one))).size === TURNS.length);
});

Deno.test({
  name: "ranks whose devices use other kernels sum by the library, as their sums would not meet",
  ignore,
}, async () => {
  using host = new HipHost(buildCudaHost());
  host.configure({ devices: 2 });
  using runtime = openCuda(host.path);
  const ranks = await openRanks(runtime);
  for (const [used, most] of [["sm_90 gemm_bf16_mma", MOST], ["sm_90", 0]] as const) {
    const all = ["sm_90 gemm_bf16_mma", used];
    const offers = ranks.map(({ exchange }, i) =>
      exchange.offer({ sumsBlocks: false, gives: true, used: all[i]! }, false)
    );
    for (const { exchange } of ranks) assertEquals(exchange.meet(offers, { perProcess: 2 }), most);
  }
});

Deno.test({
  name: "the kernel that gives rows is used only where they are those that its matrix kernel writes",
  ignore,
}, async () => {
  const errors: number[] = [];
  for (const matrix of ["right", "wrong"] as const) {
    using host = new HipHost(buildCudaHost());
    using runtime = openCuda(host.path);
    const device = runtime.open(0), files = await hostKernels({ arch: "sm_90", matrix, ranks: true });
    const { linear, calls } = new Rank(new Calls(device.createStream(), new KernelSet(device, files)), 0);
    using bench = new Bench(calls);
    errors.push(bench.give(linear, "gemm_bf16_wgmma"));
  }
  assertEquals(errors[0], 0);
  assert(errors[1]! > 1e-3, `${errors[1]}`);
});
