/** Cases of the sums over ranks: of what was gathered, and of what lies with other ranks. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { exactly, type KernelCase } from "./check.ts";
import { type DeviceBuffer, floats, i32, i64, inout, input, ints, pointer } from "./job.ts";
import { Random } from "./random.ts";

const STRIDE = 304, WIDTH = 300, N = 5, Y_STRIDE = 320;
/** Counters of one rank: most blocks of a launch. */
const BLOCKS = 256;
/** Pieces of four numbers that a block of `exchange_ranks` has room for. */
export const PIECES = 512;
/** Both halves of a launch. */
export const BOTH = 3;

/** Pointers to buffers, in device memory. */
export const pointersTo = (all: readonly DeviceBuffer[]): DeviceBuffer => ({
  bytes: new Uint8Array(8 * all.length),
  pointers: all.map((to, i) => ({ offset: 8 * i, to })),
  constant: true,
});

export function* rankCases(): Generator<KernelCase> {
  const r = new Random(23);
  for (const [ranks, round, accumulate] of [[2, 0, 0], [3, 1, 0], [2, 1, 1], [8, 0, 1]] as const) {
    const rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
    const parts = Array.from({ length: ranks }, () => r.row(N * STRIDE, round === 1));
    const before = r.row(N * STRIDE, round === 1);
    // The order of additions shows in float32.
    const want = before.map((v, i) => {
      if (i % STRIDE >= WIDTH) return v;
      const sum = rounded(parts.reduce((sum, part) => Math.fround(sum + part[i]!), 0));
      return accumulate ? rounded(v + sum) : sum;
    });
    const sizes = [i32(STRIDE), i32(WIDTH), i32(round), i32(accumulate), i32(N)];
    const gathered = new Float32Array(ranks * N * STRIDE);
    parts.forEach((part, rank) => gathered.set(part, rank * part.length));
    const blocks = Math.ceil(N * WIDTH / 1024), out = inout(before), shape = { threads: 256, lds: 0 };
    yield {
      name: `sum_ranks of ${ranks} round ${round} accumulate ${accumulate}`,
      job: {
        ...{ entry: "sum_ranks", grid: [blocks, 1, 1] as const, ...shape },
        arguments: [pointer(out), pointer(input(gathered)), i64(N * STRIDE), i32(ranks), ...sizes],
      },
      check: () => exactly(floats(out), want),
    };
    yield exchangeCase({ ranks, round, accumulate, parts, before, want });
  }
  yield rowsCase(r, 2, 1, 1);
  yield rowsCase(r, 3, 0, 0);
  yield rowsCase(r, 2, 1, 1, 4);
  yield rowsCase(r, 3, 0, 0, 3);
  yield columnsCase(r);
}

/** The words that a rank sends of a row of numbers: two of bf16 in one, or one each. */
export function sentWords(values: Float32Array, round: number): Uint32Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (round === 0) return bits;
  return Uint32Array.from(
    { length: bits.length / 2 },
    (_, i) => (bits[2 * i]! >>> 16) | (bits[2 * i + 1]! & 0xffff0000),
  );
}

/** Rank 1 computes, which finds in its memory what the others wrote there in the same launch. */
function exchangeCase({ ranks, round, accumulate, parts, before, want }: {
  readonly ranks: number;
  readonly round: 0 | 1;
  readonly accumulate: 0 | 1;
  readonly parts: readonly Float32Array[];
  readonly before: Float32Array;
  readonly want: Float32Array;
}): KernelCase {
  // One block, whose threads have two pieces; a count that is about to reach 0 again, which means: never written.
  const grid = 1, quads = WIDTH / 4, turn = [5, 0xfffffffe, 2][ranks % 3]!, parity = turn % 2;
  const turns = inout(Int32Array.of(turn === 2 ? -1 : turn - 1));
  const size = grid * 2 * ranks * 2 * PIECES * 4;
  /** What rank `from` sends to a rank, in the receiver's memory. */
  const notes = (box: Uint32Array, from: number) => {
    for (let i = 0; i < N * quads; i++) {
      const at = Math.floor(i / quads) * STRIDE + i % quads * 4,
        sent = sentWords(parts[from]!.slice(at, at + 4), round);
      for (let half = 0; half < sent.length / 2; half++) {
        const place = 4 * (((parity * ranks + from) * 2 + half) * PIECES + i);
        box.set([sent[2 * half]!, turn, sent[2 * half + 1]!, turn], place);
      }
    }
    return box;
  };
  const boxes = Array.from({ length: ranks }, (_, rank) => {
    const box = new Uint32Array(size);
    if (rank === 1) parts.forEach((_, from) => from !== 1 && notes(box, from));
    return inout(new Int32Array(box.buffer));
  });
  const out = inout(before);
  return {
    name: `exchange_ranks of ${ranks} round ${round} accumulate ${accumulate}`,
    job: {
      ...{ entry: "exchange_ranks", grid: [grid, 1, 1] as const, threads: 256, lds: 0 },
      arguments: [
        ...[pointer(out), pointer(input(parts[1]!)), pointer(pointersTo(boxes)), pointer(input(Int32Array.of(0)))],
        ...[i32(1), i32(ranks), pointer(turns)],
        ...[STRIDE, WIDTH, round, accumulate, N, BOTH].map((v) => i32(v)),
      ],
    },
    check: () => {
      if (ints(turns)[0] !== (turn | 0)) return Infinity;
      const given = boxes.every((box, rank) => {
        const expected = new Int32Array(notes(new Uint32Array(size), 1).buffer);
        return rank === 1 || ints(box).every((v, i) => v === expected[i]);
      });
      return given ? exactly(floats(out), want) : Infinity;
    },
  };
}

