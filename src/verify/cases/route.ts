/** Cases of the router: `route`, `norm_route_F`. */
import { BOTH, PIECES, pointersTo, sentWords } from "./ranks.ts";
import { encodePlain } from "../../formats/encode.ts";
import { route } from "../../backends/reference/route.ts";
import { roundToBf16 } from "../../formats/bf16.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { type DeviceBuffer, floats, i32, inout, input, ints, output, pointer } from "./job.ts";
import { inputStruct, linearStruct } from "./structs.ts";
import { normRow } from "./inputs.ts";
import { product, Random, randomLinear } from "./random.ts";
import { strided } from "./rows.ts";
import { ldsOf, traitsOf } from "./traits.ts";

function routeCase(name: string, rows: readonly Float32Array[], topK: number): KernelCase {
  const experts = rows[0]!.length, stride = experts + 3, logits = strided(rows, stride, 1e9);
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

/** @param ranks More than one: rank 1 of them, in whose memory are the others' rows, sums first. */
function normRouteCase(
  seed: number,
  format: "bf16" | "f32",
  experts: number,
  round: number,
  { ranks = 1, split = false, cluster = false, cols = 160 }: {
    readonly ranks?: number;
    readonly split?: boolean;
    readonly cluster?: boolean;
    readonly cols?: number;
  } = {},
): KernelCase {
  const r = new Random(seed),
    n = 2,
    topK = 4,
    entry = `${ranks > 1 ? "exchange_" : ""}norm_route_${format}${split ? "_split" : cluster ? "_cluster" : ""}`;
  const counters = split || ranks > 1 ? inout(new Int32Array(n)) : null, { rowsPerBlock } = traitsOf(entry);
  const router = randomLinear(r, format, experts, cols), weight = r.row(cols, true);
  const xs = Array.from({ length: n }, () => r.row(cols, true)), x = strided(xs, cols);
  const exchanged = ranks > 1 ? exchangeOf(r, xs, round, ranks) : null;
  const prepared = output(2 * n * cols),
    normed = output(4 * n * cols),
    logits = output(4 * n * experts),
    ids = output(4 * n * topK),
    weights = output(4 * n * topK);
  return {
    name: `${entry} ${experts} experts ${cols} columns round ${round}`,
    job: {
      entry,
      ...(cluster ? { cluster } : {}),
      grid: split || cluster || ranks > 1 ? [Math.ceil(experts / rowsPerBlock), n, 1] : [n, 1, 1],
      threads: traitsOf(entry).threads,
      lds: ldsOf(entry, cols),
      arguments: [
        ...exchanged?.arguments ?? [],
        inputStruct({
          ...{ x: exchanged?.h ?? input(x), stride: cols, round, eps: 1e-5 },
          ...{ norm: input(encodePlain(weight, "bf16")), normFormat: 0 },
        }).argument(),
        linearStruct(router.fields).argument(),
        ...[i32(topK), pointer(normed), i32(cols)],
        ...(exchanged ? [pointer(prepared), i32(cols), i32(0)] : []),
        ...[pointer(logits), i32(experts)],
        ...[pointer(ids), pointer(weights), i32(round), i32(n)],
        ...(counters ? [pointer(counters)] : []),
        ...(exchanged ? [i32(BOTH)] : []),
      ],
    },
    check: () => {
      const rows = xs.map((row) => normRow(row, weight, Math.fround(1e-5), round));
      const exact = rows.flatMap((row) => [...product(router, row)]);
      const got = floats(logits);
      // What was chosen must be right for the logits that were computed.
      const want = xs.map((_, t) => route(got.subarray(t * experts, (t + 1) * experts), topK));
      return worstOf(
        exchanged?.check() ?? 0,
        exchanged ? sameRows(prepared, floats(normed)) : 0,
        counters ? exactly(ints(counters), [0, 0]) : 0,
        near(floats(normed), rows.flatMap((row) => [...row]), 0, round ? 8e-3 : 1e-6),
        near(got, exact, round, round ? 2e-3 : 4e-6),
        exactly(ints(ids), want.flatMap((w) => [...w.experts])),
        near(floats(weights), want.flatMap((w) => [...w.weights]), 0, 5e-7),
      );
    },
  };
}

/** Whether `prepared` are the numbers as bf16. */
function sameRows(prepared: DeviceBuffer, numbers: Float32Array): number {
  const bits = new Uint32Array(Float32Array.from(numbers, (v) => roundToBf16(v)).buffer);
  const got = new Uint16Array(prepared.bytes.slice().buffer);
  return got.every((v, i) => v === bits[i]! >>> 16) ? 0 : Infinity;
}

/**
 * What rank 1 of some is given so that rows `want` come out: the residual stream, its own rows, the others' in its
 * memory, in which they have come once.
 */
function exchangeOf(r: Random, want: readonly Float32Array[], round: number, ranks: number) {
  const cols = want[0]!.length, n = want.length, blocks = 2 * n, turn = 1;
  const parts = Array.from({ length: ranks }, () => r.row(n * cols, round === 1));
  const before = r.row(n * cols, round === 1), h = inout(before), turns = inout(new Int32Array(blocks));
  const rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
  const rows = before.map((v, i) => rounded(v + rounded(parts.reduce((sum, part) => Math.fround(sum + part[i]!), 0))));
  want.forEach((row, t) => row.set(rows.subarray(t * cols, (t + 1) * cols)));
  const box = new Uint32Array(blocks * 2 * ranks * 2 * PIECES * 4);
  parts.forEach((part, from) => {
    if (from === 1) return;
    for (let i = 0; i < n * cols / 4; i++) {
      const t = Math.floor(i / (cols / 4)), at = i % (cols / 4), block = 2 * t + Math.floor(at / PIECES);
      const sent = sentWords(part.slice(4 * i, 4 * i + 4), round);
      for (let half = 0; half < sent.length / 2; half++) {
        const place = (((block * 2 + turn) * ranks + from) * 2 + half) * PIECES + at % PIECES;
        box.set([sent[2 * half]!, turn, sent[2 * half + 1]!, turn], 4 * place);
      }
    }
  });
  const boxes = parts.map((_, rank) =>
    inout(new Int32Array(rank === 1 ? box.buffer : new ArrayBuffer(box.byteLength)))
  );
  return {
    h,
    arguments: [
      ...[pointer(h), pointer(input(parts[1]!)), pointer(pointersTo(boxes)), pointer(input(Int32Array.of(0)))],
      ...[i32(1), i32(ranks), pointer(turns), i32(cols)],
    ],
    check: () =>
      ints(turns).every((v, i) => v === Number(i % 2 === 0 || cols > 4 * PIECES)) ? exactly(floats(h), rows) : Infinity,
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
  yield normRouteCase(704, "bf16", 32, 1, { ranks: 2 });
  yield normRouteCase(705, "f32", 16, 0, { ranks: 3 });
  // Rows that take the room of two blocks.
  yield normRouteCase(744, "bf16", 50, 1, { ranks: 2, cols: 2880 });
  yield normRouteCase(745, "f32", 16, 0, { ranks: 2, cols: 2080 });
  // A last block of few rows; rows that registers do not hold, and some whose pieces are not aligned.
  for (const [i, cols] of [160, 3200, 164].entries()) {
    yield normRouteCase(706 + i, "bf16", 20, 1, { split: true, cols });
    yield normRouteCase(716 + i, "bf16", 20, 1, { cluster: true, cols });
  }
  yield normRouteCase(740, "bf16", 32, 1, { ranks: 2, cluster: true });
  yield normRouteCase(741, "f32", 16, 0, { ranks: 3, cluster: true });
  yield normRouteCase(742, "bf16", 50, 1, { ranks: 2, cluster: true, cols: 2880 });
  yield normRouteCase(743, "bf16", 20, 0, { ranks: 2, cluster: true, cols: 164 });
  yield normRouteCase(710, "f32", 32, 0, { split: true, cols: 2880 });
  yield normRouteCase(720, "f32", 64, 0, { cluster: true, cols: 2880 });
}
