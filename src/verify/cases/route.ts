/** Cases of the router: `route`, `norm_route_F`. */
import { encodePlain } from "../../formats/encode.ts";
import { route } from "../../backends/reference/route.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, input, ints, output, pointer } from "./job.ts";
import { inputStruct, linearStruct } from "./structs.ts";
import { normRow } from "./inputs.ts";
import { product, Random, randomLinear } from "./random.ts";
import { ldsOf, traitsOf } from "./traits.ts";

function routeCase(name: string, rows: readonly Float32Array[], topK: number): KernelCase {
  const experts = rows[0]!.length, stride = experts + 3, logits = new Float32Array(rows.length * stride).fill(1e9);
  rows.forEach((row, t) => logits.set(row, t * stride));
  const ids = output(4 * rows.length * topK), weights = output(4 * rows.length * topK);
  const want = rows.map((row) => route(row, topK));
  return {
    name: `route ${name}, ${topK} of ${experts}`,
    job: {
      entry: "route",
      grid: [rows.length, 1, 1],
      threads: 256,
      lds: 0,
      arguments: [
        ...[
          pointer(input(logits)),
          i32(stride),
          i32(experts),
          i32(topK),
          pointer(ids),
          pointer(weights),
          i32(rows.length),
        ],
      ],
    },
    check: () =>
      worstOf(
        exactly(ints(ids), want.flatMap((w) => [...w.experts])),
        near(floats(weights), want.flatMap((w) => [...w.weights]), 0, 5e-7),
      ),
  };
}

function normRouteCase(seed: number, format: "bf16" | "f32", experts: number, round: number): KernelCase {
  const r = new Random(seed), cols = 160, n = 2, topK = 4, entry = `norm_route_${format}`;
  const router = randomLinear(r, format, experts, cols), weight = r.row(cols, true);
  const xs = Array.from({ length: n }, () => r.row(cols, true)), x = new Float32Array(n * cols);
  xs.forEach((row, t) => x.set(row, t * cols));
  const normed = output(4 * n * cols),
    logits = output(4 * n * experts),
    ids = output(4 * n * topK),
    weights = output(4 * n * topK);
  return {
    name: `${entry} ${experts} experts round ${round}`,
    job: {
      entry,
      grid: [n, 1, 1],
      threads: traitsOf(entry).threads,
      lds: ldsOf(entry, cols),
      arguments: [
        inputStruct({
          ...{ x: input(x), stride: cols, round, eps: 1e-5 },
          ...{ norm: input(encodePlain(weight, "bf16")), normFormat: 0 },
        }).argument(),
        linearStruct(router.fields).argument(),
        ...[
          i32(topK),
          pointer(normed),
          i32(cols),
          pointer(logits),
          i32(experts),
          pointer(ids),
          pointer(weights),
          i32(round),
          i32(n),
        ],
      ],
    },
    check: () => {
      const rows = xs.map((row) => normRow(row, weight, Math.fround(1e-5), round));
      const exact = rows.flatMap((row) => [...product(router, row)]), got = floats(logits);
      // What was chosen must be right for the logits that were computed.
      const want = xs.map((_, t) => route(got.subarray(t * experts, (t + 1) * experts), topK));
      return worstOf(
        near(floats(normed), rows.flatMap((row) => [...row]), 0, round ? 8e-3 : 1e-6),
        near(got, exact, round, round ? 2e-3 : 4e-6),
        exactly(ints(ids), want.flatMap((w) => [...w.experts])),
        near(floats(weights), want.flatMap((w) => [...w.weights]), 0, 5e-7),
      );
    },
  };
}

export function* routeCases(): Generator<KernelCase> {
  const r = new Random(700);
  const ties = Float32Array.from({ length: 40 }, (_, i) => roundToBf16((i * 7 % 5) / 4));
  const odd = r.row(40, false);
  odd[3] = NaN;
  odd[5] = -Infinity;
  odd[9] = Infinity;
  yield routeCase("random", [r.row(32, true), r.row(32, true)], 4);
  yield routeCase("ties and signed zeros", [ties, Float32Array.from(ties, (v) => v === 0 ? -0 : v)], 6);
  yield routeCase("NaN", [odd.map((v) => Number.isFinite(v) || Number.isNaN(v) ? v : 0)], 4);
  yield routeCase("all equal, all chosen", [new Float32Array(16).fill(-2)], 16);
  yield routeCase("many", [r.row(128, false)], 4);
  yield normRouteCase(701, "bf16", 32, 1);
  yield normRouteCase(702, "bf16", 50, 0);
  yield normRouteCase(703, "f32", 16, 0);
}