/**
 * The same for rows of many tokens, in more than one part.
 *
 * @param topK Not 0: rank 1's rows are weighted sums of so many each.
 */
function rowsCase(r: Random, ranks: number, round: 0 | 1, accumulate: 0 | 1, topK = 0): KernelCase {
  const n = 60, eights = Math.ceil(WIDTH / 8), room = 32 * n * eights;
  const parts = Math.ceil(n * eights / 512),
    entry = topK > 0 ? "exchange_combine" : "exchange_rows";
  const rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
  const rows = Array.from({ length: ranks }, () => r.row(n * STRIDE, round === 1));
  const y = r.row(n * topK * Y_STRIDE, false), weights = r.row(n * topK, false);
  if (topK > 0) {
    rows[1] = rows[1]!.map((_, i) => {
      const row = Math.floor(i / STRIDE),
        products = Array.from({ length: topK }, (_, k) => {
          const choice = row * topK + k;
          return Math.fround(weights[choice]! * y[choice * Y_STRIDE + i % STRIDE]!);
        });
      return rounded(products.reduce((sum, product) => Math.fround(sum + product), 0));
    });
  }
  const before = r.row(n * STRIDE, round === 1), out = inout(before);
  const want = before.map((v, i) => {
    if (i % STRIDE >= WIDTH) return v;
    const sum = rounded(rows.reduce((sum, row) => Math.fround(sum + row[i]!), 0));
    return accumulate ? rounded(v + sum) : sum;
  });
  const size = 2 * ranks * room / 4, turn = 1;
  const sent = (box: Uint32Array, from: number) => {
    for (let i = 0; i < n * eights; i++) {
      const at = Math.floor(i / eights) * STRIDE + i % eights * 8, first = (turn * ranks + from) * room / 4;
      const all = sentWords(rows[from]!.slice(at, at + 8), round);
      box.set(all.subarray(0, 4), first + 4 * i);
      if (round === 0) box.set(all.subarray(4), first + room / 8 + 4 * i);
    }
    return box;
  };
  const boxes = Array.from({ length: ranks }, (_, rank) => {
    const box = new Uint32Array(size);
    if (rank === 1) rows.forEach((_, from) => from !== 1 && sent(box, from));
    return inout(new Int32Array(box.buffer));
  });
  // Counters that are about to wrap around.
  const last = 0x7fffffff, end = (last + parts) | 0, turns = inout(new Int32Array(BLOCKS).fill(turn));
  const marks = marksOf(ranks, end, last);
  return {
    name: `${entry} of ${ranks} round ${round} accumulate ${accumulate}`,
    job: {
      ...{ entry, grid: [1, 1, 1] as const, threads: 512, lds: 0 },
      arguments: [
        ...[pointer(out), pointer(input(topK > 0 ? y : rows[1]!)), pointer(pointersTo(boxes))],
        ...[
          pointer(input(Int32Array.of(0))),
          i32(1),
          i32(ranks),
          pointer(pointersTo(marks)),
          pointer(turns),
          i64(room),
        ],
        ...[i32(STRIDE), ...(topK > 0 ? [i32(Y_STRIDE), pointer(input(weights)), i32(topK)] : [])],
        ...[WIDTH, round, accumulate, n, BOTH].map((v) => i32(v)),
      ],
    },
    check: () => {
      const given = boxes.every((box, rank) => {
        const expected = new Int32Array(sent(new Uint32Array(size), 1).buffer);
        return rank === 1 || ints(box).every((v, i) => v === expected[i]);
      });
      return given && ints(turns)[0] === turn + 1 && marked(marks, end) ? exactly(floats(out), want) : Infinity;
    },
  };
}

function columnsCase(r: Random): KernelCase {
  const ranks = 3, n = 2, stride = 1100, x = r.row(n * stride, false), marks = marksOf(ranks, 2, 0);
  const wholes = Array.from({ length: ranks }, () => inout(new Float32Array(n * ranks * stride).fill(7)));
  const want = new Float32Array(n * ranks * stride).fill(7);
  for (let row = 0; row < n; row++) want.set(x.subarray(row * stride, (row + 1) * stride), (row * ranks + 1) * stride);
  return {
    name: `exchange_columns of ${ranks}`,
    job: {
      ...{ entry: "exchange_columns", grid: [2, 1, 1] as const, threads: 256, lds: 0 },
      arguments: [
        ...[pointer(input(x)), i32(stride), pointer(pointersTo(wholes)), pointer(input(Int32Array.of(0)))],
        ...[i32(1), i32(ranks), pointer(pointersTo(marks)), i32(n), i32(BOTH)],
      ],
    },
    check: () => marked(marks, 2, 2) ? Math.max(...wholes.map((whole) => exactly(floats(whole), want))) : Infinity,
  };
}

/** Counters of all ranks, where the others have come as far as `end` and rank 1 as far as `before`. */
function marksOf(ranks: number, end: number, before: number): DeviceBuffer[] {
  return Array.from({ length: ranks }, (_, rank) => {
    const counters = new Int32Array(ranks * BLOCKS);
    if (rank === 1) counters.fill(end).fill(before, BLOCKS, 2 * BLOCKS);
    return inout(counters);
  });
}

/** Whether rank 1 has said everywhere, its own memory included, that its first `blocks` blocks came to `end`. */
const marked = (marks: readonly DeviceBuffer[], end: number, blocks = 1): boolean =>
  marks.every((mark) => ints(mark).subarray(BLOCKS, BLOCKS + blocks).every((v) => v === end));
