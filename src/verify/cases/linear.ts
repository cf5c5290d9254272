/** Cases of the linears for few tokens: `linear_F` and `linear_F_x4`, groups, norms, QDQ, epilogues, slices. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, inout, input, type Job, output } from "./job.ts";
import { groupStruct, inputStruct } from "./structs.ts";
import { KINDS, normRow, prepare } from "./inputs.ts";
import { type KernelFormat, type LinearOptions, product, Random, randomLinear } from "./random.ts";
import { ldsOf, traitsOf } from "./traits.ts";
import { rowsOf } from "./rows.ts";

/** What to launch. */
export interface LinearSpec {
  readonly format: KernelFormat;
  readonly suffix?: string;
  /** Output rows of each linear of the group. */
  readonly rows: readonly number[];
  readonly cols: number;
  readonly n: number;
  readonly round: number;
  readonly kind?: number;
  readonly rule?: number;
  readonly norm?: boolean;
  readonly accumulate?: boolean;
  readonly gather?: boolean;
  /** Fewer blocks than tiles. */
  readonly persistent?: boolean;
  readonly options?: LinearOptions;
}

/** A launch of `linear_*` with random data. */
function linearCase(seed: number, s: LinearSpec): KernelCase {
  const r = new Random(seed), entry = `linear_${s.format}${s.suffix ?? ""}`, traits = traitsOf(entry);
  const kind = s.kind ?? 0, rule = s.rule ?? 0, xScale = Math.fround(0.02), stride = Math.ceil(s.cols / 4) * 4 + 8;
  const linears = s.rows.map((rows) => randomLinear(r, s.format, rows, s.cols, s.options));
  const xs = Array.from({ length: s.n }, () => r.row(s.cols, true));
  const order = xs.map((_, i) => s.gather ? s.n - 1 - i : i);
  const x = new Float32Array(s.n * stride).fill(NaN);
  xs.forEach((row, i) => x.set(row, order[i]! * stride));
  const weight = s.norm ? r.row(s.cols, true) : null;
  const before = s.rows.map((rows) => r.row(s.n * (rows + 5), true));
  const outs = s.rows.map((rows, g) => ({
    to: s.accumulate ? inout(before[g]!) : output(4 * s.n * (rows + 5)),
    stride: rows + 5,
  }));
  const tiles = s.rows.reduce((sum, rows) => sum + Math.ceil(rows / traits.rowsPerBlock), 0);
  const job: Job = {
    entry,
    grid: [s.persistent ? Math.ceil(tiles / 2) : tiles, Math.ceil(s.n / traits.tokensPerBlock), 1],
    threads: traits.threads,
    lds: ldsOf(entry, s.cols),
    arguments: [
      groupStruct(linears.map((l) => l.fields), outs).argument(),
      inputStruct({
        ...{ x: input(x), stride, kind, rule, scale: xScale, round: s.round },
        ...(s.gather ? { rows: input(Int32Array.from(order)) } : {}),
        ...(weight ? { norm: input(weight), normFormat: 1, eps: 1e-5 } : {}),
      }).argument(),
      ...[i32(s.round), i32(s.accumulate ? 1 : 0), i32(s.n)],
    ],
  };
  return {
    name: [
      ...[entry, `${s.rows.join("+")}x${s.cols}`, `n ${s.n}`, `round ${s.round}`, `kind ${kind}`],
      ...(rule ? [`rule ${rule}`] : []),
      ...(["norm", "accumulate", "gather", "persistent"] as const).filter((flag) => s[flag]),
      ...Object.keys(s.options ?? {}),
    ].join(" "),
    job,
    check: () => {
      const prepared = xs.map((row) => {
        const normed = weight ? normRow(row, weight, Math.fround(1e-5), s.round) : row;
        return prepare(normed, kind, rule, xScale, s.round);
      });
      return worstOf(...linears.map((linear, g) => {
        const rows = s.rows[g]!, got = rowsOf(floats(outs[g]!.to), rows + 5, rows);
        const exact = new Float64Array(s.n * rows);
        prepared.forEach(({ values, scale }, t) => exact.set(product(linear, values, scale), t * rows));
        if (!s.accumulate) return near(got, exact, s.round);
        // The residual is added to the rounded linear, and their sum is rounded again: there is more slack for it.
        const sums = exact.map((v, i) => {
          const h = before[g]![Math.floor(i / rows) * (rows + 5) + i % rows]!;
          return h + (s.round ? roundToBf16(Math.fround(v)) : v);
        });
        return near(got, sums, s.round, s.round ? 4e-3 : 4e-6);
      }));
    },
  };
}

