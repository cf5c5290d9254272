/** Timings of the kernels of one decode step, batch 1. */
import type { ArgumentWriter, DeviceRange } from "../../ffi/runtime.ts";
import { SAMPLE_STAGES, SAMPLE_STATE_WORDS } from "../../kernels/abi/attention.ts";
import { type Harness, type Launch, type Part, pattern, type Timing } from "./harness.ts";
import * as s from "./shapes.ts";

/** Multiprocessors times this many blocks, at most one a tile. */
const BLOCKS_EACH = [2, 4, 8, 1000];
/** Rows of a draw. */
const MOST_DRAWN = 8;

const lds = (h: Harness, entry: string, cols: number) =>
  h.traits(entry).ldsFixed + h.traits(entry).ldsPerColumn * Math.ceil(cols / 32) * 32;

function* linear(
  h: Harness,
  name: string,
  format: string,
  rows: readonly number[],
  cols: number,
  norm: boolean,
  copies: number,
): Generator<Timing> {
  const entry = `linear_${format}`, { rowsPerBlock } = h.traits(entry);
  const sets = rows.map((r) => s.linears(h, format, r, cols, copies)), x = h.memory(cols * 4, pattern("f32", 65536));
  const outs = rows.map((r) => h.memory(r * 4)), weight = norm ? h.memory(cols * 2, pattern("bf16", 65536)) : null;
  const tiles = rows.reduce((sum, r) => sum + Math.ceil(r / rowsPerBlock), 0);
  const bytes = rows.reduce((sum, r) => sum + s.matrixBytes(format, r, cols), 0);
  const blocks = new Set(BLOCKS_EACH.map((each) => Math.min(tiles, each * h.device.properties.multiprocessors)));
  for (const grid of blocks) {
    const chains = Array.from({ length: copies }, (_, i): Launch[] => [{
      entry,
      grid: [grid, 1, 1],
      lds: lds(h, entry, cols),
      args: (w) => {
        s.group(w, sets.map((set) => set[i]!), outs, rows);
        s.input(w, x, cols, weight);
        w.i32(1).i32(0).i32(1);
      },
    }]);
    yield h.time(`${entry} ${name}, ${grid} of ${tiles} blocks`, chains, bytes);
  }
}

function* experts(h: Harness, format: string, layers: number): Generator<Timing> {
  const up = s.linears(h, format, 2 * s.I, s.H, layers * s.EXPERTS),
    down = s.linears(h, format, s.H, s.I, layers * s.EXPERTS);
  const records = (all: readonly s.DeviceLinear[]) =>
    Array.from({ length: layers }, (_, l) => s.expertRecords(h, all.slice(l * s.EXPERTS, (l + 1) * s.EXPERTS)));
  const ups = records(up), downs = records(down);
  // Several choices a layer, so that chains differ.
  const choices = Array.from(
    { length: layers * 4 },
    (_, i) => s.i32s(h, [0, 1, 2, 3].map((k) => (i * 5 + k * 9) % s.EXPERTS)),
  );
  const x = h.memory(s.H * 4, pattern("f32", 65536)), weights = h.memory(16, pattern("f32", 16));
  const activated = h.memory(s.TOP_K * s.I * 4, pattern("f32", 65536)),
    out = h.memory(s.H * 4),
    slots = h.memory(s.TOP_K * s.H * 4);
  const run = (
    name: string,
    entry: string,
    rows: number,
    cols: number,
    lines: number,
    ldsRows: number,
    args: (l: number, ids: DeviceRange) => Launch["args"],
  ) => {
    const tiles = Math.ceil(rows / h.traits(entry).rowsPerBlock), all: Timing[] = [];
    // Kernels on matrix instructions do not walk over tiles.
    for (const each of entry.endsWith("_mma") ? BLOCKS_EACH.slice(-1) : BLOCKS_EACH) {
      const grid = Math.min(tiles, Math.ceil(each * h.device.properties.multiprocessors / lines));
      const chains = choices.map((ids, i): Launch[] => [{
        entry,
        grid: [grid, lines, 1],
        lds: ldsRows * lds(h, entry, cols),
        args: args(i % layers, ids),
      }]);
      all.push(
        h.time(
          `${entry} ${name}, ${grid} of ${tiles} blocks x ${lines}`,
          chains,
          s.TOP_K * s.matrixBytes(format, rows, cols),
        ),
      );
      if (grid === tiles) break;
    }
    return all;
  };
  const suffixes = ["", "_mma"].filter((suffix) => h.has(`expert_up_${format}${suffix}`));
  for (const [suffix, kind] of suffixes.flatMap((suffix) => [0, 1].map((kind) => [suffix, kind] as const))) {
    yield* run(`kind ${kind}`, `expert_up_${format}${suffix}`, 2 * s.I, s.H, s.TOP_K, 1, (l, ids) => (w) => {
      w.pointer(ups[l]!);
      s.input(w, x, s.H, null, kind);
      w.pointer(ids).i32(0).i32(s.EXPERTS).i32(s.TOP_K).pointer(activated).i32(s.I).i32(1).i32(1).f32(1.702).f32(7).i32(
        2 * s.I,
      ).i32(s.H).i32(1);
    });
  }
  yield* run("", `expert_down_${format}`, s.H, s.I, s.TOP_K, 1, (l, ids) => (w) => {
    w.pointer(downs[l]!);
    s.input(w, activated, s.I, null);
    w.pointer(ids).i32(0).i32(s.EXPERTS).i32(s.TOP_K).pointer(slots).i32(s.H).i32(s.H).i32(s.I).i32(1);
  });
  for (const suffix of suffixes) {
    yield* run("", `expert_down_combine_${format}${suffix}`, s.H, s.I, 1, s.TOP_K, (l, ids) => (w) => {
      w.pointer(downs[l]!);
      s.input(w, activated, s.I, null);
      w.pointer(ids).pointer(weights).i32(0).i32(s.EXPERTS).i32(s.TOP_K).pointer(out).i32(s.H).i32(1).i32(1)
        .i32(s.H).i32(s.I).i32(1);
    });
  }
}

