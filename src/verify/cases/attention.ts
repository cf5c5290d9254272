/** Cases of attention. */
import { cacheBytes, cacheFields, NUMBER, type Shape } from "./cache_layout.ts";
import { softmaxWithSink } from "../../backends/reference/attention.ts";
import { throughCache } from "../../backends/reference/cache.ts";
import { encodePlain } from "../../formats/encode.ts";
import { type KernelCase, near } from "./check.ts";
import { floats, i32, input, output, pointer } from "./job.ts";
import { type CacheFields, cacheStruct } from "./structs.ts";
import { Random } from "./random.ts";
import { rowsOf } from "./rows.ts";
import { traitsOf } from "./traits.ts";

/** A filled cache: for kernels, and by (slot, head, position) as numbers. */
export class FilledCache {
  readonly fields: CacheFields;
  readonly #k = new Map<string, Float32Array>();
  readonly #v = new Map<string, Float32Array>();

  /**
   * @param lengths Positions of each slot.
   * @param changed Whether kernels write into it.
   */
  constructor(r: Random, readonly shape: Shape, lengths: readonly number[], changed = false) {
    const { size } = NUMBER[shape.kv], bytes = shape.slots * shape.kvHeads * shape.capacity * shape.dim * size;
    const memory = () => changed ? output(bytes) : input(new Uint8Array(bytes));
    this.fields = cacheFields(shape, memory(), memory(), Math.fround(0.021), Math.fround(0.017));
    lengths.forEach((length, slot) => {
      for (let p = 0; p < length; p++) {
        for (let g = 0; g < shape.kvHeads; g++) {
          for (const which of ["k", "v"] as const) this.put(which, slot, g, p, r.row(shape.dim, true));
        }
      }
    });
  }

  /** Keeps a key or value: its number for the reference and, if `visible`, its bytes for kernels. Returns the bytes. */
  put(which: "k" | "v", slot: number, g: number, p: number, row: Float32Array, visible = true): Uint8Array {
    const { kv, dim } = this.shape, { size } = NUMBER[kv];
    const scale = this.fields[which === "k" ? "kScale" : "vScale"], bytes = new Uint8Array(dim * size);
    row.forEach((x, d) => bytes.set(cacheBytes(x, kv, scale), d * size));
    if (visible) this.fields[which].bytes.set(bytes, this.at(slot, g, p));
    const map = which === "k" ? this.#k : this.#v;
    map.set(`${slot} ${g} ${p}`, row.map((x) => throughCache(x, kv, scale)));
    return bytes;
  }

  /** Where the row of a position begins, in bytes. */
  at(slot: number, g: number, p: number): number {
    const { kv, kvHeads, capacity, dim } = this.shape;
    return ((slot * kvHeads + g) * capacity + p % capacity) * dim * NUMBER[kv].size;
  }

