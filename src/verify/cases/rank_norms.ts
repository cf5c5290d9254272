/** Cases of the sums over ranks that are added to the residual stream, whose norm is made besides. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { normRow } from "./inputs.ts";
import { type Argument, type DeviceBuffer, floats, i32, i64, inout, input, ints, output, pointer } from "./job.ts";
import { bitsOf, PLACES } from "./orders.ts";
import { Random } from "./random.ts";
import { BOTH, PIECES, pointersTo, sentWords } from "./ranks.ts";
import { inputStruct } from "./structs.ts";
import { traitsOf } from "./traits.ts";

const Y_STRIDE = 2912, TOP_K = 4, EXPERTS = 6;
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
  // Of several numbers a thread; of numbers that are no whole blocks.
  yield sumCase(r, "exchange_combine_few", { ranks: 2, round: 1, width: 2880 });
  yield sumCase(r, "exchange_combine_few", { ranks: 3, round: 1, width: 304 });
}

/** Tokens of a case, the turn of the launch, and what counters come to: they are about to wrap around. */
const N = 3, MOST = N + 1, LAST = -1, NEXT = 2;

/** Rank 1 computes, which finds in its memory what the others wrote there in the same launch. */
class SumCase {
  /** Whether the kernel for few tokens: pieces with the turn beside them, instead of lines with a counter. */
  readonly few: boolean;
  readonly turn: 0 | 1;
  readonly normed: boolean;
  readonly accumulate: boolean;
  readonly width: number;
  readonly stride: number;
  /** Quads of numbers in a row, in a line, and bytes of a rank's lines. */
  readonly quads: number;
  readonly quadsPerLine: number;
  readonly room: number;
  /** What each rank adds, [N][stride]. */
  readonly parts: Float32Array[];
  readonly y: Float32Array;
  readonly weights: Float32Array;
  readonly ids: Int32Array;
  /** The residual stream, [N][stride]: what it is to be, and the kernel's. */
  readonly want: Float32Array;
  readonly h: DeviceBuffer;
  readonly weight: Float32Array;
  /** The norm: rows of it, and as those read it who come after, in two orders of columns. */
  readonly out: DeviceBuffer;
  readonly prepared: readonly [DeviceBuffer, DeviceBuffer];
  readonly orders: readonly [0 | 1, 2];
  /** Every rank's memory. */
  readonly boxes: readonly DeviceBuffer[];
  readonly turns: DeviceBuffer;

  constructor(r: Random, readonly entry: Entry, readonly shape: Shape) {
    const { ranks, round, normed = true, accumulate = true, width = 320 } = shape;
    this.few = entry === "exchange_combine_few";
    this.turn = this.few ? 1 : 0;
    this.normed = normed;
    this.accumulate = accumulate;
    this.width = width;
    this.stride = width + 32 - width % 32;
    this.quads = Math.ceil(width / 4);
    this.quadsPerLine = round ? 15 : 7;
    this.room = 128 * N * this.#lines;
    this.parts = Array.from({ length: ranks }, () => r.row(N * this.stride, round === 1));
    this.y = r.row(N * TOP_K * Y_STRIDE, false);
    this.weights = r.row(N * TOP_K, false);
    this.ids = Int32Array.from({ length: N * TOP_K }, (_, i) => (i * 5 + 1) % EXPERTS);
    if (entry !== "exchange_rows") this.#combine();
    const before = r.row(N * this.stride, round === 1);
    this.h = inout(before);
    this.want = before.map((v, i) => this.#summed(v, i));
    this.weight = r.row(width, true);
    this.prepared = [output(2 * N * width), output(2 * N * width)];
    this.out = output(4 * N * this.stride);
    this.orders = [round ? 1 : 0, 2];
    this.boxes = this.parts.map((_, rank) => {
      const box = new Uint32Array(this.few ? 2 * N * 2 * ranks * 2 * PIECES * 4 : 2 * ranks * this.room / 4);
      if (rank === 1) this.parts.forEach((_, from) => from !== 1 && this.#leave(box, from));
      return inout(new Int32Array(box.buffer));
    });
    this.turns = inout(this.few ? new Int32Array(2 * N) : new Int32Array(2 * MOST).fill(LAST));
  }

  get #lines(): number {
    return Math.ceil(this.quads / this.quadsPerLine);
  }

  #rounded(value: number): number {
    return this.shape.round ? roundToBf16(Math.fround(value)) : Math.fround(value);
  }

