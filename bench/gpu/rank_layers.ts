/** What benches of layers share that compute one rank's part of gpt-oss-20b, several kernels by turns on one GPU. */
import type { DeviceRange, Graph, PinnedBuffer } from "../../ffi/runtime.ts";
import { PAGE_POSITIONS } from "../../src/model/pages.ts";
import type { GpuLinear } from "../../src/backends/gpu/tensors.ts";
import { NO_QDQ } from "../../src/formats/input.ts";
import { type Harness, pattern } from "./harness.ts";
import * as s from "./shapes.ts";

export function gpuLinear({ weight, scale, bias, format, rows, cols }: s.DeviceLinear): GpuLinear {
  const mx = format === "mxfp4";
  return {
    ...{ rows, cols, weight, scale, bias, rowStride: mx ? cols / 2 : 2 * cols, scaleStride: mx ? cols / 32 : 0 },
    ...{ tensorScale: 1, biasFormat: 0, flags: 0, format: mx ? "mxfp4" : "bf16", suffix: format, input: NO_QDQ },
    multipliesCodes: false,
  };
}

/** Random weights of so many layers as one of `ranks` has them; of each linear one for each layer. */
export function rankWeights(h: Harness, ranks: number, layers: number) {
  const heads = s.HEADS / ranks, kvHeads = s.KV_HEADS / ranks, inner = 32 * Math.ceil(s.I / 32 / ranks);
  const matrix = (format: string, rows: number, cols: number, count = 1) => {
    const all = s.linears(h, format, rows, cols, layers * count);
    return Array.from({ length: layers }, (_, i) => all.slice(i * count, (i + 1) * count));
  };
  const one = (rows: number, cols: number) => matrix("bf16", rows, cols).map(([linear]) => gpuLinear(linear!));
  const experts = (rows: number, cols: number) =>
    matrix("mxfp4", rows, cols, s.EXPERTS).map((all) => ({
      ...{ records: s.expertRecords(h, all), count: s.EXPERTS, first: gpuLinear(all[0]!) },
    }));
  const [q, k, v] = [one(heads * s.D, s.H), one(kvHeads * s.D, s.H), one(kvHeads * s.D, s.H)];
  return {
    ...{ heads, kvHeads, inner },
    qkv: q!.map((linear, i) => [linear, k![i]!, v![i]!] as const),
    ...{ o: one(s.H, heads * s.D), router: one(s.EXPERTS, s.H) },
    ...{ up: experts(2 * inner, s.H), down: experts(s.H, inner) },
    norm: h.memory(2 * s.H, pattern("bf16", 2 * s.H)),
    sinks: h.memory(2 * heads, pattern("bf16", 2 * heads)),
  };
}

/** Random keys and values of so many layers, which share a table of pages in reverse. */
export function rankCaches(h: Harness, kvHeads: number, pages: number, layers: number) {
  const headStride = pages * PAGE_POSITIONS * s.D * 2, bytes = kvHeads * headStride;
  return {
    headStride,
    pageTable: s.i32s(h, Array.from({ length: pages }, (_, i) => pages - 1 - i)),
    caches: Array.from({ length: layers }, () => ({
      k: h.memory(bytes, pattern("bf16", 1 << 20)),
      v: h.memory(bytes, pattern("bf16", 1 << 20)),
    })),
  };
}

/** Tells of chains whose numbers have other bits than the first one's. */
export class Comparison {
  /** How many comparisons did. */
  different = 0;

  /** The first one's numbers. @param read Of each chain its numbers, in the order of `names`. */
  compare(what: string, names: readonly string[], read: readonly Uint32Array[]): Uint32Array {
    const [want, ...others] = read;
    others.forEach((got, i) => {
      const wrong = got.reduce((n, word, at) => n + Number(word !== want![at]), 0);
      if (wrong === 0) return;
      if (++this.different < 20) console.log(`OTHER BITS ${what}: ${names[i + 1]!}: ${wrong} of ${got.length}`);
    });
    return want!;
  }
}

/** The words of several ranges, one after the other, by way of memory that has room for them. */
export function wordsOf(
  h: Harness,
  pinned: PinnedBuffer,
  ranges: readonly (readonly [range: DeviceRange, bytes: number])[],
): Uint32Array {
  let at = 0;
  for (const [range, bytes] of ranges) {
    h.stream.download(pinned, at, range, bytes);
    at += bytes;
  }
  h.stream.synchronize();
  return new Uint32Array(pinned.view.slice().buffer);
}

/** The root of the mean square of float32 numbers, given as words. */
export function rmsOf(words: Uint32Array, count: number): number {
  const numbers = new Float32Array(words.buffer, 0, count);
  return Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
}

/** Microseconds of a layer of each graph in each of `rounds`, in which they take turns. */
export function layerTimes(
  h: Harness,
  graphs: readonly Graph[],
  { rounds, replays, layers }: { readonly rounds: number; readonly replays: number; readonly layers: number },
): number[][] {
  using start = h.device.createEvent();
  using end = h.device.createEvent();
  const taken = graphs.map((): number[] => []);
  for (let i = 0; i < rounds; i++) {
    graphs.forEach((graph, at) => {
      h.stream.replay(graph);
      h.stream.record(start);
      for (let replay = 0; replay < replays; replay++) h.stream.replay(graph);
      h.stream.record(end);
      end.synchronize();
      taken[at]!.push(end.millisecondsSince(start) * 1e3 / (replays * layers));
    });
  }
  return taken;
}
