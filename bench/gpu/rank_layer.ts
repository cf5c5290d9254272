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
import { intervalText, medianText, spreadOf } from "../../src/bench/spread.ts";
import { openFirstGpu } from "../../tests/kernels/first_gpu.ts";
import { countOf, optionsOrEnd } from "../options.ts";
import { Harness, pattern } from "./harness.ts";
import { Comparison, layerTimes, rankCaches, rankWeights, rmsOf, wordsOf } from "./rank_layers.ts";
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
const comparison = new Comparison();
const results: unknown[] = [];
for (const ranks of divisions) {
  using h = new Harness(device, sets[0]!, "");
  const { heads, kvHeads, inner, qkv, o, router, up, down, norm, sinks } = rankWeights(h, ranks, SETS);
  const first = pattern("f32", s.H * 4), pages = pagesFor(POSITIONS);
  const { headStride, pageTable, caches } = rankCaches(h, kvHeads, pages, SETS);
  const angles = h.memory(POSITIONS * s.D / 2 * 4, pattern("f32", 65536));
  const slots = s.i32s(h, [0]), positions = s.i32s(h, [POSITIONS - 1]), stop = h.memory(4);

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
  const input = (x: DeviceRange, xStride: number, normed: boolean) => ({
    ...{ x, xStride, xRows: null, norm: normed ? norm : null, normFormat: NUMBER_FORMAT.bf16, eps: 1e-5 },
    ...{ ...NO_QUANTIZE, round: true },
  });

  const chain = (of: KernelSet, way: Way) => {
    const calls = new Calls(h.stream, of);
    const floats = (n: number) => h.memory(4 * n);
    const hidden = h.memory(s.H * 4, first), query = floats(heads * s.D), key = floats(kvHeads * s.D);
    const value = floats(kvHeads * s.D), attended = floats(heads * s.D), projected = floats(s.H), normed = floats(s.H);
    const partial = floats(SPLITS * heads * (s.D + 2)), counters = h.memory(4 * 64), logits = floats(s.EXPERTS);
    const ids = h.memory(64), weights = h.memory(64), routeCounters = h.memory(64);
    const states = Array.from({ length: LAYERS }, () => h.memory(4 * mlpStateWords(s.TOP_K, inner)));
    const notes = place(inbox(4 * ranks * 32 * MOST_NOTES, 16 * 1024), 128);
    const rowNotes = place(inbox(4 * ranks * 8 * ROW_NOTES, 8 * ROW_NOTES), BLOCKS);
    const out = { round: true, accumulate: false, n: 1 };
    const enqueue = () => {
      calls.overlaps = false;
      for (let layer = 0; layer < LAYERS; layer++) {
        const set = layer % SETS, cache = caches[set]!, members = qkv[set]!;
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
        const projects = o[set]!, from = input(attended, heads * s.D, false);
        const routed = { in: input(hidden, s.H, true), router: router[set]!, topK: s.TOP_K };
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
  const chains = kinds.map(({ of, way }) => chain(of, way));
  const names = kinds.map(({ name }) => name);
  using pinned = device.allocatePinned(4 * s.H + 32);
  const bits = ({ hidden, ids, weights }: ReturnType<typeof chain>): Uint32Array =>
    wordsOf(h, pinned, [[hidden, 4 * s.H], [ids, 16], [weights, 16]]);
  const compare = (what: string) => comparison.compare(what, names, chains.map(bits));
  const sample = compare("after the first launches");
  const choices = new Set<string>();
  let other = 0;
  for (let i = 0; i < checks; i++) {
    for (const { graph } of chains) h.stream.replay(graph);
    const now = compare(`in check ${i}`);
    choices.add(now.subarray(s.H, s.H + s.TOP_K).join());
    if (i === 0) other = now.reduce((n, word, at) => n + Number(word !== sample[at]), 0);
  }
  const rms = rmsOf(bits(chains[0]!), s.H);
  const times = layerTimes(h, chains.map(({ graph }) => graph), { rounds, replays: REPLAYS, layers: LAYERS });
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
if (flags.json) console.log(JSON.stringify({ different: comparison.different, results }));
console.log(comparison.different === 0 ? "all bits alike" : `${comparison.different} comparisons found other bits`);
if (comparison.different > 0) Deno.exit(1);
