/** Timings of the kernels of a prefill of 2,048 tokens. */
import { type Harness, type Launch, type Part, pattern, type Timing } from "./harness.ts";
import * as s from "./shapes.ts";

const N = 2048, SLOTS = N * s.TOP_K;
/** The generic kernels, and those of matrix instructions. */
const SUFFIXES = ["", "_mma", "_wgmma"] as const;

function* dense(h: Harness, name: string, format: string, rows: readonly number[], cols: number): Generator<Timing> {
  for (const suffix of SUFFIXES) {
    const entry = `gemm_${format}${suffix}`;
    if (!h.has(entry)) continue;
    const { rowsPerBlock, tokensPerBlock, ldsPerColumn, ldsFixed } = h.traits(entry),
      copies = 4,
      width = suffix ? 2 : 4;
    const sets = rows.map((r) => s.linears(h, format, r, cols, copies));
    const x = h.memory(N * cols * width, pattern(suffix ? "bf16" : "f32", 1 << 20)),
      outs = rows.map((r) => h.memory(N * r * 4));
    const tiles = rows.reduce((sum, r) => sum + Math.ceil(r / rowsPerBlock), 0), all = rows.reduce((a, b) => a + b);
    const chains = Array.from({ length: copies }, (_, i): Launch[] => [{
      entry,
      grid: [tiles, Math.ceil(N / tokensPerBlock), 1],
      lds: ldsFixed + ldsPerColumn * cols,
      args: (w) => {
        s.group(w, sets.map((set) => set[i]!), outs, rows);
        w.pointer(x).i32(cols).pointer(null).i32(1).i32(0).i32(N);
      },
    }]);
    yield h.time(
      `${entry} ${name}`,
      chains,
      s.matrixBytes(format, all, cols) + N * (cols * width + all * 4),
      N * all * cols,
      3,
    );
  }
}

function* experts(h: Harness, format: string): Generator<Timing> {
  const ups = s.linears(h, format, 2 * s.I, s.H, s.EXPERTS), downs = s.linears(h, format, s.H, s.I, s.EXPERTS);
  const up = s.expertRecords(h, ups), down = s.expertRecords(h, downs);
  const random = new Uint32Array(SLOTS);
  crypto.getRandomValues(random.subarray(0, SLOTS));
  const ids = s.i32s(h, Array.from(random, (v) => v % s.EXPERTS)),
    sorted = h.memory(SLOTS * 4),
    offsets = h.memory(256),
    count = h.memory(16);
  for (const suffix of SUFFIXES) {
    const entry = `expert_gemm_${format}${suffix}`;
    if (!h.has(entry)) continue;
    const { rowsPerBlock, tokensPerBlock, ldsPerColumn, ldsFixed } = h.traits(entry),
      most = Math.ceil(SLOTS / tokensPerBlock) + s.EXPERTS,
      width = suffix ? 2 : 4;
    const tiles = h.memory(8 * most), kind = suffix ? "bf16" : "f32";
    const sort: Launch = {
      entry: "expert_sort",
      grid: [1, 1, 1],
      lds: 0,
      args: (w) =>
        w.pointer(ids).i32(SLOTS).i32(0).i32(s.EXPERTS).i32(tokensPerBlock).pointer(sorted).pointer(offsets).pointer(
          tiles,
        ).pointer(count),
    };
    yield h.time(`expert_sort ${SLOTS} slot rows`, [[sort], [sort]], 0, 0, 3);
    const x = h.memory(N * s.H * width, pattern(kind, 1 << 20)),
      a = h.memory(SLOTS * s.I * width, pattern(kind, 1 << 20));
    const activated = h.memory(SLOTS * s.I * 4), out = h.memory(SLOTS * s.H * 4);
    for (const part of ["up", "down"] as const) {
      const isUp = part === "up", rows = isUp ? 2 * s.I : s.H, cols = isUp ? s.H : s.I;
      const gemm: Launch = {
        entry,
        grid: [Math.ceil(rows / rowsPerBlock), most, 1],
        lds: ldsFixed + ldsPerColumn * cols,
        args: (w) =>
          w.pointer(isUp ? up : down).pointer(isUp ? x : a).i32(cols).pointer(null).i32(isUp ? s.TOP_K : 1).pointer(
            sorted,
          ).pointer(offsets)
            .pointer(tiles).pointer(count).pointer(isUp ? activated : out).i32(isUp ? s.I : s.H).i32(isUp ? 1 : 0).i32(
              isUp ? 1 : 0,
            )
            .f32(1.702).f32(7).i32(rows).i32(cols),
      };
      const bytes = s.EXPERTS * s.matrixBytes(format, rows, cols) + (isUp ? N : SLOTS) * cols * width + SLOTS * s.H * 4;
      yield h.time(`${entry} ${part}`, [[gemm], [gemm]], bytes, SLOTS * rows * cols, 3);
    }
  }
}

