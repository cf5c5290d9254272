/** Cases of the linears for many tokens: `gemm_F`, `expert_sort`, `expert_gemm_F`. */
import type { LinearSpec } from "./linear.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { type DeviceBuffer, f32, floats, i32, inout, input, ints, output, pointer } from "./job.ts";
import { groupStruct } from "./structs.ts";
import { ALPHA, expertArray, LIMIT, worstOfSlots } from "./expert.ts";
import { type KernelFormat, product, Random, randomLinear, withNan } from "./random.ts";
import { sortByExpert, sortCase } from "./expert_sort.ts";
import { inOrder } from "./quantized_rows.ts";
import { rowsOf } from "./rows.ts";
import { traitsOf } from "./traits.ts";

/** Columns with the zeros that a row ends in: whole blocks, or whole steps of 64. */
const padded = (cols: number, order: number) => Math.ceil(cols / (order === 2 ? 64 : 32)) * (order === 2 ? 64 : 32);

/** Rows as a kernel reads them: float32, or bf16 for matrix instructions, which end in zeros. */
export function rowsBuffer(xs: readonly Float32Array[], stride: number, bf16: boolean, order = 0): DeviceBuffer {
  const all = new Float32Array(xs.length * stride).fill(bf16 ? 0 : NaN);
  xs.forEach((row, i) => {
    const whole = new Float32Array(bf16 ? padded(row.length, order) : row.length);
    whole.set(row);
    all.set(inOrder(whole, order), i * stride);
  });
  return input(bf16 ? Uint16Array.from(new Uint32Array(all.buffer), (w) => w >>> 16) : all);
}

interface GemmSpec extends Pick<LinearSpec, "format" | "suffix" | "rows" | "cols" | "n" | "round" | "accumulate"> {
  readonly scales?: boolean;
  /** FP8 weights with a NaN in the third row, of e4m3fnuz or not. */
  readonly fnuzAndNan?: boolean;
  /** `batch_F_xN`: N, and the parts that columns are cut into. */
  readonly batch?: { readonly tokens: number; readonly parts: number; readonly rows?: true };
}

/** The order of columns in which a kernel reads rows. */
const orderOf = (entry: string) => entry.endsWith("_mxfp4_wgmma") ? 2 : entry.includes("batch_mxfp4") ? 1 : 0;

