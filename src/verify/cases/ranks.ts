/** Cases of the sums over ranks: of what was gathered, and of what lies with other ranks. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { exactly, type KernelCase } from "./check.ts";
import { type DeviceBuffer, floats, i32, i64, inout, input, ints, pointer } from "./job.ts";
import { Random } from "./random.ts";

const STRIDE = 304, WIDTH = 300, N = 5;
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
  yield columnsCase(r);
  yield argmaxCase(r);
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

/** Ranks whose logits are in the way of one another: ties, the last rank's largest, and some that are no numbers. */
function argmaxCase(r: Random): KernelCase {
  const ranks = 3, columns = 1030, stride = 1100, n = 5, turn = 1;
  const all = Array.from({ length: ranks }, () => r.row(n * stride, false));
  const put = (rank: number, row: number, column: number, v: number) => all[rank]![row * stride + column] = v;
  for (const [rank, column] of [[0, 7], [1, 7], [1, 3]] as const) put(rank, 0, column, 900);
  put(2, 1, 1029, 900);
  put(1, 2, 5, 900);
  for (const [rank, column] of [[2, 4], [1, 9]] as const) put(rank, 3, column, rank === 1 ? NaN : Infinity);
  put(0, 4, 1029, -Infinity);
  const best = (rank: number, row: number) => {
    const own = all[rank]!.subarray(row * stride, row * stride + columns),
      bad = own.findIndex((v) => !Number.isFinite(v));
    const at = bad >= 0 ? bad : own.reduce((most, v, i) => v > own[most]! ? i : most, 0), bits = new Uint32Array(1);
    new Float32Array(bits.buffer)[0] = own[at]!;
    return { key: bad >= 0 ? 2 ** 32 - 1 : keyOf(bits[0]!), id: rank * stride + at };
  };
  const size = n * 2 * ranks * 2 * PIECES * 4;
  const leave = (box: Uint32Array, from: number) => {
    for (let row = 0; row < n; row++) {
      const { key, id } = best(from, row);
      box.set([key, turn, id, turn], 4 * ((row * 2 + turn) * ranks + from) * 2 * PIECES);
    }
    return box;
  };
  const boxes = all.map((_, rank) => {
    const box = new Uint32Array(size);
    if (rank === 1) all.forEach((_, from) => from !== 1 && leave(box, from));
    return inout(new Int32Array(box.buffer));
  });
  const picked = inout(new Int32Array(n)), turns = inout(new Int32Array(n));
  const want = Array.from({ length: n }, (_, row) => {
    const { key, id } = all.map((_, rank) => best(rank, row)).reduce((a, b) => b.key > a.key ? b : a);
    return key === 2 ** 32 - 1 ? ~id : id;
  });
  return {
    name: `exchange_argmax of ${ranks}`,
    job: {
      ...{ entry: "exchange_argmax", grid: [n, 1, 1] as const, threads: 1024, lds: 0 },
      arguments: [
        ...[pointer(input(all[1]!)), i64(stride), pointer(pointersTo(boxes))],
        ...[pointer(input(Int32Array.of(0))), i32(1), i32(ranks), pointer(turns), i32(columns), i32(stride)],
        ...[pointer(picked), i32(n), i32(BOTH)],
      ],
    },
    check: () => {
      const sent = boxes.every((box, rank) => {
        const expected = new Int32Array(leave(new Uint32Array(size), 1).buffer);
        return rank === 1 || ints(box).every((v, i) => v === expected[i]);
      });
      return sent && ints(turns).every((v) => v === turn) ? exactly(ints(picked), want) : Infinity;
    },
  };
}

/** Larger for a larger float32 number, by its bits. */
const keyOf = (bits: number): number => bits >= 2 ** 31 ? 2 ** 32 - 1 - bits : bits + 2 ** 31;

/** Counters of all ranks, where the others have come as far as `end` and rank 1 as far as `before`. */
function marksOf(ranks: number, end: number, before: number): DeviceBuffer[] {
  return Array.from({ length: ranks }, (_, rank) => {
    const counters = new Int32Array(ranks * BLOCKS);
    if (rank === 1) counters.fill(end).fill(before, BLOCKS, 2 * BLOCKS);
    return inout(counters);
  });
}

/** Whether rank 1 has said everywhere, its own memory included, that its first `blocks` blocks came to `end`. */
export const marked = (marks: readonly DeviceBuffer[], end: number, blocks = 1): boolean =>
  marks.every((mark) => ints(mark).subarray(BLOCKS, BLOCKS + blocks).every((v) => v === end));
