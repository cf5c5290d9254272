/** Cases of attention_step, and of attention_batch where it rotates and stores the tokens that it attends from. */
import type { AttentionSpec } from "./attention.ts";
import { FilledCache } from "./filled_cache.ts";
import { rotated, tables } from "./cache.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { type Argument, bf16s, floats, i32, inout, input, ints, output, pointer } from "./job.ts";
import { cacheStruct } from "./structs.ts";
import { Random } from "./random.ts";
import { inOrder } from "./quantized_rows.ts";
import { rowsOf, strided } from "./rows.ts";
import { traitsOf } from "./traits.ts";

/** A batch of tokens of different sequences: caches that hold what is before them, and their own rows. */
function stepData(seed: number, s: AttentionSpec) {
  const r = new Random(seed), { heads, kvHeads, dim, round } = s;
  const most = Math.max(...s.tokens.map(([, position]) => position));
  const cache = new FilledCache(r, s, s.tokens, { changed: true });
  const sinks = r.row(heads, true), { cos, sin } = tables(r, most + 1, 32);
  const rows = (width: number) => s.tokens.map(() => r.row(width, round === 1));
  const q = rows(heads * dim), k = rows(kvHeads * dim), v = rows(kvHeads * dim);
  const turn = (row: Float32Array, heads: number, position: number) =>
    rotated(row, heads, dim, cos, sin, position, round);
  return { ...s, most, cache, sinks, cos, sin, q, k, v, turn };
}

type StepData = ReturnType<typeof stepData>;

/** The caches' bytes after the kernel has added the tokens' keys and values, which become known to the reference. */
function storedAfter({ tokens, kvHeads, dim, cache, k, v, turn }: StepData) {
  const want = { k: cache.fields.k.bytes.slice(), v: cache.fields.v.bytes.slice() };
  tokens.forEach(([slot, position], t) => {
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
  return want;
}

/** What the tokens attend to, after {@linkcode storedAfter}; zeros for a position of -1. */
function attendedRows({ tokens, heads, dim, cache, sinks, q, turn }: StepData): number[] {
  return tokens.flatMap(([slot, position], t) => {
    if (position < 0) return Array.from({ length: heads * dim }, () => 0);
    const turned = turn(q[t]!, heads, position);
    return [...sinks].flatMap((sink, h) => [
      ...cache.attend(turned.subarray(h * dim, (h + 1) * dim), slot, position, h, sink),
    ]);
  });
}

/** Rows of bf16 numbers whose columns lie in an order, in their natural one. */
function inNaturalOrder(rows: Float32Array, width: number, order: number): Float32Array {
  // The inverse of an order, by what it does to the numbers of columns.
  const at = inOrder(Float32Array.from({ length: width }, (_, c) => c), order), natural = new Float32Array(rows.length);
  rows.forEach((v, i) => natural[i - i % width + at[i % width]!] = v);
  return natural;
}

/** Rows as a kernel's arguments: some numbers apart, and how many. */
function packed(rows: readonly Float32Array[]): Argument[] {
  const stride = rows[0]!.length + 4;
  return [pointer(input(strided(rows, stride))), i32(stride)];
}

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
  const data = stepData(seed, s), { cache, most } = data, { heads, kvHeads, dim, round, tokens } = s;
  const batch = entry === "attention_batch", cut = splits > 1, n = tokens.length, width = heads * dim;
  const want = storedAfter(data), exact = attendedRows(data);
  const out = output(4 * n * (width + 4)), bf16 = output(2 * n * width);
  const partial = output(4 * n * heads * splits * (dim + 2));
  const chunks = Math.ceil(heads / kvHeads / 8), counters = inout(new Int32Array(n * kvHeads * chunks));
  const place = [
    cacheStruct(cache.fields).argument(),
    pointer(input(Int32Array.from(tokens, ([slot]) => slot))),
    pointer(input(Int32Array.from(tokens, ([, position]) => position))),
    ...[pointer(input(encodePlain(data.sinks, "bf16"))), i32(0)],
  ];
  const [q, k, v] = [packed(data.q), packed(data.k), packed(data.v)];
  const angles = [pointer(input(data.cos)), pointer(input(data.sin))];
  const label = `${s.kv} ${heads}/${kvHeads} window ${s.window} n ${n} to ${most} in ${splits} round ${round}`;
  return {
    name: `${entry} ${label}${batch ? ` new rows${order === null ? "" : ` order ${order}`}` : ""}`,
    job: {
      entry,
      grid: batch ? [kvHeads, n, splits] : [splits, kvHeads * chunks, n],
      threads: traitsOf(entry).threads,
      lds: 0,
      arguments: batch
        ? [
          ...[pointer(order === null ? out : null), i32(width + 4), ...q, ...place, i32(round), i32(n)],
          ...[i32(splits), pointer(cut ? partial : null), pointer(cut ? counters : null)],
          ...[...k, ...v, ...angles],
          ...[pointer(order === null ? null : bf16), i32(width), i32(order ?? 0)],
        ]
        : [
          ...[pointer(out), i32(width + 4), pointer(partial), ...q, ...k, ...v, ...angles],
          ...[...place, i32(splits), i32(round), i32(n), pointer(counters)],
        ],
    },
    check: () =>
      worstOf(
        near(
          order === null ? rowsOf(floats(out), width + 4, width) : inNaturalOrder(bf16s(bf16), width, order),
          exact,
          round,
        ),
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