  /** Makes rank 1's part: the weighted sum of its experts' rows. */
  #combine(): void {
    const { ids, y, weights, stride } = this, own = (slot: number) => ids[slot]! >= FIRST && ids[slot]! < FIRST + COUNT;
    // What was never written must not count: rows of the others' experts.
    for (let slot = 1; slot < ids.length; slot++) {
      if (!own(slot)) y.fill(NaN, slot * Y_STRIDE, (slot + 1) * Y_STRIDE);
    }
    this.parts[1] = this.parts[1]!.map((_, i) => {
      let sum = 0;
      for (let k = 0; k < TOP_K; k++) {
        const slot = Math.floor(i / stride) * TOP_K + k;
        if (own(slot)) sum = Math.fround(sum + Math.fround(weights[slot]! * y[slot * Y_STRIDE + i % stride]!));
      }
      return this.#rounded(sum);
    });
  }

  /** Number i of the residual stream, where it was `before`. */
  #summed(before: number, i: number): number {
    if (i % this.stride >= this.width) return before;
    const sum = this.#rounded(this.parts.reduce((sum, part) => Math.fround(sum + part[i]!), 0));
    return this.accumulate ? this.#rounded(before + sum) : sum;
  }

  /** Writes what rank `from` sends to a rank, in the receiver's memory. */
  #leave(box: Uint32Array, from: number): Uint32Array {
    const { quads, quadsPerLine, turn, stride, room, shape: { ranks, round } } = this;
    for (let i = 0; i < N * quads; i++) {
      const row = Math.floor(i / quads), at = row * stride + i % quads * 4;
      const sent = sentWords(this.parts[from]!.slice(at, at + 4), round);
      if (this.few) {
        for (let half = 0; half < sent.length / 2; half++) {
          // A row has the room of two blocks.
          const quad = i % quads, block = 2 * row + Math.floor(quad / PIECES);
          const place = (((block * 2 + turn) * ranks + from) * 2 + half) * PIECES + quad % PIECES;
          box.set([sent[2 * half]!, turn, sent[2 * half + 1]!, turn], 4 * place);
        }
      } else {
        const lines = row * this.#lines + Math.floor(i % quads / quadsPerLine);
        const line = (turn * ranks + from) * room / 4 + 32 * lines;
        box.set(sent, line + sent.length * (i % quads % quadsPerLine));
        box.fill(NEXT, line + 30, line + 32);
      }
    }
    return box;
  }

  #arguments(): Argument[] {
    const { h, y, ids, weights, stride, width, normed, shape: { ranks, round } } = this;
    const [first, second] = this.prepared, [order, otherOrder] = this.orders;
    const norm = normed ? { norm: input(encodePlain(this.weight, "bf16")), normFormat: 0 } : {};
    const from = inputStruct({ x: h, stride, round, eps: 1e-5, ...norm });
    const choices = [
      i32(Y_STRIDE),
      ...[pointer(input(ids)), pointer(input(weights)), i32(FIRST), i32(COUNT), i32(TOP_K)],
    ];
    const among = [pointer(pointersTo(this.boxes)), pointer(input(Int32Array.of(0))), i32(1), i32(ranks)];
    const counted = [...among, pointer(this.turns), i32(MOST), i64(this.room), i32(stride)];
    const beside = [pointer(normed ? second : null), i32(width), i32(otherOrder)];
    const norms = [
      ...[from.argument(), pointer(normed ? this.out : null), i32(stride)],
      ...[pointer(normed ? first : null), i32(width), i32(order)],
    ];
    const rows = [i32(width), i32(round)];
    switch (this.entry) {
      case "exchange_rows":
        return [
          ...[pointer(h), pointer(input(this.parts[1]!)), ...counted, i32(stride), ...norms, ...beside, ...rows],
          ...[i32(this.accumulate ? 1 : 0), i32(N), i32(BOTH)],
        ];
      case "exchange_combine":
        return [
          ...[pointer(h), pointer(input(y)), ...counted, ...choices, ...norms, ...beside, ...rows],
          ...[i32(N), i32(BOTH)],
        ];
      case "exchange_combine_few":
        return [
          ...[pointer(h), pointer(input(y)), ...among, pointer(this.turns), i32(stride), ...choices, ...norms, ...rows],
          ...[i32(N), i32(BOTH)],
        ];
    }
  }

  /** Whether rank 1 has sent its part to all, what the others left in its memory is there, and counters went on. */
  #exchanged(): boolean {
    const sent = this.boxes.every((box, rank) => {
      if (rank === 1 && this.few) return true;
      const expected = new Int32Array(this.#leave(new Uint32Array(box.bytes.length / 4), 1).buffer);
      return ints(box).every((v, i) => v === expected[i] || rank === 1 && expected[i] === 0);
    });
    const came = this.few
      ? ints(this.turns).every((v, i) => v === (i % 2 * PIECES < this.quads ? 1 : 0))
      : ints(this.turns).every((v, i) => v === (i % MOST < N ? NEXT : LAST));
    return sent && came;
  }

  #check(): number {
    if (!this.#exchanged()) return Infinity;
    const { want, stride, width, weight, few, shape: { round } } = this, verdict = exactly(floats(this.h), want);
    if (!this.normed) return verdict;
    const rowOf = (all: Float32Array, t: number) => all.slice(t * stride, t * stride + width);
    const rows = Array.from({ length: N }, (_, t) => rowOf(floats(this.out), t));
    const exact = rows.flatMap((_, t) => [...normRow(rowOf(want, t), weight, Math.fround(1e-5), round)]);
    // Of the norm that was computed, in the order asked for.
    const [first, second] = this.prepared.map(({ bytes }, i) => {
      const got = new Uint16Array(bytes.slice().buffer), place = PLACES[this.orders[i]!];
      const same = rows.every((row, t) =>
        row.every((v, c) => got[t * width + place(c)] === bitsOf(roundToBf16(v)) >>> 16)
      );
      return same ? 0 : Infinity;
    });
    const norm = near(rows.flatMap((row) => [...row]), exact, 0, round ? 8e-3 : 1e-6);
    return worstOf(verdict, norm, first!, few ? 0 : second!);
  }

  made(): KernelCase {
    const { entry, few, normed, width, shape: { ranks, round } } = this, { threads } = traitsOf(entry);
    const grid = [few ? N : 2 * N, 1, 1] as const;
    return {
      name: `${entry} of ${ranks} round ${round} width ${width}${normed ? "" : ", without norm"}`,
      job: { entry, grid, threads, lds: 0, arguments: this.#arguments() },
      check: () => this.#check(),
    };
  }
}

function sumCase(r: Random, entry: Entry, shape: Shape): KernelCase {
  return new SumCase(r, entry, shape).made();
}