export function* linearCases(): Generator<KernelCase> {
  const formats: readonly KernelFormat[] = ["bf16", "f32", "f16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8"];
  let seed = 100;
  for (const format of formats) {
    yield linearCase(seed++, { format, rows: [21], cols: 160, n: 1, round: 1 });
    yield linearCase(seed++, { format, rows: [9, 18, 3], cols: 288, n: 2, round: 0, norm: true, gather: true });
    yield linearCase(seed++, { format, suffix: "_x4", rows: [11, 8], cols: 96, n: 6, round: 0, persistent: true });
    yield linearCase(seed++, { format, rows: [17], cols: 128, n: 1, round: 1, accumulate: true, options: { gap: 48 } });
  }
  for (const format of ["bf16_t", "f32_t", "f16_t"] as const) {
    yield linearCase(seed++, { format, rows: [72], cols: 96, n: 2, round: 0 });
    yield linearCase(seed++, {
      format,
      rows: [67, 70],
      cols: 45,
      n: 1,
      round: 1,
      options: { gap: format === "f32_t" ? 4 : 2 },
    });
  }
  // Rows without alignment, and columns that do not fill a unit.
  for (const format of ["bf16", "f32", "f16", "fp8"] as const) {
    yield linearCase(seed++, {
      format,
      rows: [10],
      cols: 77,
      n: 1,
      round: 0,
      options: format === "f32" ? { gap: 4 } : { gap: 2 },
    });
  }
  for (let kind = 1; kind < KINDS.length; kind++) {
    const rule = kind === 8 ? 2 : 0, vector = { format: "mxfp4", rows: [20], cols: 160, n: 1 } as const;
    yield linearCase(seed++, { ...vector, round: kind & 1, kind, rule, norm: kind === 2 });
    yield linearCase(seed++, {
      format: "fp8",
      rows: [12],
      cols: 96,
      n: 2,
      round: 0,
      ...{ kind, rule },
      options: { rowScales: kind > 5, fnuz: kind === 4 },
    });
  }
  yield linearCase(seed++, {
    format: "bf16",
    rows: [10],
    cols: 64,
    n: 5,
    round: 0,
    suffix: "_x4",
    kind: 5,
    options: { bias: false },
  });
  yield nanCase();
}

/** A NaN code among FP8 weights, a NaN scale among MX scales: their rows are NaN, no other. */
function nanCase(): KernelCase {
  const r = new Random(9), linear = randomLinear(r, "fp8", 8, 96), other = linear.fields.weight!;
  other.bytes[2 * 96 + 17] = 0xff;
  const x = r.row(96, true), out = output(32);
  return {
    name: "linear_fp8 with a NaN weight",
    job: {
      entry: "linear_fp8",
      grid: [1, 1, 1],
      threads: 256,
      lds: ldsOf("linear_fp8", 96),
      arguments: [
        groupStruct([linear.fields], [{ to: out, stride: 8 }]).argument(),
        inputStruct({ x: input(x), stride: 96 }).argument(),
        ...[i32(0), i32(0), i32(1)],
      ],
    },
    check: () => {
      const exact = product(linear, x);
      exact[2] = NaN;
      return near(floats(out), exact, 0);
    },
  };
}
