/** Cases of attention. */
import type { Shape } from "./cache_layout.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, inout, input, output, pointer } from "./job.ts";
import { FilledCache } from "./filled_cache.ts";
import { cacheStruct } from "./structs.ts";
import { Random } from "./random.ts";
import { rowsOf, strided } from "./rows.ts";
import { traitsOf } from "./traits.ts";

/** What to attend to. */
export interface AttentionSpec extends Shape {
  readonly round: number;
  /** Slot and position of each token. */
  readonly tokens: readonly (readonly [number, number])[];
}

/**
 * Everything that the attention kernels share.
 *
 * @param shuffled False: pages lie one after the other, as their table has them.
 */
function attentionData(seed: number, s: AttentionSpec, shuffled = true) {
  const r = new Random(seed), n = s.tokens.length, width = s.heads * s.dim, stride = width + 4;
  const longest = Math.max(...s.tokens.map(([, position]) => position + 1));
  const cache = new FilledCache(r, s, s.tokens, { shuffled }), sinks = r.row(s.heads, true);
  const queries = s.tokens.map(() => r.row(width, true));
  const out = output(4 * n * stride),
    query = input(strided(queries, stride)),
    cacheArgument = cacheStruct(cache.fields).argument();
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
  const label = `${s.kv} ${s.heads}/${s.kvHeads}x${s.dim} window ${s.window} n ${n} to ${longest} round ${s.round}`;
  return { n, stride, out, query, cacheArgument, slots, positions, sinkArguments, check, label };
}

type AttentionData = ReturnType<typeof attentionData>;

/** No new keys and values, and results as float32, for attention_batch. */
const STORED = [
  ...[pointer(null), i32(0), pointer(null), i32(0), pointer(null), pointer(null)],
  ...[pointer(null), i32(0), i32(0)],
];

/** @param parts Into how many attention_batch cuts keys. */
function attentionCase(
  seed: number,
  s: AttentionSpec,
  entry = "attention",
  a = attentionData(seed, s),
  parts = 1,
): KernelCase {
  const batch = entry === "attention_batch", cut = parts > 1;
  const partial = output(4 * a.n * parts * s.heads * (s.dim + 2)), counters = inout(new Int32Array(a.n * s.kvHeads));
  const room = [pointer(cut ? partial : null), pointer(cut ? counters : null)];
  return {
    name: `${entry} ${a.label}${cut ? ` in ${parts}` : ""}`,
    job: {
      entry,
      grid: [batch ? s.kvHeads : s.heads, a.n, parts],
      threads: traitsOf(entry).threads,
      lds: 0,
      arguments: [
        ...[pointer(a.out), i32(a.stride), pointer(a.query), i32(a.stride), a.cacheArgument, a.slots, a.positions],
        ...[...a.sinkArguments, i32(s.round), i32(a.n), ...(batch ? [i32(parts), ...room, ...STORED] : [])],
      ],
    },
    check: () => cut && counters.bytes.some((byte) => byte !== 0) ? Infinity : a.check(),
  };
}

/** attention_split, whose partial results the reduce case takes over. */
function* splitCases(
  seed: number,
  s: AttentionSpec,
  splits: number,
  a = attentionData(seed, s),
): Generator<KernelCase> {
  const partial = output(4 * a.n * s.heads * splits * (s.dim + 2));
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
function tileCase(
  seed: number,
  s: AttentionSpec,
  entry = "attention_tile",
  a = attentionData(seed, s),
): KernelCase {
  const most = Math.floor(traitsOf(entry).tokensPerBlock / (s.heads / s.kvHeads)),
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

/** Cases over pages that lie one after the other, and over the same in no order, which must give the same bits. */
function* pagedCases(
  seed: number,
  s: AttentionSpec,
  casesOf: (data: AttentionData) => Iterable<KernelCase>,
): Generator<KernelCase> {
  const plain = attentionData(seed, s, false), shuffled = attentionData(seed, s);
  yield* casesOf(plain);
  const others = [...casesOf(shuffled)], last = others.at(-1);
  for (const one of others) {
    const check = () => worstOf(one.check(), one === last ? exactly(floats(shuffled.out), floats(plain.out)) : 0);
    yield { ...one, name: `${one.name}, pages shuffled`, check };
  }
}

/** Consecutive positions of a slot. */
const run = (slot: number, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => [slot, from + i] as const);

/** A small model's heads. */
const SHAPE = { heads: 8, kvHeads: 2, dim: 64, slots: 2, window: 0 } as const;

/** One block a head. */
function* wholeCases(): Generator<KernelCase> {
  yield attentionCase(800, { ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 40], [1, 0], [1, 1]] });
  yield attentionCase(801, { ...SHAPE, kv: "f32", round: 0, tokens: [[1, 5]], dim: 32 });
  yield attentionCase(802, { ...SHAPE, kv: "fp8", round: 0, tokens: [[0, 90]], heads: 2, dim: 136 });
  yield attentionCase(803, { ...SHAPE, kv: "bf16", round: 0, tokens: [[1, 190]], heads: 2, window: 60 });
  yield attentionCase(804, { ...SHAPE, kv: "fp8", round: 1, tokens: [[0, 140]], heads: 2, window: 0, dim: 16 });
  // Heads whose rows are no whole vectors.
  yield attentionCase(805, { ...SHAPE, kv: "bf16", round: 0, tokens: [[0, 40], [1, 3]], dim: 2 });
  yield attentionCase(806, { ...SHAPE, kv: "f32", round: 0, tokens: [[1, 9]], heads: 2, dim: 6 });
  yield attentionCase(807, { ...SHAPE, kv: "fp8", round: 0, tokens: [[1, 150]], heads: 2, window: 9, dim: 66 });
  yield attentionCase(808, { ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 7]], heads: 2, dim: 130 });
}

