/** Cases of what inputs go through before products: qdq, quantize. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { decodeElements } from "../../formats/decode.ts";
import { decodeE8m0 } from "../../formats/scales.ts";
import { exactly, type KernelCase, worstOf } from "./check.ts";
import { bf16s, type DeviceBuffer, floats, i32, input, output, pointer } from "./job.ts";
import { inputStruct } from "./structs.ts";
import { KINDS, MX_KINDS, normRow, prepare, RULES } from "./inputs.ts";
import { Random } from "./random.ts";
import { rowsJob, rowsOf, strided } from "./rows.ts";

/**
 * Rows whose blocks meet the corners of the scale rules: zeros, ties, saturation, subnormals, infinities, NaN, largest
 * numbers at which the rules part.
 */
function corners(r: Random, width: number): Float32Array[] {
  const spread = Float32Array.from({ length: width }, () => Math.fround(r.normal() * 2 ** (r.below(60) - 30)));
  const ties = Float32Array.from(
    { length: width },
    (_, i) => (i % 32 === 0 ? 7 : 0.4375 * (i % 32)) * 2 ** (Math.floor(i / 32) - 2),
  );
  const odd = r.row(width, false);
  odd.fill(0, 0, 32);
  odd.fill(1e-42, 32, 64);
  odd[70] = Infinity;
  odd[100] = NaN;
  odd[130] = 3.4e38;
  // The fractions of the elements' largest numbers, and the next float32 numbers.
  const parting = r.row(width, false);
  [1.5, 1.75, 1.875].flatMap((x) => [x, x + 2 ** -23]).forEach((x, block) => {
    for (let i = 0; i < 32; i++) parting[32 * block + i] = i === 9 ? -x * 2 ** block : parting[32 * block + i]! * 0.1;
  });
  return [spread, ties, odd, r.row(width, true), parting];
}

/** The column that an order has at a place of a row: itself; of every eight 0 4 1 5 2 6 3 7; of every 64 .. */
const COLUMN_AT: Readonly<Record<number, (place: number) => number>> = {
  0: (place) => place,
  1: (place) => (place & ~7) + (place & 1) * 4 + (place >> 1 & 3),
  // .. such pairs (0 4, 1 5, ..) of four times sixteen columns by turns.
  2: (place) => (place & ~63) + (place >> 1 & 3) * 16 + (place >> 5 & 1) * 8 + (place & 1) * 4 + (place >> 3 & 3),
};

/** A row as it lies in an order. */
export const inOrder = (row: Float32Array, order: number): Float32Array =>
  row.map((_, place) => row[COLUMN_AT[order]!(place)] ?? 0);

/** Rows that stand some numbers apart, and as a kernel reads them. */
interface GivenRows {
  readonly rows: readonly Float32Array[];
  readonly stride: number;
  readonly x: DeviceBuffer;
}

function given(rows: readonly Float32Array[], stride: number): GivenRows {
  return { rows, stride, x: input(strided(rows, stride)) };
}

/** The verdict on rows of bf16 numbers, `stride` apart in an order of columns: those given, and zeros behind them. */
function asBf16(got: Float32Array, stride: number, order: number, want: readonly Float32Array[]): number {
  return worstOf(...want.map((row, i) => {
    const padded = new Float32Array(stride);
    padded.set(row.map(roundToBf16));
    return exactly(got.subarray(i * stride, (i + 1) * stride), inOrder(padded, order));
  }));
}

/** Float32 numbers, the same as bf16 in an order of columns, and what multiplies sums of products with them. */
function qdqCase({ rows, stride, x }: GivenRows, kind: number, rule: number, round: number): KernelCase {
  const n = rows.length, width = rows[0]!.length, bf16Stride = 232, scale = Math.fround(0.013);
  // What is written as bf16 in another order has the same numbers; the last is that of whole 64 columns.
  const order = round === 1 ? (kind >> 1) % 3 : 0;
  const out = output(4 * n * stride), bf16 = output(2 * n * bf16Stride), scales = output(4 * n);
  const want = rows.map((row) => {
    const prepared = prepare(row, kind, rule, scale, round);
    // Kind none passes numbers on as they are; the reference rounds them, which they already are in a bf16 model.
    return kind === 0 ? { values: row, scale: 1 } : prepared;
  });
  return {
    name: `qdq ${KINDS[kind]} rule ${rule} round ${round} order ${order}`,
    job: rowsJob("qdq", n, [
      ...[pointer(out), i32(stride), pointer(bf16), i32(bf16Stride), i32(order), pointer(scales)],
      inputStruct({ x, stride, kind, rule, scale, round }).argument(),
      ...[i32(width), i32(n)],
    ]),
    check: () => {
      const got = rowsOf(floats(out), stride, width);
      return worstOf(
        ...want.map(({ values }, i) => exactly(got.subarray(i * width, (i + 1) * width), values)),
        asBf16(bf16s(bf16), bf16Stride, order, want.map(({ values }) => values)),
        exactly(floats(scales), want.map((w) => w.scale)),
      );
    },
  };
}

