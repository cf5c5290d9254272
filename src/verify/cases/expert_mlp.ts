/** Cases of the kernel that computes both linears of the experts for one token. */
import { MLP_BLOCKS, mlpRanksCols, mlpStateWords } from "../../../kernels/abi/experts.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { type KernelCase, near } from "./check.ts";
import { ALONE, ALPHA, besideRank, expertArray, LIMIT, swigluOf } from "./expert.ts";
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
  /** As one of several ranks: whether it sums over them. */
  readonly over?: boolean;
}

const ENTRY = "expert_mlp_mxfp4_one", RANKS_ENTRY = "expert_mlp_ranks_mxfp4_one";
/** Experts 1 to 4 of six are local. */
const FIRST = 1, COUNT = 4;

function mlpCase(seed: number, s: MlpSpec): KernelCase {
  const r = new Random(seed), ranks = s.over !== undefined, entry = ranks ? RANKS_ENTRY : ENTRY;
  const of = (rows: number, cols: number) => Array.from({ length: COUNT }, () => randomLinear(r, "mxfp4", rows, cols));
  const up = of(2 * s.inner, s.cols), down = of(s.rows, s.inner), x = r.row(s.cols, true);
  const ids = Int32Array.from({ length: s.topK }, (_, k) => s.from + k);
  const weights = r.row(s.topK, false).map(Math.abs), earlier = r.row(s.rows, true), out = inout(earlier);
  const words = new Int32Array(mlpStateWords(s.topK, s.inner)), turn = s.before === -1 ? 2 : s.before + 1;
  for (const first of [0, MLP_BLOCKS]) words.fill(s.before, first, first + s.blocks);
  const state = inout(words), theirs = s.over ? r.row(s.rows, true) : new Float32Array();
  const beside = s.over ? besideRank(theirs, s.blocks) : null;
  return {
    name: `${entry} ${s.cols}x${s.inner}x${s.rows} top_k ${s.topK} from ${s.from} accumulate ${s.accumulate} ` +
      `blocks ${s.blocks} after ${s.before}${s.over ? " over two ranks" : ""}`,
    job: {
      entry,
      grid: [s.blocks, 1, 1],
      threads: traitsOf(entry).threads,
      lds: ldsOf(entry, ranks ? mlpRanksCols(s.cols, s.inner) : Math.max(s.cols, s.inner)),
      arguments: [
        pointer(expertArray(up)),
        pointer(expertArray(down)),
        inputStruct({ x: input(x), stride: s.cols, kind: 0, scale: 0, round: 1 }).argument(),
        ...[pointer(input(ids)), pointer(input(weights)), i32(FIRST), i32(COUNT), i32(s.topK), pointer(out)],
        ...[i32(s.accumulate), f32(ALPHA), f32(LIMIT), pointer(state)],
        ...(ranks ? beside?.arguments ?? ALONE : []),
        ...[i32(s.rows), i32(s.cols), i32(s.inner)],
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
      const rounded = (v: number) => roundToBf16(Math.fround(v));
      const all = beside ? sums.map((v, i) => theirs[i]! + rounded(v)) : sums;
      const want = s.accumulate ? all.map((v, i) => earlier[i]! + rounded(v)) : all;
      const said = ints(state);
      const counted = [0, MLP_BLOCKS].every((first) =>
        said.subarray(first, first + s.blocks).every((count) => count === turn)
      );
      // An activation on a rounding boundary may go the other way, and a sum then, too.
      const worst = counted ? near(floats(out), want, 1, 8e-3) : Infinity;
      return beside ? Math.max(worst, beside.check(sums, 1, 8e-3)) : worst;
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
  // As one of several ranks: one team of warps, two and four, with odd numbers of blocks, units of an expert that end
  // with the first team and with the last one, and places that are filled again.
  const one = { ...small, topK: 4, from: 1, over: true };
  for (const inner of [64, 736, 832, 1440, 2880]) {
    yield mlpCase(seed++, { ...one, cols: 64, inner, rows: 104, accumulate: Number(inner % 64 === 0) });
    yield mlpCase(seed++, { ...one, cols: 128, inner, rows: 48, blocks: 2, topK: 3, before: 7, over: inner > 64 });
  }
  yield mlpCase(seed++, { ...one, cols: 64, inner: 224, rows: 40, blocks: 9, from: 4, over: false, before: -1 });
  // None of the experts here.
  yield mlpCase(seed++, { ...one, cols: 2880, inner: 96, rows: 24, topK: 1, from: 0 });
}
