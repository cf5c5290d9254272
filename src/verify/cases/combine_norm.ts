/** Cases of combine_norm: the experts' weighted sums, the residual stream, and its norm. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { encodePlain } from "../../formats/encode.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { normRow } from "./inputs.ts";
import { bf16s, floats, i32, inout, input, output, pointer } from "./job.ts";
import { inOrder } from "./quantized_rows.ts";
import { Random } from "./random.ts";
import { rowsJob, rowsOf, weightedSum } from "./rows.ts";
import { inputStruct } from "./structs.ts";

/** The experts' weighted sum, added to h, and the norm of h: as rows, and as bf16 in an order of columns. */
function combineNormCase(r: Random, width: number, topK: number, round: 0 | 1, order: number): KernelCase {
  const n = 3, stride = width + 4, rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
  const y = r.row(n * topK * stride, false),
    p = r.row(n * topK, false).map(Math.abs),
    before = r.row(n * stride, round === 1);
  const weight = r.row(width, true), h = inout(before), normed = output(4 * n * stride), first = output(2 * n * width);
  const want = before.map((v, i) => {
    const t = Math.floor(i / stride), c = i % stride;
    if (c >= width) return v;
    const sum = weightedSum(p.subarray(t * topK, (t + 1) * topK), y.subarray(t * topK * stride + c), stride);
    return rounded(v + rounded(sum));
  });
  const rows = Array.from(
    { length: n },
    (_, t) => normRow(want.subarray(t * stride, t * stride + width), weight, Math.fround(1e-5), round),
  );
  const exact = Float64Array.from(rows.flatMap((row) => [...row]));
  const input_ = inputStruct({
    x: h,
    stride,
    round,
    eps: 1e-5,
    norm: input(encodePlain(weight, "bf16")),
    normFormat: 0,
  });
  return {
    name: `combine_norm ${width} of ${topK} round ${round} order ${order}`,
    job: rowsJob("combine_norm", n, [
      ...[pointer(h), i32(stride), pointer(input(y)), i32(stride), pointer(input(p)), i32(topK), input_.argument()],
      ...[pointer(normed), i32(stride), pointer(first), i32(width), i32(order), i32(width), i32(round), i32(n)],
    ], 1024),
    check: () => {
      const got = rowsOf(floats(normed), stride, width), left = bf16s(first);
      // Sums of squares are added in another order, which may move a number of bf16 by a step.
      const close = near(got, exact, round, round ? 4e-3 : 4e-6);
      const same = Array.from({ length: n }, (_, t) => {
        const row = got.subarray(t * width, (t + 1) * width).map(roundToBf16);
        return exactly(left.subarray(t * width, (t + 1) * width), inOrder(row, order));
      });
      return worstOf(exactly(floats(h), want), close, ...same);
    },
  };
}

export function* combineNormCases(): Generator<KernelCase> {
  const r = new Random(40);
  // Fewer columns than threads take at once and more; choices that end within four.
  for (const [width, topK, round, order] of [[320, 4, 1, 0], [2880, 4, 1, 1], [4096, 5, 0, 2]] as const) {
    yield combineNormCase(r, width, topK, round, order);
  }
}
