/**
 * Layers of sixteen sequences' tokens as one of several ranks has them, or one card alone, by the kernels of a step, of
 * several folders of kernels by turns on one GPU. A rank hears itself in place of the others, by memory of its own
 * card. Before, what layers leave is compared again and again as bits; after, each of a layer's launches is timed in a
 * chain of its own.
 *
 *     deno run -A bench/gpu/rank_batch.ts [--ranks 1,2] [--kernels DIR,...] [--position 512] [--checks 50]
 *         [--rounds 15] [--alone] [--json]
 *
 * DIR is a folder as kernels/build.
 */
import { parseArgs } from "node:util";
import { COLUMN_ORDER, NUMBER_FORMAT } from "../../kernels/abi/types.ts";
import { pagesFor } from "../../src/model/pages.ts";
import { NO_QUANTIZE } from "../../src/backends/gpu/abi.ts";
import { launchBatchAttention } from "../../src/backends/gpu/attention.ts";
import { batchEntry, expertWalkEntry } from "../../src/backends/gpu/batches.ts";
import { Calls } from "../../src/backends/gpu/calls.ts";
import { MOST_NOTES } from "../../src/backends/gpu/exchanged.ts";
import { committedKernels, KernelSet } from "../../src/backends/gpu/kernels.ts";
import type { Prepared } from "../../src/backends/gpu/prepared.ts";
import { launchBatch, launchExpertWalk } from "../../src/backends/gpu/products.ts";
import { batchPartials } from "../../src/backends/gpu/splits.ts";
import { intervalText, medianText, spreadOf } from "../../src/bench/spread.ts";
import { openFirstGpu } from "../../tests/kernels/first_gpu.ts";
import { countOf, optionsOrEnd } from "../options.ts";
import { Harness, pattern } from "./harness.ts";
import { Comparison, layerTimes, rankCaches, rankWeights, rmsOf, wordsOf } from "./rank_layers.ts";
import * as s from "./shapes.ts";