function* attention(h: Harness, window: number): Generator<Timing> {
  const [c] = s.caches(h, N + 128, window, 1), width = s.HEADS * s.D;
  const q = h.memory(N * width * 4, pattern("f32", 1 << 20)),
    out = h.memory(N * width * 4),
    sinks = h.memory(128, pattern("bf16", 128));
  const slots = s.i32s(h, new Int32Array(N)), positions = s.i32s(h, Array.from({ length: N }, (_, i) => i));
  const pairs = window ? N * window : N * N / 2, macs = pairs * s.HEADS * s.D * 2;
  for (const entry of ["attention_tile", "attention_tile_mma"]) {
    if (!h.has(entry)) continue;
    const each = Math.floor(h.traits(entry).tokensPerBlock / (s.HEADS / s.KV_HEADS)), count = Math.ceil(N / each);
    // The longest first.
    const tiles = s.i32s(
      h,
      Array.from({ length: count }, (_, i) => [(count - 1 - i) * each, Math.min(each, N - (count - 1 - i) * each)])
        .flat(),
    );
    const launch: Launch = {
      entry,
      grid: [count, s.KV_HEADS, 1],
      lds: h.traits(entry).ldsFixed,
      args: (w) => {
        w.pointer(out).i32(width).pointer(q).i32(width);
        s.cache(w, c!);
        w.pointer(slots).pointer(positions).pointer(sinks).i32(0).i32(1).i32(N).pointer(tiles).i32(count);
      },
    };
    yield h.time(`${entry} window ${window}`, [[launch], [launch]], 0, macs, 3);
  }
}

function* rows(h: Harness): Generator<Timing> {
  const x = h.memory(N * s.H * 4, pattern("f32", 1 << 20)),
    norm = h.memory(s.H * 2, pattern("bf16", 65536)),
    bf16 = h.memory(SLOTS * s.H * 2);
  const y = h.memory(SLOTS * s.H * 4, pattern("f32", 1 << 20)),
    weights = h.memory(SLOTS * 4, pattern("f32", 65536)),
    out = h.memory(N * s.H * 4);
  for (const kind of [0, 1, 4]) {
    const qdq: Launch = {
      entry: "qdq",
      grid: [N, 1, 1],
      lds: 0,
      args: (w) => {
        w.pointer(null).i32(0).pointer(bf16).i32(s.H).i32(0).pointer(null);
        s.input(w, x, s.H, norm, kind);
        w.i32(s.H).i32(N);
      },
    };
    yield h.time(`qdq after norm, kind ${kind}`, [[qdq], [qdq]], N * s.H * 6, 0, 3);
  }
  const combine: Launch = {
    entry: "combine",
    grid: [N, 1, 1],
    lds: 0,
    args: (w) =>
      w.pointer(out).i32(s.H).pointer(y).i32(s.H).pointer(weights).i32(s.H).i32(s.TOP_K).i32(1).i32(1).i32(N),
  };
  yield h.time("combine", [[combine], [combine]], N * s.H * 4 * (s.TOP_K + 2), 0, 3);
}

/** All of them; memory is freed between. */
export function* prefillTimings(h: Harness): Generator<Timing> {
  const parts: Part[] = [
    ["gemm q, k, v", () => dense(h, "q, k, v", "bf16", [4096, 512, 512], s.H)],
    ["gemm o", () => dense(h, "o", "bf16", [s.H], 4096)],
    ...["mxfp4", "fp8", "bf16_t"].map((format) => [`experts ${format}`, () => experts(h, format)] as const),
    ["attention", () => attention(h, 0)],
    ["attention window", () => attention(h, 128)],
    ["rows", () => rows(h)],
  ];
  yield* h.timings(parts);
}