/** A launch of `gemm_*` or `batch_*` with random data. */
function gemmCase(seed: number, s: GemmSpec): KernelCase {
  const r = new Random(seed), { batch } = s;
  const entry = batch
    ? `batch_${s.format}_x${batch.tokens}${batch.rows ? "_rows" : ""}`
    : `gemm_${s.format}${s.suffix ?? ""}`;
  const traits = traitsOf(entry), order = orderOf(entry);
  const bf16 = batch !== undefined || s.suffix !== undefined, stride = padded(s.cols, order) + 8;
  const kind = { rowScales: s.scales ?? false, fnuz: s.fnuzAndNan ?? false };
  const linears = s.rows.map((rows) => randomLinear(r, s.format, rows, s.cols, kind));
  if (s.fnuzAndNan !== undefined) withNan(linears[0]!, 2, 17);
  const xs = Array.from({ length: s.n }, () => r.row(s.cols, true)), scales = r.row(s.n, false).map(Math.abs);
  const before = s.rows.map((rows) => r.row(s.n * rows, true));
  const outs = s.rows.map((rows, g) => ({
    to: s.accumulate ? inout(before[g]!) : output(4 * s.n * rows),
    stride: rows,
  }));
  const tiles = s.rows.reduce((sum, rows) => sum + Math.ceil(rows / traits.rowsPerBlock), 0);
  const tokenTiles = Math.ceil(s.n / traits.tokensPerBlock), parts = batch?.parts ?? 1;
  // The kernel of up to eight tokens adds parts up in a block.
  const few = batch?.tokens === 8,
    sums = output(4 * tiles * tokenTiles * parts * traits.rowsPerBlock * traits.tokensPerBlock);
  const counters = inout(new Int32Array(tiles * tokenTiles));
  return {
    name: `${entry} ${s.rows.join("+")}x${s.cols} n ${s.n} round ${s.round}${s.scales ? " scales" : ""}${
      s.accumulate ? " accumulate" : ""
    }${parts > 1 ? ` in ${parts} parts` : ""}${
      s.fnuzAndNan === undefined ? "" : ` NaN ${s.fnuzAndNan ? "fnuz" : "fn"}`
    }`,
    job: {
      entry,
      grid: batch && !few
        ? [tokenTiles, tiles, parts]
        : [few && parts === 1 ? Math.ceil(tiles / 8) : tiles, tokenTiles, 1],
      threads: few && parts > 1 ? 32 * parts : traits.threads,
      lds: { columns: s.cols },
      arguments: [
        groupStruct(linears.map((l) => l.fields), outs).argument(),
        ...[pointer(rowsBuffer(xs, stride, bf16, order)), i32(stride), pointer(s.scales ? input(scales) : null)],
        ...[i32(s.round), i32(s.accumulate ? 1 : 0), i32(s.n)],
        ...(few ? [i32(parts)] : []),
        ...(batch && !few ? [i32(parts), ...[sums, counters].map((to) => pointer(parts > 1 ? to : null))] : []),
      ],
    },
    check: () =>
      worstOf(
        ...linears.map((linear, g) => {
          const exact = xs.flatMap((row, t) => [...product(linear, row, s.scales ? scales[t] : 1)]);
          if (!s.accumulate) return near(floats(outs[g]!.to), exact, s.round);
          const sums = exact.map((v, i) => before[g]![i]! + (s.round ? roundToBf16(Math.fround(v)) : v));
          return near(floats(outs[g]!.to), sums, s.round, s.round ? 4e-3 : 4e-6);
        }),
        exactly(ints(counters), new Int32Array(tiles * tokenTiles)),
      ),
  };
}

interface ExpertGemmSpec {
  readonly format: KernelFormat;
  readonly suffix?: string;
  readonly rows: number;
  readonly cols: number;
  readonly n: number;
  readonly round: number;
  /** Up (per token) or down (per slot row). */
  readonly up: boolean;
  readonly swiglu: number;
  readonly scales?: boolean;
  /** `expert_batch_F_xN`: N. */
  readonly batch?: number;
}

/** A launch of `expert_gemm_*` with random data and routing; experts 1 to 3 of five are local. */
function expertGemmCase(seed: number, s: ExpertGemmSpec): KernelCase {
  const r = new Random(seed);
  const entry = s.batch ? `expert_batch_${s.format}_x${s.batch}` : `expert_gemm_${s.format}${s.suffix ?? ""}`;
  const traits = traitsOf(entry), bf16 = s.batch !== undefined || s.suffix !== undefined;
  const topK = 2,
    slots = s.n * topK,
    first = 1,
    count = 3,
    stride = padded(s.cols, orderOf(entry));
  const experts = Array.from({ length: count }, () => randomLinear(r, s.format, s.rows, s.cols));
  const ids = Int32Array.from({ length: slots }, () => r.below(5)), divisor = s.up ? topK : 1;
  const xs = Array.from({ length: slots / divisor }, () => r.row(s.cols, true)),
    scales = r.row(xs.length, false).map(Math.abs);
  const order = sortByExpert(ids, first, count, traits.tokensPerBlock);
  const width = s.swiglu ? s.rows / 2 : s.rows, out = output(4 * slots * (width + 1));
  return {
    name: `${entry} ${s.rows}x${s.cols} n ${s.n} ${s.up ? "up" : "down"} round ${s.round} swiglu ${s.swiglu}${
      s.scales ? " scales" : ""
    }`,
    job: {
      entry,
      grid: [Math.ceil(s.rows / traits.rowsPerBlock), Math.ceil(slots / traits.tokensPerBlock) + count, 1],
      threads: traits.threads,
      lds: { columns: s.cols },
      arguments: [
        ...[
          pointer(expertArray(experts)),
          pointer(rowsBuffer(xs, stride, bf16, orderOf(entry))),
          i32(stride),
          pointer(s.scales ? input(scales) : null),
        ],
        ...[i32(divisor), pointer(input(order.sorted)), pointer(input(order.offsets)), pointer(input(order.tiles))],
        ...[
          pointer(input(Int32Array.of(order.tiles.length / 2))),
          pointer(out),
          i32(width + 1),
          i32(s.round),
          i32(s.swiglu),
        ],
        ...[f32(ALPHA), f32(LIMIT), i32(s.rows), i32(s.cols)],
      ],
    },
    check: () => {
      const got = rowsOf(floats(out), width + 1, width);
      const products = Array.from(ids, (id, slot) => {
        const expert = experts[id - first], row = Math.floor(slot / divisor);
        return expert ? product(expert, xs[row]!, s.scales ? scales[row] : 1) : null;
      });
      return worstOfSlots(got, products, s);
    },
  };
}

