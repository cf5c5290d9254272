/** Cases of rows that a matrix kernel gives to a sum over ranks, tile by tile, and of the sum of them. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { rowsBuffer } from "./gemm.ts";
import { normRow } from "./inputs.ts";
import { type DeviceBuffer, floats, i32, i64, inout, input, ints, output, pointer } from "./job.ts";
import { bitsOf, PLACES } from "./orders.ts";
import { product, Random, randomLinear } from "./random.ts";
import { BOTH, pointersTo } from "./ranks.ts";
import { groupStruct, inputStruct } from "./structs.ts";
import { traitsOf } from "./traits.ts";

/** Rows and columns of a tile. */
const TILE = 128;
/** bf16 numbers from a row to the next: whole lines. */
const lineOf = (width: number) => 64 * Math.ceil(width / 64);
const tilesOf = (n: number, width: number) => Math.ceil(n / TILE) * Math.ceil(width / TILE);

export function* givenCases(): Generator<KernelCase> {
  const r = new Random(41);
  // More tiles than the rows have, as in a batch that is not the largest.
  yield takeCase(r, { ranks: 2, n: 130, width: 192, more: 3 });
  yield takeCase(r, { ranks: 3, n: 5, width: 2880, more: 0 });
  yield takeCase(r, { ranks: 2, n: 3, width: 301, more: 0, normed: false });
  // Tiles of each size, several steps, weights that no tile has all of; one step.
  for (const [n, rows, cols] of [[300, 200, 704], [71, 144, 64], [33, 68, 224], [9, 20, 96]] as const) {
    yield giveCase(r, { ranks: 2, n, rows, cols });
  }
  yield giveCase(r, { ranks: 3, n: 140, rows: 132, cols: 160 });
}

/** Turns: of the launch, which is the next after one that is about to wrap around, and what parity its boxes have. */
const LAST = -1, NEXT = 0, PARITY = 0;

/** Rank 1 takes what all ranks gave, itself among them; the last one is a turn ahead. */
function takeCase(
  r: Random,
  { ranks, n, width, more, normed = true }: {
    readonly ranks: number;
    readonly n: number;
    readonly width: number;
    readonly more: number;
    readonly normed?: boolean;
  },
): KernelCase {
  const stride = width + 32 - width % 32, line = lineOf(width), tiles = tilesOf(n, width) + more;
  const rows = n + 128 * more,
    room = 2 * rows * line,
    parts = Array.from({ length: ranks }, () => r.row(n * width, true));
  const box = new Uint16Array(ranks * 2 * room / 2).fill(0x7fc0);
  parts.forEach((part, from) =>
    part.forEach((v, i) => {
      const at = Math.floor(i / width) * line + i % width;
      box[(PARITY * ranks + from) * room / 2 + at] = bitsOf(v) >>> 16;
    })
  );
  const marks = new Int32Array(ranks * tiles).fill(LAST);
  for (let from = 0; from < ranks; from++) {
    marks.fill(from === 2 ? NEXT + 1 : NEXT, from * tiles, from * tiles + tilesOf(n, width));
  }
  // Of other ranks nothing is read or written.
  const inboxes = Array.from({ length: ranks }, (_, rank) => rank === 1 ? input(box) : input(new Uint16Array(1)));
  const allMarks = Array.from({ length: ranks }, (_, rank) => rank === 1 ? input(marks) : input(new Int32Array(1)));
  const whole = TILE * Math.ceil(n / TILE), turns = inout(new Int32Array(whole + 1).fill(LAST));
  const before = r.row(n * stride, true), h = inout(before), weight = r.row(width, true);
  const want = before.map((v, i) => {
    const c = i % stride, at = Math.floor(i / stride) * width + c;
    return c < width ? roundToBf16(v + roundToBf16(parts.reduce((sum, part) => Math.fround(sum + part[at]!), 0))) : v;
  });
  const norm = normed ? { norm: input(encodePlain(weight, "bf16")), normFormat: 0 } : {};
  const out = output(4 * n * stride), prepared = [output(2 * n * width), output(2 * n * width)] as const;
  const orders = [0, 2] as const, given = (to: DeviceBuffer) => pointer(normed ? to : null);
  return {
    name: `exchange_given of ${ranks} n ${n} width ${width}${normed ? "" : ", without norm"}`,
    job: {
      ...{ entry: "exchange_given", grid: [n, 1, 1] as const, threads: traitsOf("exchange_given").threads, lds: 0 },
      arguments: [
        ...[pointer(h), pointer(pointersTo(allMarks)), pointer(pointersTo(inboxes))],
        ...[pointer(input(Int32Array.of(0))), i32(1), i32(ranks), pointer(turns), i64(room), i32(tiles), i32(stride)],
        ...[inputStruct({ x: h, stride, round: 1, eps: 1e-5, ...norm }).argument(), given(out), i32(stride)],
        ...prepared.flatMap((to, i) => [given(to), i32(width), i32(orders[i]!)]),
        ...[i32(width), i32(1), i32(n), i32(BOTH)],
      ],
    },
    check: () => {
      if (!ints(turns).every((v, i) => v === (i < whole ? NEXT : LAST))) return Infinity;
      const verdict = exactly(floats(h), want);
      if (!normed) return verdict;
      const rowOf = (all: Float32Array, t: number) => all.slice(t * stride, t * stride + width);
      const got = Array.from({ length: n }, (_, t) => rowOf(floats(out), t));
      const exact = got.flatMap((_, t) => [...normRow(rowOf(want, t), weight, Math.fround(1e-5), 1)]);
      // Of the norm that was computed, in the order asked for.
      const inOrder = prepared.map(({ bytes }, i) => {
        const all = new Uint16Array(bytes.slice().buffer), place = PLACES[orders[i]!];
        const same = got.every((row, t) => row.every((v, c) => all[t * width + place(c)] === bitsOf(v) >>> 16));
        return same ? 0 : Infinity;
      });
      return worstOf(verdict, near(got.flatMap((row) => [...row]), exact, 0, 8e-3), ...inOrder);
    },
  };
}

