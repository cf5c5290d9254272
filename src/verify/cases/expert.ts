/** Cases of the experts' linears for few tokens. */
import { teamsOf } from "../../../kernels/abi/experts.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { type KernelCase, near } from "./check.ts";
import { type DeviceBuffer, f32, floats, i32, inout, input, ints, output, pointer, StructWriter } from "./job.ts";
import { inputStruct, linearStruct } from "./structs.ts";
import { prepare } from "./inputs.ts";
import { type KernelFormat, product, Random, type RandomLinear, randomLinear } from "./random.ts";
import { ldsOf, traitsOf } from "./traits.ts";
import { rowsOf, strided } from "./rows.ts";

export const ALPHA = Math.fround(1.702), LIMIT = 7;

/** The device array of experts. */
export function expertArray(experts: readonly RandomLinear[]): DeviceBuffer {
  const w = new StructWriter(64 * experts.length);
  for (const { fields } of experts) w.struct(linearStruct(fields));
  return w.buffer();
}

/** SwiGLU of gate, up pairs, after the rounding of the linear. */
export function swigluOf(z: Float64Array, round: number): Float64Array {
  const at = (i: number) => round ? roundToBf16(Math.fround(z[i]!)) : z[i]!;
  return Float64Array.from({ length: z.length / 2 }, (_, i) => {
    const g = Math.min(at(2 * i), LIMIT), u = Math.min(Math.max(at(2 * i + 1), -LIMIT), LIMIT);
    return (u + 1) * g / (1 + Math.exp(-ALPHA * g));
  });
}

/**
 * The largest error of slot rows, with SwiGLU where it is asked for.
 *
 * @param products Of each slot; null: its expert is not local, and its row has to be as it was, NaN.
 */
export function worstOfSlots(
  got: Float32Array,
  products: readonly (Float64Array | null)[],
  { swiglu, round }: { readonly swiglu: number; readonly round: number },
): number {
  const width = got.length / products.length;
  return Math.max(...products.map((z, slot) => {
    const own = got.subarray(slot * width, (slot + 1) * width);
    if (z === null) return own.every((v) => Number.isNaN(v)) ? 0 : Infinity;
    // A gate or up on a rounding boundary may go the other way, one bf16 step.
    return swiglu ? near(own, swigluOf(z, round), round, round ? 8e-3 : 4e-6) : near(own, z, round);
  }));
}

interface ExpertSpec {
  readonly format: KernelFormat;
  /** The entry point on matrix instructions, or the one of one token. */
  readonly suffix?: "_mma" | "_one";
  /** Columns; unless said otherwise 96 of up and 64 of down. */
  readonly cols?: number;
  readonly n: number;
  /** Choices of a token; two unless said otherwise. */
  readonly topK?: number;
  readonly kind: number;
  readonly rule?: number;
}

interface UpSpec extends ExpertSpec {
  readonly round: number;
  readonly swiglu: number;
}

/** Four of six experts are local (ids 1 to 4). */
const FIRST = 1, COUNT = 4, TOP_K = 2;
/** Blocks that share out rows of kernels for one token, however many they are. */
const ONE_GRID = [5, 1, 1] as const;

function choices(r: Random, n: number, topK: number): Int32Array {
  if (topK > TOP_K) return Int32Array.from({ length: n * topK }, (_, i) => (5 * i + 2) % 6);
  const ids = Int32Array.from({ length: n * TOP_K }, (_, i) => i % TOP_K === 0 ? r.below(3) : 3 + r.below(3));
  // Where all are another rank's, a kernel has nothing to do.
  return ids.some((id) => id >= FIRST && id < FIRST + COUNT) ? ids : ids.with(0, FIRST);
}

