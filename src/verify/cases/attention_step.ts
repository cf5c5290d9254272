/** Cases of attention_step, which rotates and stores the tokens that it attends from. */
import type { AttentionSpec } from "./attention.ts";
import { FilledCache } from "./filled_cache.ts";
import { rotated, tables } from "./cache.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, inout, input, ints, output, pointer } from "./job.ts";
import { cacheStruct } from "./structs.ts";
import { Random } from "./random.ts";
import { rowsOf } from "./rows.ts";
import { traitsOf } from "./traits.ts";

/** Tokens of different sequences, whose caches hold what is before them; a position of -1 fills up the batch. */
function stepCase(seed: number, s: AttentionSpec, splits: number): KernelCase {
  const entry = "attention_step", r = new Random(seed), n = s.tokens.length, { heads, kvHeads, dim, round } = s;
  const width = heads * dim, kvWidth = kvHeads * dim, most = Math.max(...s.tokens.map(([, position]) => position));
  const cache = new FilledCache(r, s, s.tokens, { changed: true }),
    sinks = r.row(heads, true),
    { cos, sin } = tables(r, most + 1, 32);
  const rows = (width: number) => s.tokens.map(() => r.row(width, round === 1));
  const q = rows(width), k = rows(kvWidth), v = rows(kvWidth);
  const packed = (all: readonly Float32Array[]) => {
    const stride = all[0]!.length + 4, to = new Float32Array(n * stride);
    all.forEach((row, t) => to.set(row, t * stride));
    return [pointer(input(to)), i32(stride)];
  };
  const turn = (row: Float32Array, heads: number, position: number) =>
    rotated(row, heads, dim, cos, sin, position, round);
  // What the kernel has to add to the caches, and what it finds there.
  const before = { k: cache.fields.k.bytes, v: cache.fields.v.bytes },
    want = { k: before.k.slice(), v: before.v.slice() };
  s.tokens.forEach(([slot, position], t) => {
    if (position < 0) return;
    const key = turn(k[t]!, kvHeads, position);
    for (let g = 0; g < kvHeads; g++) {
      for (const [which, row] of [["k", key], ["v", v[t]!]] as const) {
        want[which].set(
          cache.put(which, slot, g, position, row.subarray(g * dim, (g + 1) * dim), false),
          cache.at(slot, g, position),
        );
      }
    }
  });
  const out = output(4 * n * (width + 4)), partial = output(4 * n * heads * splits * (dim + 2));
  const chunks = Math.ceil(heads / kvHeads / 8), counters = inout(new Int32Array(n * kvHeads * chunks));
  const exact = s.tokens.flatMap(([slot, position], t) => {
    if (position < 0) return Array.from({ length: width }, () => 0);
    const turned = turn(q[t]!, heads, position);
    return [...sinks].flatMap((sink, h) => [
      ...cache.attend(turned.subarray(h * dim, (h + 1) * dim), slot, position, h, sink),
    ]);
  });
  return {
    name: `${entry} ${s.kv} ${heads}/${kvHeads} window ${s.window} n ${n} to ${most} in ${splits} round ${round}`,
    job: {
      entry,
      grid: [splits, kvHeads * chunks, n],
      threads: traitsOf(entry).threads,
      lds: 0,
      arguments: [
        ...[pointer(out), i32(width + 4), pointer(partial), ...packed(q), ...packed(k), ...packed(v)],
        ...[pointer(input(cos)), pointer(input(sin)), cacheStruct(cache.fields).argument()],
        pointer(input(Int32Array.from(s.tokens, ([slot]) => slot))),
        pointer(input(Int32Array.from(s.tokens, ([, position]) => position))),
        ...[pointer(input(encodePlain(sinks, "bf16"))), i32(0), i32(splits), i32(round), i32(n), pointer(counters)],
      ],
    },
    check: () =>
      worstOf(
        near(rowsOf(floats(out), width + 4, width), exact, round),
        exactly(cache.fields.k.bytes, want.k),
        exactly(cache.fields.v.bytes, want.v),
        exactly(ints(counters), new Int32Array(n * kvHeads * chunks)),
      ),
  };
}

export function* attentionStepCases(): Generator<KernelCase> {
  const shape = { heads: 8, kvHeads: 2, dim: 64, slots: 3, window: 0 };
  yield stepCase(860, { ...shape, kv: "bf16", round: 1, tokens: [[0, 90], [2, 0], [0, -1]], heads: 16 }, 2);
  yield stepCase(861, { ...shape, kv: "f32", round: 0, tokens: [[1, 61]], kvHeads: 1, heads: 3 }, 3);
  // A ring, and the token's own row where its last tile begins, where one ends, and in the second tile of a part.
  const ring = { window: 140, heads: 4 };
  yield stepCase(862, { ...shape, ...ring, kv: "fp8", round: 0, tokens: [[1, 250], [2, 149]] }, 2);
  yield stepCase(863, { ...shape, kv: "bf16", round: 0, tokens: [[0, 64], [1, 63]], kvHeads: 1, heads: 12 }, 2);
  yield stepCase(864, { ...shape, kv: "fp8", round: 0, tokens: [[0, 300]], kvHeads: 1 }, 1);
  yield stepCase(865, { ...shape, kv: "f32", round: 0, tokens: [[2, 130]], kvHeads: 1, heads: 9 }, 2);
  // The most parts, of which few are empty and nearly all.
  yield stepCase(
    866,
    { ...shape, kv: "bf16", round: 1, tokens: [[0, 4000]], kvHeads: 1, heads: 2 },
    64,
  );
  yield stepCase(867, { ...shape, kv: "bf16", round: 1, tokens: [[0, 200]], kvHeads: 1, heads: 2 }, 64);
}