/** Several blocks a head, each of which has a part of the keys. */
function* partCases(): Generator<KernelCase> {
  yield* splitCases(810, { ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 90], [1, 3]], heads: 16 }, 2);
  yield* splitCases(811, { ...SHAPE, kv: "f32", round: 0, tokens: [[1, 61]], kvHeads: 1, heads: 3 }, 3);
  yield* splitCases(812, { ...SHAPE, kv: "fp8", round: 0, tokens: [[1, 250]], heads: 4, window: 140 }, 2);
  yield* splitCases(813, { ...SHAPE, kv: "bf16", round: 0, tokens: [[0, 20]], kvHeads: 1, heads: 12 }, 1);
  // Several tiles a part, and the most parts, nearly all of them empty.
  yield* splitCases(814, { ...SHAPE, kv: "fp8", round: 0, tokens: [[0, 300]], kvHeads: 1, heads: 8 }, 1);
  yield* splitCases(815, { ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 200]], kvHeads: 1, heads: 2 }, 64);
}

const BATCH = "attention_batch";

/** One block for all heads that share keys. */
function* batchCases(): Generator<KernelCase> {
  // Fewer keys than warps take at once and several rounds of them, a ring, a window that ends inside a chunk.
  yield attentionCase(840, { ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 0], [1, 17], [0, 95]], heads: 16 }, BATCH);
  yield attentionCase(841, { ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 300], [1, 5]] }, BATCH);
  const ring = { window: 140, heads: 3, kvHeads: 1 };
  yield attentionCase(842, { ...SHAPE, kv: "bf16", round: 0, tokens: [[1, 250], [0, 139]], ...ring }, BATCH);
  // Parts: more than there are keys for, all of them, one that ends with a key alone, behind a window.
  const parts = (s: AttentionSpec, seed: number, count: number) =>
    attentionCase(seed, s, BATCH, attentionData(seed, s), count);
  yield parts({ ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 300], [1, 5], [0, 127], [1, 128]] }, 843, 4);
  yield parts({ ...SHAPE, kv: "bf16", round: 0, tokens: [[0, 700], [1, 512]], heads: 3, kvHeads: 1 }, 844, 4);
  yield parts({ ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 400], [1, 259]], heads: 16, window: 270 }, 845, 2);
  yield parts({ ...SHAPE, kv: "bf16", round: 1, tokens: [[0, 1100], [1, 900]] }, 846, 8);
}

/** The same bits wherever pages lie: whole, behind a window, and of two sequences. */
function* shuffledCases(): Generator<KernelCase> {
  const long: AttentionSpec = { ...SHAPE, heads: 2, kv: "bf16", round: 0, tokens: [[0, 200], [1, 70]] }, seed = 850;
  for (const s of [long, { ...long, window: 90 }]) {
    yield* pagedCases(seed, s, (a) => [attentionCase(seed, s, "attention", a)]);
    yield* pagedCases(seed, s, (a) => splitCases(seed, s, 2, a));
    yield* pagedCases(seed, s, (a) => [attentionCase(seed, s, BATCH, a)]);
    const prompt = { ...s, tokens: [...run(0, 120, 135), ...run(1, 60, 66)] };
    for (const entry of ["attention_tile", "attention_tile_mma"]) {
      yield* pagedCases(seed, prompt, (a) => [tileCase(seed, prompt, entry, a)]);
    }
  }
}

/** One block for several tokens of a prompt. */
function* tileCases(): Generator<KernelCase> {
  yield tileCase(820, { ...SHAPE, kv: "bf16", round: 1, tokens: [...run(0, 0, 9), ...run(1, 30, 33)] });
  yield tileCase(821, { ...SHAPE, kv: "f32", round: 0, tokens: run(1, 20, 38), heads: 16 });
  for (const [seed, kv, round] of [[830, "bf16", 1], [831, "fp8", 0]] as const) {
    const two = [...run(0, 0, 37), ...run(1, 30, 33)], behind = [...run(0, 90, 140), ...run(1, 3, 4)];
    yield tileCase(seed, { ...SHAPE, kv, round, tokens: two, heads: 16 }, "attention_tile_mma");
    yield tileCase(seed + 2, { ...SHAPE, kv, round, tokens: behind, window: 70 }, "attention_tile_mma");
  }
  yield tileCase(822, { ...SHAPE, kv: "fp8", round: 0, tokens: [...run(0, 120, 126), ...run(1, 3, 4)], window: 40 });
}

export function* attentionCases(): Generator<KernelCase> {
  yield* wholeCases();
  yield* partCases();
  yield* batchCases();
  yield* shuffledCases();
  yield* tileCases();
}
