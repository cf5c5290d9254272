/**
 * Layers of one token as one of several ranks has them, by the kernels of a step: with the sum after attention made by
 * the router's kernel, its blocks a cluster and not, by turns on one GPU. A rank hears itself in place of the others,
 * by memory of its own card. Before, what layers leave is compared again and again as bits.
 *
 *     deno run -A bench/gpu/rank_layer.ts [--ranks 2,4] [--kernels DIR,...] [--ways exchange,...] [--checks 200]
 *         [--rounds 15] [--json]
 *
 * DIR is a folder as kernels/build; what it lacks is left out.
 */
import { parseArgs } from "node:util";
import type { DeviceRange } from "../../ffi/runtime.ts";
import { NUMBER_FORMAT } from "../../kernels/abi/types.ts";
import { mlpStateWords } from "../../kernels/abi/experts.ts";
import { pagesFor } from "../../src/model/pages.ts";
import { groupOf, NO_QUANTIZE } from "../../src/backends/gpu/abi.ts";
import { Calls } from "../../src/backends/gpu/calls.ts";
import { BLOCKS, MOST_NOTES, ROW_NOTES } from "../../src/backends/gpu/exchanged.ts";
import { launchExpertMlp } from "../../src/backends/gpu/expert_mlp.ts";
import { committedKernels, KernelSet } from "../../src/backends/gpu/kernels.ts";
import type { GpuLinear } from "../../src/backends/gpu/tensors.ts";
import { intervalText, medianText, spreadOf } from "../../src/bench/spread.ts";
import { NO_QDQ } from "../../src/formats/input.ts";
import { openFirstGpu } from "../../tests/kernels/first_gpu.ts";
import { countOf, optionsOrEnd } from "../options.ts";
import { Harness, pattern } from "./harness.ts";
import * as s from "./shapes.ts";

const { values: flags } = parseArgs({
  options: {
    ranks: { type: "string", default: "2,4" },
    ways: { type: "string" },
    kernels: { type: "string" },
    checks: { type: "string", default: "200" },
    rounds: { type: "string", default: "15" },
    json: { type: "boolean", default: false },
  },
});
const { checks, rounds, divisions } = optionsOrEnd(() => ({
  checks: countOf("--checks", flags.checks),
  rounds: countOf("--rounds", flags.rounds),
  divisions: flags.ranks.split(",").map((text) => countOf("--ranks", text)),
}));

/** Layers of a chain, and how many have weights of their own: more than L2 holds. */
const LAYERS = 24, SETS = 4, REPLAYS = 8, POSITIONS = 2048, SPLITS = 8, WINDOW = 128;
const WAYS = {
  exchange: "exchange_norm_route_bf16",
  exchangeCluster: "exchange_norm_route_bf16_cluster",
} as const;
type Way = keyof typeof WAYS;
const asked: readonly string[] = flags.ways?.split(",") ?? Object.keys(WAYS);

const runtime = openFirstGpu();
if (typeof runtime === "string") throw new Error(runtime);
using device = runtime.open(0);
const folders = flags.kernels?.split(",") ?? [undefined];
const sets = folders.map((folder) => new KernelSet(device, committedKernels(folder)));
using start = device.createEvent();
using end = device.createEvent();

function gpuLinear({ weight, scale, bias, format, rows, cols }: s.DeviceLinear): GpuLinear {
  const mx = format === "mxfp4";
  return {
    ...{ rows, cols, weight, scale, bias, rowStride: mx ? cols / 2 : 2 * cols, scaleStride: mx ? cols / 32 : 0 },
    ...{ tensorScale: 1, biasFormat: 0, flags: 0, format: mx ? "mxfp4" : "bf16", suffix: format, input: NO_QDQ },
    multipliesCodes: false,
  };
}