function* attention(h: Harness, position: number, window: number): Generator<Timing> {
  const copies = 16, all = s.caches(h, position + 64, window, copies);
  const q = h.memory(s.HEADS * s.D * 4, pattern("f32", 65536)), out = h.memory(s.HEADS * s.D * 4);
  const slots = s.i32s(h, [0]), positions = s.i32s(h, [position]), sinks = h.memory(128, pattern("bf16", 128));
  const keys = window ? Math.min(window, position + 1) : position + 1, bytes = 2 * keys * s.KV_HEADS * s.D * 2;
  for (const splits of window ? [1, 2] : [8, 16, 32, 64]) {
    const partial = h.memory(s.HEADS * splits * (s.D + 2) * 4);
    const chains = all.map((c): Launch[] => [
      {
        entry: "attention_split",
        grid: [splits, s.KV_HEADS, 1],
        lds: 0,
        args: (w) => {
          w.pointer(partial).pointer(q).i32(s.HEADS * s.D);
          s.cache(w, c);
          w.pointer(slots).pointer(positions).i32(splits).i32(1);
        },
      },
      {
        entry: "attention_reduce",
        grid: [s.HEADS, 1, 1],
        lds: 0,
        args: (w) =>
          w.pointer(out).i32(s.HEADS * s.D).pointer(partial).pointer(sinks).i32(0).i32(s.HEADS).i32(s.D).i32(splits)
            .i32(1).i32(1),
      },
    ]);
    yield h.time(`attention_split + reduce, ${keys} keys in ${splits}`, chains, bytes);
  }
}

function* small(h: Harness): Generator<Timing> {
  const x = h.memory(s.H * 4, pattern("f32", 65536)),
    norm = h.memory(s.H * 2, pattern("bf16", 65536)),
    normed = h.memory(s.H * 4);
  const ids = h.memory(16), weights = h.memory(16), routers = s.linears(h, "bf16", s.EXPERTS, s.H, 24);
  yield h.time(
    "norm_route_bf16",
    routers.map((router): Launch[] => [{
      entry: "norm_route_bf16",
      grid: [1, 1, 1],
      lds: lds(h, "norm_route_bf16", s.H),
      args: (w) => {
        s.input(w, x, s.H, norm);
        w.struct();
        s.linearMembers(w, router);
        w.end().i32(s.TOP_K).pointer(normed).i32(s.H).pointer(null).i32(0).pointer(ids).pointer(weights).i32(1).i32(1);
      },
    }]),
    s.matrixBytes("bf16", s.EXPERTS, s.H),
  );
  const logits = h.memory(s.EXPERTS * 4), counters = h.memory(4), split = "norm_route_bf16_split";
  if (h.has(split)) {
    yield h.time(
      split,
      routers.map((router): Launch[] => [{
        entry: split,
        grid: [Math.ceil(s.EXPERTS / h.traits(split).rowsPerBlock), 1, 1],
        lds: lds(h, split, s.H),
        args: (w) => {
          s.input(w, x, s.H, norm);
          w.struct();
          s.linearMembers(w, router);
          w.end().i32(s.TOP_K).pointer(normed).i32(s.H).pointer(logits).i32(s.EXPERTS).pointer(ids).pointer(weights)
            .i32(1).i32(1).pointer(counters);
        },
      }]),
      s.matrixBytes("bf16", s.EXPERTS, s.H),
    );
  }
  const [c] = s.caches(h, 1024, 0, 1), slots = s.i32s(h, [0]), positions = s.i32s(h, [1000]);
  const q = h.memory(4096 * 4, pattern("f32", 65536)),
    k = h.memory(512 * 4, pattern("f32", 2048)),
    table = h.memory(1024 * 32 * 4, pattern("f32", 65536));
  const rotate: Launch = {
    entry: "rotate_store",
    grid: [(s.HEADS + 2 * s.KV_HEADS) * s.D / 512, 1, 1],
    lds: 0,
    args: (w) => {
      w.pointer(q).i32(4096).pointer(k).i32(512).pointer(k).i32(512).pointer(table).pointer(table);
      s.cache(w, c!);
      w.pointer(slots).pointer(positions).i32(1).i32(1);
    },
  };
  yield h.time("rotate_store", Array.from({ length: 24 }, () => [rotate]), 0);
  const all = h.memory(s.VOCAB * 4, pattern("f32", 1 << 20)), picked = h.memory(4);
  const argmax: Launch = {
    entry: "argmax",
    grid: [1, 1, 1],
    lds: 0,
    args: (w) => w.pointer(all).i64(0).i32(s.VOCAB).pointer(picked).pointer(null).i32(1),
  };
  yield h.time("argmax", Array.from({ length: 8 }, () => [argmax]), s.VOCAB * 4);
}

