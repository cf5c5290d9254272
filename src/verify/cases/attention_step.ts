/** Cases of attention_step, and of attention_batch where it rotates and stores the tokens that it attends from. */
import type { AttentionSpec } from "./attention.ts";
import { FilledCache } from "./filled_cache.ts";
import { rotated, tables } from "./cache.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, inout, input, ints, output, pointer } from "./job.ts";
import { cacheStruct } from "./structs.ts";
import { Random } from "./random.ts";
import { inOrder } from "./quantized_rows.ts";
import { rowsOf } from "./rows.ts";
import { traitsOf } from "./traits.ts";

/**
 * Tokens of different sequences, whose caches hold what is before them; a position of -1 fills up the batch.
 *
 * @param splits Into how many parts keys are cut.
 * @param order Of columns, in which attention_batch leaves bf16 rows; null: float32 ones.
 */
function stepCase(
  seed: number,
  s: AttentionSpec,
  splits: number,
  entry: "attention_step" | "attention_batch" = "attention_step",
  order: number | null = null,
): KernelCase {
  const batch = entry === "attention_batch",
    r = new Random(seed),
    n = s.tokens.length,
    { heads, kvHeads, dim, round } = s;
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
  const out = output(4 * n * (width + 4)),
    bf16 = output(2 * n * width),
    partial = output(4 * n * heads * splits * (dim + 2));
  const chunks = Math.ceil(heads / kvHeads / 8), counters = inout(new Int32Array(n * kvHeads * chunks));
  const exact = s.tokens.flatMap(([slot, position], t) => {
    if (position < 0) return Array.from({ length: width }, () => 0);
    const turned = turn(q[t]!, heads, position);
    return [...sinks].flatMap((sink, h) => [
      ...cache.attend(turned.subarray(h * dim, (h + 1) * dim), slot, position, h, sink),
    ]);
  });
  const place = [
    cacheStruct(cache.fields).argument(),
    pointer(input(Int32Array.from(s.tokens, ([slot]) => slot))),
    pointer(input(Int32Array.from(s.tokens, ([, position]) => position))),
    ...[pointer(input(encodePlain(sinks, "bf16"))), i32(0)],
  ];
  const angles = [pointer(input(cos)), pointer(input(sin))], cut = splits > 1;
  const results = () => {
    if (order === null) return rowsOf(floats(out), width + 4, width);
    const rows = new Float32Array(Uint32Array.from(new Uint16Array(bf16.bytes.slice().buffer), (w) => w << 16).buffer);
    // The inverse of an order, by what it does to the numbers of columns.
    const at = inOrder(Float32Array.from({ length: width }, (_, c) => c), order), natural = new Float32Array(n * width);
    rows.forEach((v, i) => natural[i - i % width + at[i % width]!] = v);
    return natural;
  };
  return {
    name: `${entry} ${s.kv} ${heads}/${kvHeads} window ${s.window} n ${n} to ${most} in ${splits} round ${round}${
      batch ? ` new rows${order === null ? "" : ` order ${order}`}` : ""
    }`,
    job: {
      entry,
      grid: batch ? [kvHeads, n, splits] : [splits, kvHeads * chunks, n],
      threads: traitsOf(entry).threads,
      lds: 0,
      arguments: batch
        ? [
          ...[pointer(order === null ? out : null), i32(width + 4), ...packed(q), ...place, i32(round), i32(n)],
          ...[i32(splits), pointer(cut ? partial : null), pointer(cut ? counters : null)],
          ...[...packed(k), ...packed(v), ...angles],
          ...[pointer(order === null ? null : bf16), i32(width), i32(order ?? 0)],
        ]
        : [
          ...[pointer(out), i32(width + 4), pointer(partial), ...packed(q), ...packed(k), ...packed(v), ...angles],
          ...[...place, i32(splits), i32(round), i32(n), pointer(counters)],
        ],
    },
    check: () =>
      worstOf(
        near(results(), exact, round),
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
  // The token's own row as the first of a chunk, its last, in a part alone, and behind a window.
  const few = { ...shape, kv: "bf16", round: 1 } as const, batch = "attention_batch";
  yield stepCase(870, { ...few, tokens: [[0, 96], [1, 0], [2, 95], [0, -1]], heads: 16 }, 1, batch);
  yield stepCase(871, { ...few, tokens: [[0, 300], [1, 128], [2, 127]] }, 8, batch, 0);
  yield stepCase(872, { ...few, tokens: [[1, 250], [2, 139]], window: 140, heads: 6 }, 1, batch, 1);
  yield stepCase(873, { ...few, tokens: [[0, 1100], [1, 1030], [2, -1]], kvHeads: 1, heads: 3 }, 8, batch, 0);
  yield stepCase(867, { ...shape, kv: "bf16", round: 1, tokens: [[0, 200]], kvHeads: 1, heads: 2 }, 64);
}
