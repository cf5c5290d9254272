/** Cases of the experts' linears whose blocks share out all rows of the chosen experts. */
import { teamsOf } from "../../../kernels/abi/experts.ts";
import type { KernelCase } from "./check.ts";
import { f32, floats, i32, input, output, pointer } from "./job.ts";
import { ALPHA, expertArray, LIMIT, worstOfSlots } from "./expert.ts";
import { rowsBuffer } from "./gemm.ts";
import { product, Random, randomLinear } from "./random.ts";
import { rowsOf } from "./rows.ts";
import { traitsOf } from "./traits.ts";

interface WalkSpec {
  readonly rows: number;
  readonly cols: number;
  readonly n: number;
  /** Up (per token) or down (per slot row). */
  readonly up: boolean;
  readonly round: number;
  readonly swiglu: number;
  /** Whether rows are bf16 numbers that `qdq` wrote, with a factor each; else float32. */
  readonly prepared?: boolean;
  /** Whether what was chosen is read before the launch ahead has ended. */
  readonly early?: boolean;
}

const ENTRY = "expert_batch_mxfp4_x8";
/** Experts 1 to 3 of five are local. */
const FIRST = 1, COUNT = 3, EXPERTS = 5, TOP_K = 2;

function walkCase(seed: number, s: WalkSpec): KernelCase {
  const r = new Random(seed), { threads, ldsFixed, ldsPerColumn } = traitsOf(ENTRY);
  const slots = s.n * TOP_K, stride = s.cols + 32, divisor = s.up ? TOP_K : 1;
  const experts = Array.from({ length: COUNT }, () => randomLinear(r, "mxfp4", s.rows, s.cols));
  const ids = Int32Array.from({ length: slots }, () => r.below(EXPERTS));
  const xs = Array.from({ length: slots / divisor }, () => r.row(s.cols, true));
  const scales = r.row(xs.length, false).map(Math.abs);
  const width = s.swiglu ? s.rows / 2 : s.rows, outStride = width + 2, out = output(4 * slots * outStride);
  const x = pointer(rowsBuffer(xs, stride, s.prepared ?? false, s.prepared ? 1 : 0));
  return {
    name: `${ENTRY} ${s.rows}x${s.cols} n ${s.n} ${s.up ? "up" : "down"} round ${s.round} swiglu ${s.swiglu}${
      s.prepared ? " scales" : ""
    }${s.early ? " early" : ""}`,
    job: {
      entry: ENTRY,
      // However many blocks there are.
      grid: [7, 1, 1],
      threads,
      lds: ldsFixed + ldsPerColumn * s.cols * teamsOf(s.cols),
      arguments: [
        pointer(expertArray(experts)),
        ...(s.prepared ? [pointer(null), x] : [x, pointer(null)]),
        ...[i32(stride), pointer(s.prepared ? input(scales) : null), i32(divisor)],
        ...[pointer(input(ids)), i32(slots), i32(FIRST), i32(COUNT), i32(s.early ? 1 : 0)],
        ...[pointer(out), i32(outStride), i32(s.round), i32(s.swiglu)],
        ...[f32(ALPHA), f32(LIMIT), i32(s.rows), i32(s.cols)],
      ],
    },
    check: () => {
      const got = rowsOf(floats(out), outStride, width);
      const products = Array.from(ids, (id, slot) => {
        const expert = experts[id - FIRST], row = Math.floor(slot / divisor);
        return expert ? product(expert, xs[row]!, s.prepared ? scales[row] : 1) : null;
      });
      return worstOfSlots(got, products, s);
    },
  };
}

/**
 * Blocks whose rows are of several experts; more tokens of one than a tile has; one, two, three and four teams of
 * warps, which have a part of their columns, or none.
 */
export function* expertWalkCases(): Generator<KernelCase> {
  const down = { up: false, round: 0, swiglu: 0 }, up = { up: true, round: 1, swiglu: 1 };
  yield walkCase(900, { ...up, rows: 144, cols: 352, n: 32 });
  yield walkCase(901, { ...down, rows: 48, cols: 64, n: 12 });
  yield walkCase(902, { ...down, rows: 64, cols: 2880, n: 6, prepared: true });
  yield walkCase(903, { ...up, rows: 64, cols: 2880, n: 4 });
  yield walkCase(904, { ...down, rows: 64, cols: 1440, n: 4, early: true });
  yield walkCase(905, { ...down, rows: 160, cols: 736, n: 16, early: true, prepared: true });
  yield walkCase(906, { ...down, rows: 32, cols: 992, n: 2, early: true });
}