const { values: flags } = parseArgs({
  options: {
    ranks: { type: "string", default: "1,2" },
    kernels: { type: "string" },
    position: { type: "string", default: "512" },
    checks: { type: "string", default: "50" },
    rounds: { type: "string", default: "15" },
    alone: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const { position, checks, rounds, divisions } = optionsOrEnd(() => ({
  position: countOf("--position", flags.position),
  checks: countOf("--checks", flags.checks),
  rounds: countOf("--rounds", flags.rounds),
  divisions: flags.ranks.split(",").map((text) => countOf("--ranks", text)),
}));

/** Tokens; layers of a chain, and how many have weights of their own: more than L2 holds. */
const N = 16, LAYERS = 24, SETS = 6, REPLAYS = 6, WINDOW = 128, SLOT_ROWS = N * s.TOP_K;
const PIECES = ["qkv", "attention", "o", "route", "up", "down", "combine"] as const;
type Piece = (typeof PIECES)[number];
const ALL: ReadonlySet<Piece> = new Set(PIECES);

const runtime = openFirstGpu();
if (typeof runtime === "string") throw new Error(runtime);
using device = runtime.open(0);
const folders = flags.kernels?.split(",") ?? [undefined];
const sets = folders.map((folder) => new KernelSet(device, committedKernels(folder)));
const names = folders.map((folder) => folder ?? "kernels/build");
const comparison = new Comparison();
const results: unknown[] = [];
for (const ranks of divisions) {
  using h = new Harness(device, sets[0]!, "");
  const { heads, kvHeads, inner, qkv, o, router, up, down, norm, sinks } = rankWeights(h, ranks, SETS);
  const begun = pattern("f32", N * s.H * 4), begunRows = pattern("bf16", N * s.H * 2);
  const each = pagesFor(position + 1);
  const { headStride, pageTable, caches } = rankCaches(h, kvHeads, N * each, SETS);
  const angles = h.memory((position + 1) * s.D / 2 * 4, pattern("f32", 65536)), stop = h.memory(4);
  const slots = s.i32s(h, Array.from({ length: N }, (_, i) => i));
  const positions = s.i32s(h, new Array(N).fill(position));

  const roomOf = () => {
    const floats = (n: number) => h.memory(4 * n);
    const rows = (width: number) => ({ range: floats(N * width), stride: width });
    const prepared = (width: number, bytes?: Uint8Array): Prepared => ({
      ...{ range: h.memory(2 * N * width, bytes), stride: width, bf16: true, scales: null },
    });
    const normed = rows(s.H);
    // What is left for another rank lies where that one's numbers are looked for.
    const inbox = h.memory(4 * ranks * 32 * MOST_NOTES);
    const inboxes = h.records(8 * ranks, (w) => {
      for (let r = 0; r < ranks; r++) w.pointer(s.ranged(inbox, r * 16 * 1024, 2 * ranks * 32 * MOST_NOTES));
    });
    return {
      hidden: { range: h.memory(N * s.H * 4, begun), stride: s.H },
      ...{
        normed,
        projected: rows(s.H),
        query: rows(heads * s.D),
        key: rows(kvHeads * s.D),
        value: rows(kvHeads * s.D),
      },
      ...{ input: prepared(s.H, begunRows), attended: prepared(heads * s.D) },
      routed: ranks > 1
        ? { ...prepared(s.H), order: COLUMN_ORDER.mxfp4 }
        : { ...normed, bf16: false, scales: null } satisfies Prepared,
      split: {
        ...{ partial: floats(batchPartials(kvHeads, N) * heads * (s.D + 2)), counters: h.memory(4 * N * kvHeads) },
      },
      parts: { sums: floats(8 * 64 * 128 * N), counters: h.memory(4 * 256) },
      routing: { ids: h.memory(4 * SLOT_ROWS), weights: h.memory(4 * SLOT_ROWS), first: 0, topK: s.TOP_K },
      ...{ logits: floats(N * s.EXPERTS), routeCounters: h.memory(4 * N) },
      middle: { range: floats(SLOT_ROWS * inner), stride: inner },
      y: { range: floats(SLOT_ROWS * s.H), stride: s.H },
      noted: { inboxes, turns: h.memory(4 * 128), stop, rank: 0, ranks, phase: 3 },
    };
  };
  type Room = ReturnType<typeof roomOf>;
  type Launches<P extends Piece> = Readonly<Record<P, (layer: number, set: number) => void>>;
  const how = { round: true, n: N };
  const normOf = ({ hidden }: Room) => ({
    ...{ x: hidden.range, xStride: s.H, xRows: null, norm, normFormat: NUMBER_FORMAT.bf16, eps: 1e-5 },
    ...{ ...NO_QUANTIZE, round: true },
  });
  const nothing = { normed: null, normedStride: 0 };
  const products = (calls: Calls, room: Room): Launches<"qkv" | "o" | "up" | "down"> => {
    const entry = batchEntry("bf16", N), walk = expertWalkEntry("mxfp4"), { routing } = room;
    return {
      qkv: (_, set) => {
        const linears = qkv[set]!, outs = [room.query, room.key, room.value];
        launchBatch(calls, entry, { linears, outs, x: room.input, accumulate: false, ...how }, room.parts);
      },
      o: (_, set) => {
        const linears = [o[set]!], outs = [ranks > 1 ? room.projected : room.hidden];
        launchBatch(calls, entry, { linears, outs, x: room.attended, accumulate: ranks === 1, ...how }, room.parts);
      },
      up: (_, set) => {
        const values = { divisor: s.TOP_K, routing, early: false, out: room.middle, round: true, slotRows: SLOT_ROWS };
        const swiglu = { alpha: 1.702, limit: 7 };
        launchExpertWalk(calls, walk, { ...values, experts: up[set]!, x: room.routed, swiglu });
      },
      down: (_, set) => {
        const x: Prepared = { ...room.middle, bf16: false, scales: null };
        const values = { divisor: 1, routing, early: true, out: room.y, round: false, slotRows: SLOT_ROWS };
        launchExpertWalk(calls, walk, { ...values, experts: down[set]!, x, swiglu: null });
      },
    };
  };
  const attention = (calls: Calls, room: Room) => (layer: number, set: number) => {
    const { query, key, value } = room;
    const cache = {
      ...{
        ...caches[set]!,
        pages: pageTable,
        headStride,
        format: NUMBER_FORMAT.bf16,
        tableStride: each,
        heads,
        kvHeads,
      },
      ...{ headDim: s.D, elementBytes: 2, window: layer % 2 === 0 ? WINDOW : 0, kScale: 1, vScale: 1 },
      softmaxScale: 0.125,
    } as const;
    const out = { ...query, name: "q", width: heads * s.D, rows: N, rowsPerToken: 1 };
    const named = { name: "sinks", range: sinks, format: NUMBER_FORMAT.bf16, length: heads };
    const step = { out, q: out, cache, slots, positions, sinks: named, ...how };
    const fresh = { newK: key.range, newKStride: key.stride, newV: value.range, newVStride: value.stride };
    launchBatchAttention(calls, step, room.split, { ...fresh, cos: angles, sin: angles }, room.attended);
  };
  const sums = (calls: Calls, room: Room): Launches<"route" | "combine"> => ({
    route: (_, set) => {
      const { ids, weights } = room.routing;
      const values = { in: normOf(room), router: router[set]!, topK: s.TOP_K, ids, weights, ...how };
      if (ranks === 1) {
        const left = { normed: room.normed.range, normedStride: s.H, logits: null, logitsStride: 0 };
        return calls.launch("normRouteCluster", { ...values, ...left }, "norm_route_bf16_cluster");
      }
      const left = { first: room.routed.range, firstStride: s.H, firstOrder: COLUMN_ORDER.mxfp4, ...nothing };
      const scratch = { logits: room.logits, logitsStride: s.EXPERTS, counters: room.routeCounters };
      const summed = { h: room.hidden.range, x: room.projected.range, stride: s.H, ...room.noted };
      const name = "exchange_norm_route_bf16_cluster";
      calls.launch("exchangeNormRouteCluster", { ...values, ...left, ...scratch, ...summed }, name);
    },
    combine: () => {
      const { y, routing: { ids, weights, topK }, input } = room;
      const values = {
        ...{ h: room.hidden.range, stride: s.H, y: y.range, yStride: s.H, weights, topK, in: normOf(room), ...nothing },
        ...{ first: input.range, firstStride: s.H, firstOrder: COLUMN_ORDER.natural, width: s.H, ...how },
      };
      if (ranks === 1) calls.launch("combineNorm", values);
      else calls.launch("exchangeCombineFew", { ...values, ids, firstExpert: 0, count: s.EXPERTS, ...room.noted });
    },
  });
  const chain = (of: KernelSet) => {
    const calls = new Calls(h.stream, of), room = roomOf();
    const launches: Launches<Piece> = {
      ...products(calls, room),
      ...sums(calls, room),
      attention: attention(calls, room),
    };
    const enqueue = (pieces: ReadonlySet<Piece>) => () => {
      calls.overlaps = false;
      for (let layer = 0; layer < LAYERS; layer++) {
        for (const piece of PIECES) {
          if (!pieces.has(piece)) continue;
          launches[piece](layer, layer % SETS);
          calls.overlaps = true;
        }
      }
    };
    enqueue(ALL)();
    h.stream.synchronize();
    const graph = h.stream.capture(enqueue(ALL));
    const alone = flags.alone ? PIECES.map((piece) => h.stream.capture(enqueue(new Set([piece])))) : [];
    return { graph, alone, hidden: room.hidden.range, ids: room.routing.ids, weights: room.routing.weights };
  };

  const chains = sets.map(chain);
  using pinned = device.allocatePinned(4 * N * s.H + 8 * SLOT_ROWS);
  const bits = ({ hidden, ids, weights }: ReturnType<typeof chain>): Uint32Array =>
    wordsOf(h, pinned, [[hidden, 4 * N * s.H], [ids, 4 * SLOT_ROWS], [weights, 4 * SLOT_ROWS]]);
  const compare = (what: string) => comparison.compare(what, names, chains.map(bits));
  let last = compare("after the first launches"), changed = 0, experts = 0;
  for (let i = 0; i < checks; i++) {
    for (const { graph } of chains) h.stream.replay(graph);
    const now = compare(`in check ${i}`);
    changed += Number(now.some((word, at) => word !== last[at]));
    experts += new Set(now.subarray(N * s.H, N * s.H + SLOT_ROWS)).size / checks;
    last = now;
  }
  const rms = rmsOf(bits(chains[0]!), N * s.H);
  const times = (graphs: readonly (typeof chains)[number]["graph"][]) =>
    layerTimes(h, graphs, { rounds, replays: REPLAYS, layers: LAYERS }).map(spreadOf);
  const whole = times(chains.map(({ graph }) => graph));
  compare("after the rounds");
  console.log(
    `${device.properties.name}, ${ranks} ranks: ${checks} times ${LAYERS} layers compared, of which ${changed} left ` +
      `other numbers than the ones before; rms ${rms.toPrecision(3)}, ${experts.toFixed(1)} experts; us a layer`,
  );
  whole.forEach((spread, i) => console.log(`  ${medianText(spread)} ${intervalText(spread)}  ${names[i]}`));
  const alone = flags.alone ? PIECES.map((_, i) => times(chains.map(({ alone }) => alone[i]!))) : [];
  alone.forEach((spreads, i) => {
    console.log(
      `  ${PIECES[i]}: ${spreads.map((spread) => `${medianText(spread)} ${intervalText(spread)}`).join("; ")}`,
    );
  });
  results.push({ ranks, names, whole, alone });
  for (const { graph, alone } of chains) [graph, ...alone].forEach((recorded) => recorded[Symbol.dispose]());
}
for (const set of sets) set[Symbol.dispose]();
if (flags.json) console.log(JSON.stringify({ different: comparison.different, results }));
console.log(comparison.different === 0 ? "all bits alike" : `${comparison.different} comparisons found other bits`);
if (comparison.different > 0) Deno.exit(1);