function upCase(seed: number, s: UpSpec): KernelCase {
  const r = new Random(seed),
    rule = s.rule ?? 0,
    one = s.suffix === "_one",
    rows = one ? 248 : 38,
    topK = s.topK ?? TOP_K,
    cols = s.cols ?? 96;
  const entry = `expert_up_${s.format}${s.suffix ?? ""}`, traits = traitsOf(entry);
  const experts = Array.from({ length: COUNT }, () => randomLinear(r, s.format, rows, cols));
  const xs = Array.from({ length: s.n }, () => r.row(cols, true)), ids = choices(r, s.n, topK);
  const width = s.swiglu ? rows / 2 : rows, out = output(4 * s.n * topK * width), scale = Math.fround(0.02);
  const x = strided(xs, cols);
  return {
    name: `${entry} ${cols} columns n ${s.n} round ${s.round} swiglu ${s.swiglu} kind ${s.kind}`,
    job: {
      entry,
      grid: one ? ONE_GRID : [Math.ceil(rows / traits.rowsPerBlock), s.n * topK, 1],
      threads: traits.threads,
      lds: ldsOf(entry, cols),
      arguments: [
        pointer(expertArray(experts)),
        inputStruct({ x: input(x), stride: cols, kind: s.kind, rule, scale, round: s.round }).argument(),
        ...[pointer(input(ids)), i32(FIRST), i32(COUNT), i32(topK), pointer(out), i32(width)],
        ...[i32(s.round), i32(s.swiglu), f32(ALPHA), f32(LIMIT), i32(rows), i32(cols), ...(one ? [] : [i32(s.n)])],
      ],
    },
    check: () => {
      const products = Array.from(ids, (id, slot) => {
        const expert = experts[id - FIRST],
          p = prepare(xs[Math.floor(slot / topK)]!, s.kind, rule, scale, s.round);
        return expert ? product(expert, p.values, p.scale) : null;
      });
      return worstOfSlots(floats(out), products, s);
    },
  };
}

interface DownSpec extends ExpertSpec {
  /** expert_down_combine, with this rounding. */
  readonly combine?: { readonly round: number; readonly accumulate: number };
  /** Whether what another rank left is added first. */
  readonly over?: boolean;
}

/** Numbers of the memory in which ranks leave numbers of a row: by parity, rank and row. */
const ROW_NOTES = 4096;

/** What the last of two ranks is given of the first one, which left `theirs` in the third launch. */
export function besideRank(theirs: Float32Array, blocks: number) {
  const turn = 3, own = new Int32Array(2 * 2 * 2 * ROW_NOTES);
  new Int32Array(theirs.buffer).forEach((bits, row) => own.set([bits, turn], 2 * (2 * (turn % 2) * ROW_NOTES + row)));
  const others = inout(new Int32Array(own.length)), turns = inout(new Int32Array(blocks).fill(turn - 1));
  const table = new StructWriter(16).pointer(others).pointer(inout(own)).buffer();
  return {
    arguments: [pointer(table), pointer(inout(new Int32Array(1))), i32(1), i32(2), pointer(turns)],
    /** How far off is what the other rank was given; Infinity where marks or counters are wrong. */
    check: (sums: Float64Array, round: number, tolerance?: number): number => {
      const first = 2 * (2 * (turn % 2) + 1) * ROW_NOTES, given = ints(others).slice(first, first + 2 * sums.length);
      const marked = sums.every((_, row) => given[2 * row + 1] === turn);
      if (!marked || !ints(turns).every((count) => count === turn)) return Infinity;
      return near(new Float32Array(Int32Array.from(sums, (_, row) => given[2 * row]!).buffer), sums, round, tolerance);
    },
  };
}

/** Without other ranks. */
export const ALONE = [pointer(null), pointer(null), i32(0), i32(1), pointer(null)];

function downCase(seed: number, s: DownSpec): KernelCase {
  const r = new Random(seed),
    rule = s.rule ?? 0,
    one = s.suffix === "_one",
    rows = one ? 104 : 37,
    topK = s.topK ?? TOP_K,
    cols = s.cols ?? 64;
  const entry = `expert_down_${s.combine ? "combine_" : ""}${s.format}${s.suffix ?? ""}`, traits = traitsOf(entry);
  const experts = Array.from({ length: COUNT }, () => randomLinear(r, s.format, rows, cols));
  const ids = choices(r, s.n, topK), slots = s.n * topK, stride = rows + 3, scale = Math.fround(0.02);
  const xs = Array.from({ length: slots }, () => r.row(cols, true)), weights = r.row(slots, false).map(Math.abs);
  const x = strided(xs, cols);
  const before = r.row(s.n * stride, true);
  const out = s.combine ? inout(before) : output(4 * slots * stride);
  const round = s.combine?.round ?? 0, theirs = s.over ? r.row(rows, true) : new Float32Array();
  const beside = s.over ? besideRank(theirs, ONE_GRID[0]) : null;
  const common = [
    pointer(input(ids)),
    ...(s.combine ? [pointer(input(weights))] : []),
    i32(FIRST),
    i32(COUNT),
    i32(topK),
  ];
  return {
    name: `${entry} ${cols} columns n ${s.n} kind ${s.kind}${s.over ? " over two ranks" : ""}${
      s.combine ? ` round ${round} accumulate ${s.combine.accumulate}` : ""
    }`,
    job: {
      entry,
      grid: one ? ONE_GRID : [Math.ceil(rows / traits.rowsPerBlock), s.combine ? s.n : slots, 1],
      threads: traits.threads,
      lds: one ? ldsOf(entry, teamsOf(cols) * cols) : (s.combine ? topK : 1) * ldsOf(entry, cols),
      arguments: [
        pointer(expertArray(experts)),
        inputStruct({ x: input(x), stride: cols, kind: s.kind, rule, scale, round }).argument(),
        ...[...common, pointer(out), i32(stride), ...(s.combine ? [i32(round), i32(s.combine.accumulate)] : [])],
        ...(one ? beside?.arguments ?? ALONE : []),
        ...[i32(rows), i32(cols), ...(one ? [] : [i32(s.n)])],
      ],
    },
    check: () => {
      const got = rowsOf(floats(out), stride, rows);
      const ys = xs.map((row, slot) => {
        const e = ids[slot]! - FIRST, p = prepare(row, s.kind, rule, scale, round);
        return e < 0 || e >= COUNT ? new Float64Array(rows) : product(experts[e]!, p.values, p.scale);
      });
      if (!s.combine) return near(got, ys.flatMap((y) => [...y]), 0);
      const want = new Float64Array(s.n * rows), rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : v;
      const own = new Float64Array(want.length);
      for (let i = 0; i < want.length; i++) {
        const t = Math.floor(i / rows);
        for (let k = 0; k < topK; k++) want[i]! += weights[t * topK + k]! * ys[t * topK + k]![i % rows]!;
        own[i] = want[i]!;
        if (beside) want[i] = theirs[i]! + rounded(want[i]!);
        if (s.combine.accumulate) {
          want[i] = before[t * stride + i % rows]! + rounded(want[i]!);
        }
      }
      const worst = near(got, want, round, s.combine.accumulate && round ? 4e-3 : 4e-6);
      return beside ? Math.max(worst, beside.check(own, round)) : worst;
    },
  };
}

