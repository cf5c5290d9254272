/** Cases of the operations on rows: embed, rms_norm, add, round_rows, swiglu, combine. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { decodeElements } from "../../formats/decode.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near } from "./check.ts";
import { f32, floats, i32, i64, inout, input, type Job, output, pointer } from "./job.ts";
import { Random } from "./random.ts";

const FORMATS = ["bf16", "f32", "f16"] as const;

/** A launch of one block a row. */
export function rowsJob(entry: string, rows: number, args: Job["arguments"], threads = 256): Job {
  return { entry, grid: [rows, 1, 1], threads, lds: 0, arguments: args };
}

/** Rows as one array, `stride` numbers apart, with one number between them. */
export function strided(rows: readonly Float32Array[], stride: number, between = 0): Float32Array {
  const all = new Float32Array(rows.length * stride).fill(between);
  rows.forEach((row, i) => all.set(row, i * stride));
  return all;
}

/** The first `width` of every `stride` numbers. */
export function rowsOf(values: Float32Array, stride: number, width: number): Float32Array {
  const rows = values.length / stride, out = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) out.set(values.subarray(r * stride, r * stride + width), r * width);
  return out;
}

/** The sum of y times its row's weight, a product and a sum after the other in float32; rows are `stride` apart. */
export function weightedSum(weights: Float32Array, y: Float32Array, stride: number): number {
  return weights.reduce((sum, p, k) => Math.fround(sum + Math.fround(p * y[k * stride]!)), 0);
}

export function* embedCases(): Generator<KernelCase> {
  const r = new Random(1), vocab = 20, width = 45, ids = Int32Array.of(3, 19, 7, 2);
  for (const [format, name] of FORMATS.entries()) {
    for (const round of [0, 1]) {
      const table = encodePlain(r.row(vocab * width, false), name), stored = decodeElements(name, table, vocab * width);
      const size = name === "f32" ? 4 : 2, stride = 48, out = output(4 * stride * ids.length);
      const values = new Float32Array(ids.length * width);
      ids.forEach((id, t) => {
        // This rank holds ids 3 to 18.
        for (let c = 0; c < width && id >= 3 && id < 19; c++) {
          const v = stored[id * width + c]!;
          values[t * width + c] = round ? roundToBf16(v) : v;
        }
      });
      yield {
        name: `embed ${name} round ${round}`,
        job: rowsJob("embed", ids.length, [
          ...[
            pointer(out),
            i32(stride),
            pointer(input(table.subarray(3 * width * size))),
            i64(width * size),
            i32(format),
          ],
          ...[pointer(input(ids)), i32(width), i32(3), i32(16), i32(round), i32(ids.length)],
        ]),
        check: () => exactly(rowsOf(floats(out), stride, width), values),
      };
    }
  }
}

export function* normCases(): Generator<KernelCase> {
  const r = new Random(2);
  for (const [width, round, format] of [[288, 1, 0], [70, 0, 1], [1100, 0, 2]] as const) {
    const n = 2, stride = (width + 7) & ~3, x = r.row(3 * stride, false), out = output(4 * n * stride);
    const stored = encodePlain(r.row(width, false), FORMATS[format]);
    const weight = decodeElements(FORMATS[format], stored, width);
    const want = new Float64Array(n * width), rows = Int32Array.of(2, 0);
    rows.forEach((from, i) => {
      const row = x.subarray(from * stride, from * stride + width);
      const scale = 1 / Math.sqrt(row.reduce((sum, v) => sum + v * v, 0) / width + 1e-5);
      row.forEach((v, c) => want[i * width + c] = v * scale * weight[c]!);
    });
    yield {
      name: `rms_norm ${width} ${FORMATS[format]} round ${round}`,
      job: rowsJob("rms_norm", n, [
        ...[pointer(out), i32(stride), pointer(input(x)), i32(stride), pointer(input(rows)), pointer(input(stored))],
        ...[i32(format), i32(width), f32(1e-5), i32(round), i32(n)],
      ]),
      check: () => near(rowsOf(floats(out), stride, width), want, round),
    };
  }
}

export function* elementwiseCases(): Generator<KernelCase> {
  const r = new Random(4);
  for (const round of [0, 1]) {
    const n = 3, width = 300, stride = 304, a = r.row(n * stride, false), b = r.row(n * stride, false), h = inout(a);
    const rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
    yield {
      name: `add round ${round}`,
      job: rowsJob("add", n, [pointer(h), i32(stride), pointer(input(b)), i32(stride), i32(width), i32(round), i32(n)]),
      check: () => exactly(floats(h), a.map((v, i) => i % stride < width ? rounded(v + b[i]!) : v)),
    };
    const z = r.row(n * 2 * width, true, 5), act = output(4 * n * width);
    yield {
      name: `swiglu round ${round}`,
      job: rowsJob("swiglu", n, [
        ...[
          pointer(act),
          i32(width),
          pointer(input(z)),
          i32(2 * width),
          i32(width),
          f32(1.702),
          f32(7),
          i32(round),
          i32(n),
        ],
      ]),
      check: () =>
        near(
          floats(act),
          Float64Array.from({ length: n * width }, (_, i) => {
            const g = Math.min(z[2 * i]!, 7), u = Math.min(Math.max(z[2 * i + 1]!, -7), 7);
            return (u + 1) * g / (1 + Math.exp(-Math.fround(1.702) * g));
          }),
          round,
          1e-6,
        ),
    };
    for (const accumulate of [0, 1]) {
      // Whole pieces of four columns, and not.
      const topK = 4,
        width = 300 - accumulate,
        y = r.row(n * topK * stride, false),
        p = r.row(n * topK, false).map(Math.abs),
        before = r.row(n * stride, round === 1);
      const out = inout(before);
      const want = before.map((v, i) => {
        const t = Math.floor(i / stride), c = i % stride;
        if (c >= width) return v;
        const sum = weightedSum(p.subarray(t * topK, (t + 1) * topK), y.subarray(t * topK * stride + c), stride);
        return accumulate ? rounded(v + rounded(sum)) : rounded(sum);
      });
      yield {
        name: `combine round ${round} accumulate ${accumulate}`,
        job: rowsJob("combine", n, [
          ...[pointer(out), i32(stride), pointer(input(y)), i32(stride), pointer(input(p)), i32(width), i32(topK)],
          ...[i32(round), i32(accumulate), i32(n)],
        ]),
        check: () => exactly(floats(out), want),
      };
    }
  }
  const values = r.row(2 * 64, false), x = inout(values);
  yield {
    name: "round_rows",
    job: rowsJob("round_rows", 2, [pointer(x), i32(64), i32(60), i32(2)]),
    check: () => exactly(floats(x), values.map((v, i) => i % 64 < 60 ? roundToBf16(v) : v)),
  };
}
