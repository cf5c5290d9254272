/** Cases of the sums over ranks that are added to the residual stream, whose norm is made besides. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { normRow } from "./inputs.ts";
import { type DeviceBuffer, floats, i32, i64, inout, input, ints, output, pointer } from "./job.ts";
import { Random } from "./random.ts";
import { BOTH, PIECES, pointersTo, sentWords } from "./ranks.ts";
import { inputStruct } from "./structs.ts";
import { traitsOf } from "./traits.ts";

const Y_STRIDE = 384, TOP_K = 4, EXPERTS = 6;
/** Of the experts, which rank 1 has. */
const FIRST = 2, COUNT = 3;
type Entry = "exchange_rows" | "exchange_combine" | "exchange_combine_few";

/** What a case is of. */
interface Shape {
  readonly ranks: number;
  readonly round: 0 | 1;
  readonly normed?: boolean;
  readonly accumulate?: boolean;
  readonly width?: number;
}

/** Where a column lies, by order; see kernels/common/columns.h. */
const PLACES = [
  (c: number) => c,
  (c: number) => (c & ~7) + 2 * (c & 3) + (c >> 2 & 1),
  (c: number) => (c & ~63) + (c & 8) * 4 + (c >> 3 & 6) + 8 * (c & 3) + (c >> 2 & 1),
] as const;

export function* rankNormCases(): Generator<KernelCase> {
  const r = new Random(29);
  for (const [ranks, round] of [[2, 1], [3, 0]] as const) {
    yield sumCase(r, "exchange_rows", { ranks, round });
    yield sumCase(r, "exchange_combine", { ranks, round });
    yield sumCase(r, "exchange_combine", { ranks, round, normed: false });
    // Rows that end within a quad, or that a thread takes twice.
    yield sumCase(r, "exchange_rows", { ranks, round, normed: false, accumulate: false, width: round ? 301 : 3100 });
    yield sumCase(r, "exchange_combine_few", { ranks, round });
  }
  yield sumCase(r, "exchange_combine_few", { ranks: 2, round: 1, normed: false });
}