  /** Attention of one query head in float64. */
  attend(query: Float32Array, slot: number, position: number, head: number, sink: number): Float64Array {
    const { dim, heads, kvHeads, window } = this.shape, g = Math.floor(head / (heads / kvHeads));
    const first = window > 0 ? Math.max(0, position - window + 1) : 0, out = new Float64Array(dim);
    const rows = Array.from({ length: position - first + 1 }, (_, j) => `${slot} ${g} ${first + j}`);
    const scale = Math.fround(1 / Math.sqrt(dim));
    const scores = rows.map((row) => this.#k.get(row)!.reduce((sum, k, d) => sum + k * query[d]!, 0) * scale);
    softmaxWithSink(scores, sink).forEach((p, j) => this.#v.get(rows[j]!)!.forEach((v, d) => out[d]! += p * v));
    return out;
  }
}

/** What to attend to. */
export interface AttentionSpec extends Shape {
  readonly round: number;
  /** Slot and position of each token. */
  readonly tokens: readonly (readonly [number, number])[];
}

/** Everything that the attention kernels share. */
function attentionData(seed: number, s: AttentionSpec) {
  const r = new Random(seed), n = s.tokens.length, width = s.heads * s.dim, stride = width + 4;
  const lengths = Array.from(
    { length: s.slots },
    (_, slot) => Math.max(0, ...s.tokens.map(([own, p]) => own === slot ? p + 1 : 0)),
  );
  const cache = new FilledCache(r, s, lengths), sinks = r.row(s.heads, true);
  const queries = s.tokens.map(() => r.row(width, true)), q = new Float32Array(n * stride);
  queries.forEach((row, t) => q.set(row, t * stride));
  const out = output(4 * n * stride), query = input(q), cacheArgument = cacheStruct(cache.fields).argument();
  const slots = pointer(input(Int32Array.from(s.tokens, ([slot]) => slot)));
  const positions = pointer(input(Int32Array.from(s.tokens, ([, position]) => position)));
  const sinkArguments = [pointer(input(encodePlain(sinks, "bf16"))), i32(0)];
  const check = () => {
    const exact = s.tokens.flatMap(([slot, position], t) =>
      [...sinks].flatMap((
        sink,
        h,
      ) => [...cache.attend(queries[t]!.subarray(h * s.dim, (h + 1) * s.dim), slot, position, h, sink)])
    );
    return near(rowsOf(floats(out), stride, width), exact, s.round);
  };
  const label = `${s.kv} ${s.heads}/${s.kvHeads}x${s.dim} window ${s.window} n ${n} to ${
    Math.max(...lengths)
  } round ${s.round}`;
  return { n, stride, out, query, cacheArgument, slots, positions, sinkArguments, check, label };
}

function attentionCase(seed: number, s: AttentionSpec, entry = "attention"): KernelCase {
  const a = attentionData(seed, s);
  return {
    name: `${entry} ${a.label}`,
    job: {
      entry,
      grid: [entry === "attention" ? s.heads : s.kvHeads, a.n, 1],
      threads: traitsOf(entry).threads,
      lds: 0,
      arguments: [
        ...[pointer(a.out), i32(a.stride), pointer(a.query), i32(a.stride), a.cacheArgument, a.slots, a.positions],
        ...[...a.sinkArguments, i32(s.round), i32(a.n)],
      ],
    },
    check: a.check,
  };
}

/** attention_split, whose partial results the reduce case takes over. */
function* splitCases(seed: number, s: AttentionSpec, splits: number): Generator<KernelCase> {
  const a = attentionData(seed, s), partial = output(4 * a.n * s.heads * splits * (s.dim + 2));
  const chunks = Math.ceil(s.heads / s.kvHeads / 8);
  yield {
    name: `attention_split ${a.label} in ${splits}`,
    job: {
      entry: "attention_split",
      grid: [splits, s.kvHeads * chunks, a.n],
      threads: traitsOf("attention_split").threads,
      lds: 0,
      arguments: [
        pointer(partial),
        pointer(a.query),
        i32(a.stride),
        a.cacheArgument,
        a.slots,
        a.positions,
        i32(splits),
        i32(a.n),
      ],
    },
    // The sums are checked after the reduction; here only that all was written.
    check: () => floats(partial).some(Number.isNaN) ? Infinity : 0,
  };
  yield {
    name: `attention_reduce ${a.label} of ${splits}`,
    job: {
      entry: "attention_reduce",
      grid: [s.heads, a.n, 1],
      threads: traitsOf("attention_reduce").threads,
      lds: 0,
      arguments: [
        ...[pointer(a.out), i32(a.stride), pointer(partial), ...a.sinkArguments, i32(s.heads), i32(s.dim), i32(splits)],
        ...[i32(s.round), i32(a.n)],
      ],
    },
    check: a.check,
  };
}

/** attention_tile over a batch whose tokens of a slot stand together. */
export function tileCase(seed: number, s: AttentionSpec, entry = "attention_tile"): KernelCase {
  const a = attentionData(seed, s),
    most = Math.floor(traitsOf(entry).tokensPerBlock / (s.heads / s.kvHeads)),
    tiles: number[] = [];
  s.tokens.forEach(([slot], t) => {
    const first = tiles.at(-2);
    if (first !== undefined && s.tokens[first]![0] === slot && tiles.at(-1)! < most) tiles[tiles.length - 1]!++;
    else tiles.push(t, 1);
  });
  return {
    name: `${entry} ${a.label}`,
    job: {
      entry,
      grid: [tiles.length / 2, s.kvHeads, 1],
      threads: traitsOf(entry).threads,
      lds: traitsOf(entry).ldsFixed,
      arguments: [
        ...[pointer(a.out), i32(a.stride), pointer(a.query), i32(a.stride), a.cacheArgument, a.slots, a.positions],
        ...[...a.sinkArguments, i32(s.round), i32(a.n), pointer(input(Int32Array.from(tiles))), i32(tiles.length / 2)],
      ],
    },
    check: a.check,
  };
}

/** Consecutive positions of a slot. */
const run = (slot: number, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => [slot, from + i] as const);

export function* attentionCases(): Generator<KernelCase> {
  const shape = { heads: 8, kvHeads: 2, dim: 64, slots: 2, capacity: 96, window: 0 };
  yield attentionCase(800, { ...shape, kv: "bf16", round: 1, tokens: [[0, 40], [1, 0], [1, 1]] });
  yield attentionCase(801, { ...shape, kv: "f32", round: 0, tokens: [[1, 5]], dim: 32 });
  yield attentionCase(802, { ...shape, kv: "fp8", round: 0, tokens: [[0, 90]], heads: 2, dim: 136 });
  yield attentionCase(803, { ...shape, kv: "bf16", round: 0, tokens: [[1, 190]], heads: 2, window: 60 });
  yield attentionCase(804, {
    ...shape,
    kv: "fp8",
    round: 1,
    tokens: [[0, 140]],
    heads: 2,
    capacity: 150,
    window: 0,
    dim: 16,
  });
  // Heads whose rows are no whole vectors.
  yield attentionCase(805, { ...shape, kv: "bf16", round: 0, tokens: [[0, 40], [1, 3]], dim: 2 });
  yield attentionCase(806, { ...shape, kv: "f32", round: 0, tokens: [[1, 9]], heads: 2, dim: 6 });
  yield attentionCase(807, { ...shape, kv: "fp8", round: 0, tokens: [[1, 150]], heads: 2, window: 9, dim: 66 });
  yield attentionCase(808, { ...shape, kv: "bf16", round: 1, tokens: [[0, 7]], heads: 2, dim: 130 });
  yield* splitCases(810, { ...shape, kv: "bf16", round: 1, tokens: [[0, 90], [1, 3]], heads: 16 }, 2);
  yield* splitCases(811, { ...shape, kv: "f32", round: 0, tokens: [[1, 61]], kvHeads: 1, heads: 3 }, 3);
  yield* splitCases(
    812,
    { ...shape, kv: "fp8", round: 0, tokens: [[1, 250]], heads: 4, capacity: 150, window: 140 },
    2,
  );
  yield* splitCases(813, { ...shape, kv: "bf16", round: 0, tokens: [[0, 20]], kvHeads: 1, heads: 12 }, 1);
  // Several tiles a part, and the most parts, nearly all of them empty.
  yield* splitCases(814, { ...shape, kv: "fp8", round: 0, tokens: [[0, 300]], kvHeads: 1, heads: 8, capacity: 320 }, 1);
  yield* splitCases(
    815,
    { ...shape, kv: "bf16", round: 1, tokens: [[0, 200]], kvHeads: 1, heads: 2, capacity: 256 },
    64,
  );
  // Fewer keys than warps take at once and several rounds of them, a ring, a window that ends inside a chunk.
  const batch = "attention_batch";
  yield attentionCase(840, { ...shape, kv: "bf16", round: 1, tokens: [[0, 0], [1, 17], [0, 95]], heads: 16 }, batch);
  yield attentionCase(841, { ...shape, kv: "bf16", round: 1, tokens: [[0, 300], [1, 5]], capacity: 320 }, batch);
  const ring = { capacity: 150, window: 140, heads: 3, kvHeads: 1 };
  yield attentionCase(842, { ...shape, kv: "bf16", round: 0, tokens: [[1, 250], [0, 139]], ...ring }, batch);
  yield tileCase(820, { ...shape, kv: "bf16", round: 1, tokens: [...run(0, 0, 9), ...run(1, 30, 33)] });
  yield tileCase(821, { ...shape, kv: "f32", round: 0, tokens: run(1, 20, 38), heads: 16 });
  for (const [seed, kv, round] of [[830, "bf16", 1], [831, "fp8", 0]] as const) {
    const mma = "attention_tile_mma";
    yield tileCase(seed, { ...shape, kv, round, tokens: [...run(0, 0, 37), ...run(1, 30, 33)], heads: 16 }, mma);
    yield tileCase(seed + 2, {
      ...shape,
      kv,
      round,
      tokens: [...run(0, 90, 140), ...run(1, 3, 4)],
      capacity: 120,
      window: 70,
    }, mma);
  }
  yield tileCase(822, {
    ...shape,
    kv: "fp8",
    round: 0,
    tokens: [...run(0, 120, 126), ...run(1, 3, 4)],
    capacity: 60,
    window: 40,
  });
}