/** Rank 1 gives its rows to all ranks, whose memory holds other numbers. */
function giveCase(r: Random, { ranks, n, rows, cols }: {
  readonly ranks: number;
  readonly n: number;
  readonly rows: number;
  readonly cols: number;
}): KernelCase {
  const entry = "gemm_bf16_wgmma_give", traits = traitsOf(entry), line = lineOf(rows), room = 2 * n * line;
  const tiles = tilesOf(n, rows) + 2, linear = randomLinear(r, "bf16", rows, cols, {});
  const xs = Array.from({ length: n }, () => r.row(cols, true)), stride = Math.ceil(cols / 32) * 32 + 8;
  const inboxes = Array.from({ length: ranks }, () => inout(new Int32Array(ranks * room / 2).fill(0x7fc07fc0)));
  const marks = Array.from({ length: ranks }, () => inout(new Int32Array(ranks * tiles).fill(LAST)));
  return {
    name: `${entry} to ${ranks}, ${rows}x${cols} n ${n}`,
    job: {
      ...{ entry, grid: [Math.ceil(rows / TILE), Math.ceil(n / TILE), 1] as const, threads: traits.threads },
      lds: { columns: cols },
      arguments: [
        groupStruct([linear.fields], [{ to: output(4), stride: rows }]).argument(),
        ...[pointer(rowsBuffer(xs, stride, true)), i32(stride), pointer(null), i32(n)],
        ...[pointer(pointersTo(inboxes)), pointer(pointersTo(marks)), i32(1), i32(ranks), i64(room), i32(tiles)],
      ],
    },
    check: () => {
      const own = tilesOf(n, rows), exact = xs.flatMap((row) => [...product(linear, row, 1)]);
      const marked = marks.every((mark) =>
        ints(mark).every((v, i) => v === (i >= tiles && i < tiles + own ? NEXT : LAST))
      );
      if (!marked) return Infinity;
      return worstOf(...inboxes.map(({ bytes }) => {
        const all = new Uint16Array(bytes.slice().buffer), first = (PARITY * ranks + 1) * room / 2;
        // Nothing is written where other ranks' rows are, nor those of the launch before.
        if (all.some((v, i) => v !== 0x7fc0 && (i < first || i >= first + room / 2))) return Infinity;
        const words = Uint32Array.from(
          { length: n * rows },
          (_, i) => all[first + Math.floor(i / rows) * line + i % rows]! << 16,
        );
        return near(new Float32Array(words.buffer), exact, 1);
      }));
    },
  };
}