export function* gemmCases(): Generator<KernelCase> {
  const formats: readonly KernelFormat[] = [
    ...["bf16", "f32", "f16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8", "bf16_t", "f32_t", "f16_t"] as const,
  ];
  let seed = 500;
  for (const format of formats) {
    yield gemmCase(seed++, { format, rows: [20, 70], cols: 96, n: 9, round: 1 });
    yield gemmCase(seed++, {
      format,
      rows: [66],
      cols: 64,
      n: 67,
      round: 0,
      scales: format === "fp8",
      accumulate: format === "bf16",
    });
    yield expertGemmCase(seed++, { format, rows: 70, cols: 64, n: 20, round: 1, up: true, swiglu: 1 });
    yield expertGemmCase(seed++, {
      format,
      rows: 33,
      cols: 32,
      n: 12,
      round: 0,
      up: false,
      swiglu: 0,
      scales: format === "fp8",
    });
  }
  for (const format of ["bf16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8", "bf16_t"] as const) {
    const suffix = "_mma", scales = format === "fp8", accumulate = format === "bf16";
    yield gemmCase(seed++, { format, suffix, rows: [20, 130], cols: 96, n: 9, round: 1, accumulate });
    yield gemmCase(seed++, { format, suffix, rows: [66], cols: 64, n: 130, round: 0, scales });
    yield expertGemmCase(seed++, { format, suffix, rows: 70, cols: 64, n: 90, round: 1, up: true, swiglu: 1 });
    yield expertGemmCase(seed++, { format, suffix, rows: 33, cols: 32, n: 12, round: 0, up: false, swiglu: 0, scales });
  }
  yield* batchCases();
  yield* warpgroupCases();
  for (const format of ["bf16", "fp8"] as const) {
    yield gemmCase(seed++, { format, suffix: "_mma", rows: [18], cols: 45, n: 5, round: 0 });
  }
  for (const format of ["bf16", "f16", "fp8"] as const) {
    yield gemmCase(seed++, { format, rows: [18], cols: 45, n: 5, round: 0 });
  }
  yield sortCase(seed++, 8, 4, 0, 4, 64);
  yield sortCase(seed++, 300, 7, 2, 4, 16);
  yield sortCase(seed++, 1100, 40, 0, 40, 64);
  // Rows of whole units whose last step is not whole.
  for (
    const [format, cols] of [["bf16", 40], ["f16", 72], ["fp8", 48], ["f32", 36], ["f32_t", 36], ["f32", 45]] as const
  ) {
    yield gemmCase(seed++, { format, rows: [18], cols, n: 5, round: 0 });
    yield expertGemmCase(seed++, { format, rows: 18, cols, n: 12, round: 0, up: false, swiglu: 0 });
  }
  // Experts of two windows, each with an order of its own.
  yield sortCase(seed++, 2000, 150, 3, 140, 16);
}