/** Draws by one block a row, and by several in stages. */
function* draws(h: Harness): Generator<Timing> {
  const uniforms = h.memory(4096, new Uint8Array(Float32Array.from({ length: 1024 }, Math.random).buffer));
  // Bell-shaped, as real ones are: 512 different numbers would be ties for the most part. And all the same.
  const bell = h.memory(s.VOCAB * 4, new Uint8Array(bellShaped(s.VOCAB).buffer)), flat = h.memory(s.VOCAB * 4);
  const picked = h.memory(4 * MOST_DRAWN), positions = s.i32s(h, new Array<number>(MOST_DRAWN).fill(0));
  const states = h.memory(MOST_DRAWN * SAMPLE_STATE_WORDS * 4);
  const run = function* (what: string, logits: DeviceRange, params: DeviceRange, rows: number) {
    const drawn = (w: ArgumentWriter) =>
      w.pointer(logits).i64(0).i32(s.VOCAB).pointer(params).pointer(uniforms).i32(1).pointer(positions).pointer(picked);
    const one: Launch = { entry: "sample", grid: [rows, 1, 1], lds: 0, args: (w) => drawn(w).i32(rows) };
    yield h.time(`sample, ${what}`, Array.from({ length: 4 }, () => [one]), rows * s.VOCAB * 4);
    if (!h.has("sample_split")) return;
    const stage = (stage: number): Launch => ({
      ...{ entry: "sample_split", grid: [32, rows, 1], lds: 0 },
      ...(stage > 0 ? { overlaps: true } : {}),
      args: (w) => drawn(w).pointer(states).i32(stage).i32(rows),
    });
    const stages = Array.from({ length: SAMPLE_STAGES }, (_, i) => stage(i));
    yield h.time(`sample_split, ${what}`, Array.from({ length: 4 }, () => stages), rows * s.VOCAB * 4);
  };
  const paramsOf = (temperature: number, topP: number, topK: number) => {
    const all = Array.from({ length: MOST_DRAWN }, () => [temperature, topP, topK, 0]).flat();
    return h.memory(16 * MOST_DRAWN, new Uint8Array(Float32Array.from(all).buffer));
  };
  for (const [topP, topK] of [[1, 0], [0.95, 0], [1, 50], [0.95, 50], [1, 5000], [0.95, 5000]] as const) {
    yield* run(`top-k ${topK}, top-p ${topP}`, bell, paramsOf(1, topP, topK), 1);
  }
  yield* run("top-k 0, top-p 0.95, temperature 2", bell, paramsOf(2, 0.95, 0), 1);
  yield* run("top-k 0, top-p 0.95, all equal", flat, paramsOf(1, 0.95, 0), 1);
  for (const rows of [2, 4, MOST_DRAWN]) {
    yield* run(`top-k 0, top-p 0.95, ${rows} rows`, bell, paramsOf(1, 0.95, 0), rows);
  }
}

/** Normally distributed numbers, with a standard deviation of 3. */
function bellShaped(count: number): Float32Array {
  return Float32Array.from(
    { length: count },
    () => 3 * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  );
}

/** All of them; memory is freed between. */
export function* decodeTimings(h: Harness): Generator<Timing> {
  const parts: Part[] = [
    ["linear bf16 q, k, v", () => linear(h, "q, k, v", "bf16", [4096, 512, 512], s.H, true, 12)],
    ["linear bf16 o", () => linear(h, "o", "bf16", [s.H], 4096, false, 12)],
    ["linear bf16 head", () => linear(h, "head", "bf16", [s.VOCAB], s.H, true, 2)],
    ["linear fp8 o", () => linear(h, "o", "fp8", [s.H], 4096, false, 24)],
    ["linear mxfp4 o", () => linear(h, "o", "mxfp4", [s.H], 4096, false, 48)],
    ...["mxfp4", "mxfp6_e3m2", "fp8", "bf16", "bf16_t"].map((format) =>
      [`experts ${format}`, () => experts(h, format, format.startsWith("bf16") ? 2 : 4)] as const
    ),
    ["attention 1000", () => attention(h, 1000, 0)],
    ["attention 16000", () => attention(h, 16000, 0)],
    ["attention window", () => attention(h, 1000, 128)],
    ["small", () => small(h)],
    ["sample", () => draws(h)],
  ];
  yield* h.timings(parts);
}