export function* expertCases(): Generator<KernelCase> {
  const formats: readonly KernelFormat[] = [
    ...["bf16", "f32", "f16", "mxfp4", "mxfp6_e3m2", "mxfp6_e2m3", "fp8", "bf16_t", "f32_t", "f16_t"] as const,
  ];
  let seed = 300;
  for (const format of formats) {
    yield upCase(seed++, { format, n: 2, round: 1, swiglu: 1, kind: 0 });
    yield upCase(seed++, { format, n: 3, round: 0, swiglu: 0, kind: format.startsWith("mx") ? 1 : 4 });
    yield downCase(seed++, { format, n: 2, kind: format === "fp8" ? 6 : 0 });
    yield downCase(seed++, { format, n: 2, kind: format === "fp8" ? 7 : 0, combine: { round: 1, accumulate: 1 } });
    yield downCase(seed++, {
      format,
      n: 1,
      kind: format.startsWith("mx") ? 2 : 0,
      combine: { round: 0, accumulate: 0 },
    });
  }
  // Inputs in MXFP8.
  yield upCase(seed++, { format: "mxfp4", n: 2, round: 1, swiglu: 1, kind: 8, rule: 2 });
  yield downCase(seed++, { format: "mxfp4", n: 2, kind: 8, rule: 2, combine: { round: 1, accumulate: 1 } });
  // A cut step of four blocks for one warp; several rounds of steps for each of four, the last one cut.
  for (const cols of [96, 1504]) {
    const mma = { format: "mxfp4", suffix: "_mma", cols } as const;
    yield upCase(seed++, { ...mma, n: 2, round: 1, swiglu: 1, kind: 0 });
    yield upCase(seed++, { ...mma, n: 3, round: 0, swiglu: 0, kind: 1 });
    yield upCase(seed++, { ...mma, n: 1, round: 1, swiglu: 0, kind: 4 });
    yield downCase(seed++, { ...mma, n: 2, kind: 0, combine: { round: 1, accumulate: 1 } });
    yield downCase(seed++, { ...mma, n: 3, kind: 2, combine: { round: 0, accumulate: 0 } });
    yield upCase(seed++, { ...mma, n: 2, round: 1, swiglu: 1, kind: 8, rule: 2 });
  }
  // Of one token: experts that other ranks have; warps with a part of their columns, or none; more units of rows than
  // places, and fewer; of the second one, two and four teams, and rows whose scales begin within words.
  for (const cols of [64, 736, 832, 1440, 2880]) {
    for (const accumulate of [0, 1]) {
      const one = { format: "mxfp4", suffix: "_one", cols, n: 1, topK: 2 + 2 * accumulate, kind: 0 } as const;
      if (cols % 64 === 0) yield upCase(seed++, { ...one, round: accumulate, swiglu: accumulate });
      yield downCase(seed++, { ...one, combine: { round: accumulate, accumulate }, over: cols === 1440 });
    }
  }
}