let different = 0;
const results: unknown[] = [];
for (const ranks of divisions) {
  using h = new Harness(device, sets[0]!, "");
  const heads = s.HEADS / ranks, kvHeads = s.KV_HEADS / ranks, inner = 32 * Math.ceil(s.I / 32 / ranks);
  const matrix = (format: string, rows: number, cols: number, count = 1) => {
    const all = s.linears(h, format, rows, cols, SETS * count);
    return Array.from({ length: SETS }, (_, i) => all.slice(i * count, (i + 1) * count));
  };
  const [q, k, v] = [heads, kvHeads, kvHeads].map((n) => matrix("bf16", n * s.D, s.H));
  const o = matrix("bf16", s.H, heads * s.D), router = matrix("bf16", s.EXPERTS, s.H);
  const tables = ([[2 * inner, s.H], [s.H, inner]] as const).map(([rows, cols]) =>
    matrix("mxfp4", rows, cols, s.EXPERTS).map((all) => ({
      ...{ records: s.expertRecords(h, all), count: s.EXPERTS, first: gpuLinear(all[0]!) },
    }))
  );
  const [up, down] = [tables[0]!, tables[1]!];
  const norm = h.memory(2 * s.H, pattern("bf16", 2 * s.H)), sinks = h.memory(2 * heads, pattern("bf16", 2 * heads));
  const first = pattern("f32", s.H * 4), pages = pagesFor(POSITIONS), headStride = pages * 64 * s.D * 2;
  const pageTable = s.i32s(h, Array.from({ length: pages }, (_, i) => pages - 1 - i));
  const caches = Array.from({ length: SETS }, () => ({
    k: h.memory(kvHeads * headStride, pattern("bf16", 1 << 20)),
    v: h.memory(kvHeads * headStride, pattern("bf16", 1 << 20)),
  }));
  const angles = h.memory(POSITIONS * s.D / 2 * 4, pattern("f32", 65536));
  const slots = s.i32s(h, [0]), positions = s.i32s(h, [POSITIONS - 1]), stop = h.memory(4);

  const chain = (of: KernelSet, way: Way) => {
    const calls = new Calls(h.stream, of);
    const floats = (n: number) => h.memory(4 * n);
    const hidden = h.memory(s.H * 4, first), query = floats(heads * s.D), key = floats(kvHeads * s.D);
    const value = floats(kvHeads * s.D), attended = floats(heads * s.D), projected = floats(s.H), normed = floats(s.H);
    const partial = floats(SPLITS * heads * (s.D + 2)), counters = h.memory(4 * 64), logits = floats(s.EXPERTS);
    const ids = h.memory(64), weights = h.memory(64), routeCounters = h.memory(64);
    const states = Array.from({ length: LAYERS }, () => h.memory(4 * mlpStateWords(s.TOP_K, inner)));
    // What is left for another rank lies where that one's numbers are looked for.
    const inbox = (bytes: number, step: number): DeviceRange => {
      const memory = h.memory(bytes);
      return h.records(8 * ranks, (w) => {
        for (let r = 0; r < ranks; r++) w.pointer(s.ranged(memory, r * step, bytes - r * step));
      });
    };
    const place = (inboxes: DeviceRange, turns: number) => ({
      ...{ inboxes, turns: h.memory(4 * turns), stop, rank: 0, ranks },
    });
    const notes = place(inbox(4 * ranks * 32 * MOST_NOTES, 16 * 1024), 128);
    const rowNotes = place(inbox(4 * ranks * 8 * ROW_NOTES, 8 * ROW_NOTES), BLOCKS);
    const input = (x: DeviceRange, xStride: number, normed: boolean) => ({
      ...{
        x,
        xStride,
        xRows: null,
        norm: normed ? norm : null,
        normFormat: NUMBER_FORMAT.bf16,
        eps: 1e-5,
        ...NO_QUANTIZE,
        round: true,
      },
    });
    const out = { round: true, accumulate: false, n: 1 };
    const enqueue = () => {
      calls.overlaps = false;
      for (let layer = 0; layer < LAYERS; layer++) {
        const set = layer % SETS, cache = caches[set]!, members = [q!, k!, v!].map((all) => gpuLinear(all[set]![0]!));
        const outs = [query, key, value].map((range, i) => ({ range, stride: members[i]!.rows }));
        const values = { group: groupOf(members, outs), in: input(hidden, s.H, true), ...out };
        calls.launch("linear", values, "linear_bf16", calls.linearGrid("bf16"));
        calls.overlaps = true;
        calls.launch("attentionStep", {
          ...{ out: attended, outStride: heads * s.D, partial, q: query, qStride: heads * s.D },
          ...{ k: key, kStride: kvHeads * s.D, v: value, vStride: kvHeads * s.D, cos: angles, sin: angles },
          cache: {
            ...{ ...cache, pages: pageTable, headStride, format: 0, tableStride: pages, heads, kvHeads, headDim: s.D },
            ...{ window: layer % 2 === 0 ? WINDOW : 0, kScale: 1, vScale: 1, softmaxScale: 0.125 },
          },
          ...{ slots, positions, sinks, sinksFormat: 0, splits: layer % 2 === 0 ? 1 : SPLITS, round: true, n: 1 },
          counters,
        });
        const projects = gpuLinear(o[set]![0]!), from = input(attended, heads * s.D, false);
        const routed = { in: input(hidden, s.H, true), router: gpuLinear(router[set]![0]!), topK: s.TOP_K };
        const results = { ids, weights, normed, logits, counters: routeCounters, h: hidden, phase: 3 };
        const group = groupOf([projects], [{ range: projected, stride: s.H }]);
        calls.launch("linear", { group, in: from, ...out }, "linear_bf16", calls.linearGrid("bf16"));
        const nothing = { first: null, firstStride: 0, firstOrder: 0 } as const;
        const rows = { x: projected, stride: s.H, normedStride: s.H, logitsStride: s.EXPERTS, round: true, n: 1 };
        const family = way === "exchange" ? "exchangeNormRoute" : "exchangeNormRouteCluster";
        calls.launch(family, { ...notes, ...routed, ...results, ...nothing, ...rows }, WAYS[way]);
        launchExpertMlp(calls, {
          ...{ up: up[set]!, down: down[set]!, input: input(normed, s.H, false), accumulate: true },
          ...{ routing: { ids, weights, first: 0, topK: s.TOP_K }, out: { range: hidden, stride: s.H } },
          ...{ swiglu: { alpha: 1.702, limit: 7 }, state: states[layer]!, over: rowNotes },
        });
      }
    };
    enqueue();
    h.stream.synchronize();
    return { graph: h.stream.capture(enqueue), hidden, ids, weights };
  };

  const kinds = sets.flatMap((of, i) =>
    (Object.keys(WAYS) as Way[]).filter((way) => asked.includes(way) && of.has(WAYS[way])).map((way) => ({
      ...{ name: `${WAYS[way]}${folders[i] === undefined ? "" : `, ${folders[i]}`}`, of, way },
    }))
  );
  const chains = kinds.map(({ of, way }) => chain(of, way)), times = chains.map((): number[] => []);
  using pinned = device.allocatePinned(4 * s.H + 32);
  const bits = ({ hidden, ids, weights }: ReturnType<typeof chain>): Uint32Array => {
    h.stream.download(pinned, 0, hidden, 4 * s.H);
    h.stream.download(pinned, 4 * s.H, ids, 16);
    h.stream.download(pinned, 4 * s.H + 16, weights, 16);
    h.stream.synchronize();
    return new Uint32Array(pinned.view.slice().buffer);
  };
  const compare = (what: string) => {
    const [want, ...others] = chains.map(bits);
    others.forEach((got, i) => {
      const wrong = got.reduce((n, word, at) => n + Number(word !== want![at]), 0);
      if (wrong === 0) return;
      if (++different < 20) console.log(`OTHER BITS ${what}: ${kinds[i + 1]!.name}: ${wrong} of ${got.length}`);
    });
    return want!;
  };
  const sample = compare("after the first launches");
  const choices = new Set<string>();
  let other = 0;
  for (let i = 0; i < checks; i++) {
    for (const { graph } of chains) h.stream.replay(graph);
    const now = compare(`in check ${i}`);
    choices.add(now.subarray(s.H, s.H + s.TOP_K).join());
    if (i === 0) other = now.reduce((n, word, at) => n + Number(word !== sample[at]), 0);
  }
  const numbers = new Float32Array(bits(chains[0]!).buffer, 0, s.H);
  const rms = Math.sqrt(numbers.reduce((sum, x) => sum + x * x, 0) / numbers.length);
  for (let i = 0; i < rounds; i++) {
    chains.forEach(({ graph }, at) => {
      h.stream.replay(graph);
      h.stream.record(start);
      for (let replay = 0; replay < REPLAYS; replay++) h.stream.replay(graph);
      h.stream.record(end);
      end.synchronize();
      times[at]!.push(end.millisecondsSince(start) * 1e3 / (REPLAYS * LAYERS));
    });
  }
  compare("after the rounds");
  const spreads = times.map(spreadOf);
  console.log(
    `${device.properties.name}, ${ranks} ranks: ${checks} times ${LAYERS} layers compared, rms ${
      rms.toPrecision(3)
    }, ` +
      `${other} numbers changed from the first to the second, ${choices.size} choices; us a layer`,
  );
  kinds.forEach(({ name }, i) => console.log(`  ${medianText(spreads[i]!)} ${intervalText(spreads[i]!)}  ${name}`));
  results.push({ ranks, kinds: kinds.map(({ name }, i) => ({ name, ...spreads[i]! })) });
  chains.forEach(({ graph }) => graph[Symbol.dispose]());
}
for (const set of sets) set[Symbol.dispose]();
if (flags.json) console.log(JSON.stringify({ different, results }));
console.log(different === 0 ? "all bits alike" : `${different} comparisons found other bits`);
if (different > 0) Deno.exit(1);