/** Rank 1 computes, which finds in its memory what the others wrote there in the same launch. */
function sumCase(
  r: Random,
  entry: Entry,
  { ranks, round, normed = true, accumulate = true, width = 320 }: Shape,
): KernelCase {
  const few = entry === "exchange_combine_few", combined = entry !== "exchange_rows", n = 3, turn = few ? 1 : 0;
  const stride = width + 32 - width % 32, quads = Math.ceil(width / 4), each = round ? 15 : 7;
  const lines = Math.ceil(quads / each), room = 128 * n * lines;
  const rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
  const parts = Array.from({ length: ranks }, () => r.row(n * stride, round === 1));
  const y = r.row(n * TOP_K * Y_STRIDE, false), weights = r.row(n * TOP_K, false);
  const ids = Int32Array.from({ length: n * TOP_K }, (_, i) => (i * 5 + 1) % EXPERTS);
  if (combined) {
    // What was never written must not be read: rows of the others' experts.
    ids.forEach((id, slot) => {
      if (slot > 0 && (id < FIRST || id >= FIRST + COUNT)) y.fill(NaN, slot * Y_STRIDE, (slot + 1) * Y_STRIDE);
    });
    parts[1] = parts[1]!.map((_, i) => {
      let sum = 0;
      for (let k = 0; k < TOP_K; k++) {
        const slot = Math.floor(i / stride) * TOP_K + k, own = ids[slot]! >= FIRST && ids[slot]! < FIRST + COUNT;
        if (own) sum = Math.fround(sum + Math.fround(weights[slot]! * y[slot * Y_STRIDE + i % stride]!));
      }
      return rounded(sum);
    });
  }
  const before = r.row(n * stride, round === 1), h = inout(before);
  const want = before.map((v, i) => {
    if (i % stride >= width) return v;
    const sum = rounded(parts.reduce((sum, part) => Math.fround(sum + part[i]!), 0));
    return accumulate ? rounded(v + sum) : sum;
  });
  const weight = r.row(width, true), first = output(2 * n * width), second = output(2 * n * width);
  const out = output(4 * n * stride);
  // Counters that are about to wrap around.
  const last = -1, next = 2, most = n + 1;
  /** What rank `from` sends to a rank, in the receiver's memory. */
  const leave = (box: Uint32Array, from: number): Uint32Array => {
    for (let i = 0; i < n * quads; i++) {
      const row = Math.floor(i / quads), at = row * stride + i % quads * 4;
      const sent = sentWords(parts[from]!.slice(at, at + 4), round);
      if (!few) {
        const line = (turn * ranks + from) * room / 4 + 32 * (row * lines + Math.floor(i % quads / each));
        box.set(sent, line + sent.length * (i % quads % each));
        box.fill(next, line + 30, line + 32);
      } else {
        for (let half = 0; half < sent.length / 2; half++) {
          const place = (((2 * row * 2 + turn) * ranks + from) * 2 + half) * PIECES + i % quads;
          box.set([sent[2 * half]!, turn, sent[2 * half + 1]!, turn], 4 * place);
        }
      }
    }
    return box;
  };
  const boxes = parts.map((_, rank) => {
    const box = new Uint32Array(few ? 2 * n * 2 * ranks * 2 * PIECES * 4 : 2 * ranks * room / 4);
    if (rank === 1) parts.forEach((_, from) => from !== 1 && leave(box, from));
    return inout(new Int32Array(box.buffer));
  });
  const turns = inout(few ? new Int32Array(2 * n) : new Int32Array(2 * most).fill(last));
  const orders = [round ? 1 : 0, 2] as const;
  const in_ = inputStruct({
    ...{ x: h, stride, round, eps: 1e-5 },
    ...(normed ? { norm: input(encodePlain(weight, "bf16")), normFormat: 0 } : {}),
  });
  const choices = [
    i32(Y_STRIDE),
    ...[pointer(input(ids)), pointer(input(weights)), i32(FIRST), i32(COUNT), i32(TOP_K)],
  ];
  const among = [pointer(pointersTo(boxes)), pointer(input(Int32Array.of(0))), i32(1), i32(ranks)];
  const counted = [...among, pointer(turns), i32(most), i64(room), i32(stride)];
  const second_ = [pointer(normed ? second : null), i32(width), i32(orders[1])];
  const norms = [
    ...[in_.argument(), pointer(normed ? out : null), i32(stride)],
    ...[pointer(normed ? first : null), i32(width), i32(orders[0])],
  ];
  const rows = [i32(width), i32(round)];
  const arguments_ = {
    exchange_rows: [
      ...[pointer(h), pointer(input(parts[1]!)), ...counted, i32(stride), ...norms, ...second_, ...rows],
      ...[i32(accumulate ? 1 : 0), i32(n), i32(BOTH)],
    ],
    exchange_combine: [
      ...[pointer(h), pointer(input(y)), ...counted, ...choices, ...norms, ...second_, ...rows],
      ...[i32(n), i32(BOTH)],
    ],
    exchange_combine_few: [
      ...[pointer(h), pointer(input(y)), ...among, pointer(turns), i32(stride), ...choices, ...norms, ...rows],
      ...[i32(n), i32(BOTH)],
    ],
  }[entry];
  return {
    name: `${entry} of ${ranks} round ${round} width ${width}${normed ? "" : ", without norm"}`,
    job: { entry, grid: [few ? n : 2 * n, 1, 1], threads: traitsOf(entry).threads, lds: 0, arguments: arguments_ },
    check: () => {
      const sent = boxes.every((box, rank) => {
        if (rank === 1 && few) return true;
        const expected = new Int32Array(leave(new Uint32Array(box.bytes.length / 4), 1).buffer);
        // What the others left in rank 1's memory is still there.
        return ints(box).every((v, i) => v === expected[i] || rank === 1 && expected[i] === 0);
      });
      const came = few
        ? ints(turns).every((v, i) => v === (i + 1) % 2)
        : ints(turns).every((v, i) => v === (i % most < n ? next : last));
      if (!sent || !came) return Infinity;
      const verdict = exactly(floats(h), want);
      if (!normed) return verdict;
      const each = Array.from({ length: n }, (_, t) => floats(out).slice(t * stride, t * stride + width));
      const exact = each.flatMap((_, t) => [
        ...normRow(want.slice(t * stride, t * stride + width), weight, Math.fround(1e-5), round),
      ]);
      // Of the norm that was computed, in the order asked for.
      const prepared = ({ bytes }: DeviceBuffer, order: 0 | 1 | 2) => {
        const got = new Uint16Array(bytes.slice().buffer);
        const same = each.every((row, t) =>
          row.every((v, c) => got[t * width + PLACES[order](c)] === bitsOf(roundToBf16(v)) >>> 16)
        );
        return same ? 0 : Infinity;
      };
      return worstOf(
        verdict,
        near(each.flatMap((row) => [...row]), exact, 0, round ? 8e-3 : 1e-6),
        prepared(first, orders[0]),
        few ? 0 : prepared(second, orders[1]),
      );
    },
  };
}

const bitsOf = (v: number): number => new Uint32Array(Float32Array.of(v).buffer)[0]!;