/** The products of warpgroups: each size of a tile of tokens, one step and more than are under way, half a step. */
function* warpgroupCases(): Generator<KernelCase> {
  let seed = 800;
  const suffix = "_wgmma";
  for (const format of ["bf16", "mxfp4"] as const) {
    yield gemmCase(seed++, { format, suffix, rows: [20, 130], cols: 64, n: 9, round: 1, accumulate: true });
    yield gemmCase(seed++, { format, suffix, rows: [66], cols: 704, n: 130, round: 0 });
    yield gemmCase(seed++, { format, suffix, rows: [17], cols: 128, n: 71, round: 0, scales: true });
    yield expertGemmCase(seed++, { format, suffix, rows: 140, cols: 192, n: 90, round: 1, up: true, swiglu: 1 });
    yield expertGemmCase(seed++, { format, suffix, rows: 33, cols: 512, n: 12, round: 0, up: false, swiglu: 0 });
    yield expertGemmCase(seed++, { format, suffix, rows: 130, cols: 448, n: 300, round: 0, up: false, swiglu: 0 });
  }
  for (const format of ["bf16", "mxfp4"] as const) {
    yield gemmCase(seed++, { format, suffix, rows: [130], cols: 32, n: 9, round: 0 });
    yield expertGemmCase(seed++, { format, suffix, rows: 140, cols: 416, n: 90, round: 0, up: false, swiglu: 0 });
  }
  // Some 156 rows an expert: more than a whole tile of bf16's, about one of MXFP4's.
  for (const format of ["bf16", "mxfp4"] as const) {
    yield expertGemmCase(seed++, { format, suffix, rows: 66, cols: 160, n: 390, round: 0, up: false, swiglu: 0 });
  }
}

/** The kernels of batches; their columns are whole multiples of 16, or of 32 where there are blocks. */
function* batchCases(): Generator<KernelCase> {
  let seed = 700;
  // Fewer tokens than a tile has, more than one tile, columns that end within a step, warps without a part, rows that
  // no block has all of.
  const eight = (s: Omit<GemmSpec, "format" | "batch">, parts: number) =>
    gemmCase(780 + parts, { ...s, format: "bf16", batch: { tokens: 8, parts } });
  yield eight({ rows: [20, 48, 33], cols: 2880, n: 4, round: 1, accumulate: true }, 6);
  for (const kind of [{}, { rows: true }] as const) {
    const whole = { format: "bf16", rows: [150, 20], cols: 336, n: 3, round: 0 } as const;
    yield gemmCase(781, { ...whole, batch: { tokens: 8, parts: 1, ...kind } });
  }
  yield eight({ rows: [17], cols: 816, n: 11, round: 0 }, 8);
  yield eight({ rows: [16, 5], cols: 208, n: 8, round: 1 }, 4);
  // More parts than are asked for together.
  yield gemmCase(791, { format: "bf16", rows: [130], cols: 2880, n: 16, round: 0, batch: { tokens: 16, parts: 9 } });
  for (const format of ["bf16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8"] as const) {
    const scales = format === "fp8", up = { up: true, round: 1, swiglu: 1 }, down = { up: false, round: 0, swiglu: 0 };
    for (const tokens of [16, 64]) {
      // Several token tiles of which the last is not whole, a step that is cut, rows that no block has all of.
      const dense = { format, rows: [20, 130], n: tokens + 9 };
      yield gemmCase(seed++, { ...dense, cols: 96, round: 1, accumulate: true, batch: { tokens, parts: 1 } });
      yield gemmCase(seed++, { ...dense, cols: 800, round: 0, scales, batch: { tokens, parts: 3 } });
    }
    yield gemmCase(seed++, { format, rows: [33], cols: 32, n: 1, round: 1, batch: { tokens: 16, parts: 2 } });
    const odd = { format, rows: [33], cols: 64, n: 11, round: 0, batch: { tokens: 16, parts: 1 } };
    for (const fnuz of scales ? [false, true] : []) yield gemmCase(790, { ...odd, fnuzAndNan: fnuz });
    for (const batch of [16, 32]) {
      yield expertGemmCase(seed++, { format, rows: 140, cols: 352, n: 60, ...up, batch });
      yield expertGemmCase(seed++, { format, rows: 33, cols: 64, n: 12, ...down, scales, batch });
    }
  }
}