/** Half of the last 64 columns are zeros. */
function halfCase({ rows, stride, x }: GivenRows): KernelCase {
  const n = rows.length, half = 160, halves = 192, bf16 = output(2 * n * halves);
  const want = rows.map((row) => row.slice(0, half));
  return {
    name: "qdq none, half of 64 columns",
    job: rowsJob("qdq", n, [
      ...[pointer(null), i32(0), pointer(bf16), i32(halves), i32(2), pointer(null)],
      inputStruct({ x, stride, kind: 0, rule: 0, scale: 1, round: 1 }).argument(),
      ...[i32(half), i32(n)],
    ]),
    check: () => asBf16(bf16s(bf16), halves, 2, want),
  };
}

/** With the norm in front. */
function afterNormCase({ rows, stride, x }: GivenRows, weight: Float32Array, kind: number, round: number): KernelCase {
  const n = rows.length, width = weight.length, out = output(4 * n * stride);
  return {
    name: `qdq ${KINDS[kind]} after norm`,
    job: rowsJob("qdq", n, [
      ...[pointer(out), i32(stride), pointer(null), i32(0), i32(0), pointer(null)],
      inputStruct({
        ...{ x, stride, kind, rule: 0, scale: 1, round, eps: 1e-5 },
        ...{ norm: input(weight), normFormat: 1 },
      }).argument(),
      ...[i32(width), i32(n)],
    ]),
    check: () => {
      const got = rowsOf(floats(out), stride, width);
      return worstOf(...rows.map((row, i) => {
        const want = prepare(normRow(row, weight, Math.fround(1e-5), round), kind, 0, 1, round).values;
        // A sum of squares that is one ulp off moves a scale by as much, and few numbers across a rounding boundary.
        const wrong = want.filter((v, c) => !(Math.abs(v - got[i * width + c]!) <= 3e-7 * Math.abs(v))).length;
        return wrong / (0.02 * width);
      }));
    },
  };
}

/** Inputs as quantized matrices see them. */
export function* qdqCases(): Generator<KernelCase> {
  const r = new Random(3), width = 192, stride = 200, all = given(corners(r, width), stride);
  for (let kind = 0; kind < KINDS.length; kind++) {
    for (const rule of MX_KINDS.includes(kind) ? RULES.keys() : [0]) {
      for (const round of [0, 1]) yield qdqCase(all, kind, rule, round);
    }
  }
  yield halfCase(all);
  const finite = given([0, 1, 3].map((i) => all.rows[i]!), stride);
  for (const [kind, round] of [[1, 1], [5, 0], [8, 0]] as const) {
    yield afterNormCase(finite, r.row(width, true), kind, round);
  }
}

/** The codes of a row for the scaled matrix instructions. */
export function* quantizeCases(): Generator<KernelCase> {
  const r = new Random(5), width = 192, { rows, x } = given(corners(r, width), width), n = rows.length;
  for (const [kind, rule] of [[1, 0], [1, 1], [1, 2], [6, 0], [7, 0]] as const) {
    const scale = Math.fround(0.013), codes = output(n * width), scales = output(n * 8), factors = output(4 * n);
    yield {
      name: `quantize ${KINDS[kind]} rule ${rule}`,
      job: rowsJob("quantize", n, [
        ...[pointer(codes), i32(width), pointer(scales), i32(8), pointer(factors)],
        inputStruct({ x, stride: width, kind, rule, scale }).argument(),
        ...[i32(width), i32(n)],
      ]),
      check: () => {
        const want = rows.map((row) => prepare(row, kind, rule, scale, 0));
        return worstOf(
          ...want.map(({ values }, i) => {
            const own = codes.bytes.slice(i * width, (i + 1) * width);
            const got = decodeElements(kind === 1 ? "mxfp4" : "fp8_e4m3", own, width);
            const blocks = kind === 1 ? scales.bytes.subarray(i * 8) : null;
            return exactly(got.map((v, c) => v * (blocks ? decodeE8m0(blocks[Math.floor(c / 32)]!) : 1)), values);
          }),
          kind === 1 ? 0 : exactly(floats(factors), want.map((w) => w.scale)),
        );
      },
    };
  }
}
