/** Cases of the kernel that computes both linears of the experts for one token. */
import { MLP_BLOCKS, mlpStateWords } from "../../../kernels/abi/experts.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { type KernelCase, near } from "./check.ts";
import { ALPHA, expertArray, LIMIT, swigluOf } from "./expert.ts";
import { prepare } from "./inputs.ts";
import { f32, floats, i32, inout, input, ints, pointer } from "./job.ts";
import { product, Random, randomLinear } from "./random.ts";
import { inputStruct } from "./structs.ts";
import { ldsOf, traitsOf } from "./traits.ts";

interface MlpSpec {
  /** Columns of the first and of the second linear, and rows of that. */
  readonly cols: number;
  readonly inner: number;
  readonly rows: number;
  readonly topK: number;
  /** The first of the chosen experts, which follow one another; 0 is elsewhere. */
  readonly from: number;
  readonly accumulate: number;
  /** Blocks that share out rows. */
  readonly blocks: number;
  /** How often the kernel was launched with this state before; -1: as often as counters can say. */
  readonly before: number;
}

const ENTRY = "expert_mlp_mxfp4_one";
/** Experts 1 to 4 of six are local. */
const FIRST = 1, COUNT = 4;

function mlpCase(seed: number, s: MlpSpec): KernelCase {
  const r = new Random(seed);
  const of = (rows: number, cols: number) => Array.from({ length: COUNT }, () => randomLinear(r, "mxfp4", rows, cols));
  const up = of(2 * s.inner, s.cols), down = of(s.rows, s.inner), x = r.row(s.cols, true);
  const ids = Int32Array.from({ length: s.topK }, (_, k) => s.from + k);
  const weights = r.row(s.topK, false).map(Math.abs), earlier = r.row(s.rows, true), out = inout(earlier);
  const words = new Int32Array(mlpStateWords(s.topK, s.inner)), turn = s.before === -1 ? 2 : s.before + 1;
  for (const first of [0, MLP_BLOCKS]) words.fill(s.before, first, first + s.blocks);
  const state = inout(words);
  return {
    name: `${ENTRY} ${s.cols}x${s.inner}x${s.rows} top_k ${s.topK} from ${s.from} accumulate ${s.accumulate} ` +
      `blocks ${s.blocks} after ${s.before}`,
    job: {
      entry: ENTRY,
      grid: [s.blocks, 1, 1],
      threads: traitsOf(ENTRY).threads,
      lds: ldsOf(ENTRY, Math.max(s.cols, s.inner)),
      arguments: [
        pointer(expertArray(up)),
        pointer(expertArray(down)),
        inputStruct({ x: input(x), stride: s.cols, kind: 0, scale: 0, round: 1 }).argument(),
        ...[pointer(input(ids)), pointer(input(weights)), i32(FIRST), i32(COUNT), i32(s.topK), pointer(out)],
        ...[i32(s.accumulate), f32(ALPHA), f32(LIMIT), pointer(state), i32(s.rows), i32(s.cols), i32(s.inner)],
      ],
    },
    check: () => {
      const sums = new Float64Array(s.rows);
      ids.forEach((id, k) => {
        const e = id - FIRST;
        if (e < 0 || e >= COUNT) return;
        const { values, scale } = prepare(x, 0, 0, 0, 1);
        const activated = swigluOf(product(up[e]!, values, scale), 1).map((v) => roundToBf16(Math.fround(v)));
        product(down[e]!, activated, 1).forEach((v, i) => sums[i]! += weights[k]! * v);
      });
      const want = s.accumulate ? sums.map((v, i) => earlier[i]! + roundToBf16(Math.fround(v))) : sums;
      const said = ints(state);
      const counted = [0, MLP_BLOCKS].every((first) =>
        said.subarray(first, first + s.blocks).every((count) => count === turn)
      );
      // An activation on a rounding boundary may go the other way, and a sum then, too.
      return counted ? near(floats(out), want, 1, 8e-3) : Infinity;
    },
  };
}

export function* expertMlpCases(): Generator<KernelCase> {
  let seed = 700;
  const small = { topK: 2, from: 0, accumulate: 1, blocks: 5, before: 0 };
  yield mlpCase(seed++, { ...small, cols: 64, inner: 128, rows: 104 });
  yield mlpCase(seed++, { ...small, cols: 192, inner: 64, rows: 120, topK: 4, from: 1, accumulate: 0, before: 7 });
  // More blocks than units of rows of an expert; more than a warp sees at once; counters that begin anew.
  yield mlpCase(seed++, { ...small, cols: 128, inner: 64, rows: 128, topK: 3, blocks: 40, before: -1 });
  // Long rows of either linear, one block for everything, and none of the experts here.
  yield mlpCase(seed++, { ...small, cols: 2880, inner: 64, rows: 24 });
  yield mlpCase(seed++, { ...small, cols: 64, inner: 2880, rows: 16, from: 3, blocks: 1 });
  yield mlpCase(seed++, { ...small, cols: 64, inner: 64, rows: 40, topK: 1, accumulate: 0 });
}
