/** Cases of picking tokens: argmax, sample, advance. */
import { Sampler } from "../../session/sampler.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, i64, inout, input, ints, output, pointer } from "./job.ts";
import { Random } from "./random.ts";

/** The lowest float32, which stands for a token that must not be drawn. */
const LOWEST = -3.4028234663852886e38;

/** Lowest id of the largest logit; ~id of the first that is NaN or infinite, where there is one. */
function argmax(logits: Float32Array): number {
  const bad = logits.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) return ~bad;
  const most = logits.reduce((a, b) => Math.max(a, b));
  return logits.findIndex((v) => v === most);
}

/** Blocks of a row of argmax_split. */
const ARGMAX_BLOCKS = 32;

/** argmax_split: by several blocks a row. */
function argmaxSplitCase(name: string, rows: readonly Float32Array[]): KernelCase {
  const vocab = rows[0]!.length, stride = Math.ceil(vocab / 4) * 4 + 4, picked = output(4 * rows.length);
  const logits = new Float32Array(rows.length * stride).fill(1e30);
  rows.forEach((row, i) => logits.set(row, i * stride));
  const partial = output(4 * rows.length * ARGMAX_BLOCKS), counters = inout(new Int32Array(rows.length));
  return {
    name: `argmax_split ${name}`,
    job: {
      entry: "argmax_split",
      grid: [ARGMAX_BLOCKS, rows.length, 1],
      threads: 1024,
      lds: 0,
      arguments: [
        ...[pointer(input(logits)), i64(stride), i32(vocab)],
        ...[picked, partial, counters].map(pointer),
        i32(rows.length),
      ],
    },
    check: () => worstOf(exactly(ints(picked), rows.map(argmax)), exactly(ints(counters), rows.map(() => 0))),
  };
}

/** @param scored Whether the sums of e^(logit - largest) are asked for as well. */
function argmaxCase(name: string, rows: readonly Float32Array[], scored = false): KernelCase {
  const vocab = rows[0]!.length, stride = vocab + 1, logits = new Float32Array(rows.length * stride).fill(1e30);
  rows.forEach((row, i) => logits.set(row, i * stride));
  const picked = output(4 * rows.length), sums = output(4 * rows.length);
  const wanted = rows.map((row) => {
    const best = argmax(row);
    return best < 0 ? NaN : row.reduce((sum, v) => sum + Math.exp(v - row[best]!), 0);
  });
  return {
    name: `argmax ${name}${scored ? ", scored" : ""}`,
    job: {
      entry: "argmax",
      grid: [rows.length, 1, 1],
      threads: 1024,
      lds: 0,
      arguments: [
        pointer(input(logits)),
        i64(stride),
        i32(vocab),
        ...[picked, scored ? sums : null].map(pointer),
        i32(rows.length),
      ],
    },
    check: () =>
      worstOf(
        exactly(ints(picked), rows.map(argmax)),
        // Nothing is written for a row without an answer.
        scored ? near(floats(sums), wanted, 0, 1e-5) : exactly(floats(sums), wanted.map(() => NaN)),
      ),
  };
}

/** Temperature, top_p, top_k and the uniform number. */
type Draw = readonly [number, number, number, number];

function sampleCase(name: string, logits: Float32Array, draws: readonly Draw[]): KernelCase {
  const rows = draws.length, vocab = logits.length, context = 3, position = 2, picked = output(4 * rows);
  const params = Float32Array.from(draws.flatMap(([t, p, k]) => [t, p, k, 0]));
  const uniforms = new Float32Array(rows * context).fill(0.999);
  draws.forEach(([, , , u], row) => uniforms[row * context + position] = u);
  return {
    name: `sample ${name}`,
    job: {
      entry: "sample",
      grid: [rows, 1, 1],
      threads: 1024,
      lds: 0,
      arguments: [
        // All rows draw from the same logits.
        ...[pointer(input(logits)), i64(0), i32(vocab), pointer(input(params)), pointer(input(uniforms)), i32(context)],
        ...[pointer(input(new Int32Array(rows).fill(position))), pointer(picked), i32(rows)],
      ],
    },
    check: () =>
      exactly(
        ints(picked),
        draws.map(([temperature, topP, topK, u]) =>
          argmax(logits) < 0 ? argmax(logits) : new Sampler({ temperature, topP, topK }).pick(logits, u)
        ),
      ),
  };
}

export function* pickCases(): Generator<KernelCase> {
  const r = new Random(900), odd = r.row(700, false), ties = new Float32Array(700).fill(-3);
  odd[5] = NaN;
  odd[600] = Infinity;
  ties[123] = ties[457] = -0;
  ties[456] = 0;
  const infinite = odd.slice(), masked = new Float32Array(700).fill(-Infinity);
  infinite[5] = 1;
  const low = new Float32Array(700).fill(LOWEST), negative = odd.slice();
  low[699] = -5;
  negative.set([1, -Infinity], 5);
  masked[699] = -5;
  const kinds = [r.row(700, false), odd, infinite, ties, masked, negative, low];
  yield argmaxCase("random, NaN, infinity, ties, one left", kinds);
  yield argmaxCase("few, and nothing", [r.row(5, false), new Float32Array(5).fill(-Infinity)]);
  yield argmaxCase("loads of 16 bytes, four at once", [r.row(20_004, false, 3)]);
  // Not a multiple of 4: loads of 4 bytes.
  const logits = r.row(1501, false, 3);
  logits[77] = logits[78]!;
  logits[79] = LOWEST;
  const us = [0, 0.1, 0.35, 0.62, 0.9, 0.99999];
  yield sampleCase("greedy and all", logits, [[0, 1, 0, 0.5], ...us.map((u): Draw => [1, 1, 0, u])]);
  yield sampleCase("top-k", logits, us.map((u): Draw => [0.7, 1, 20, u]));
  yield sampleCase("top-p", logits, us.map((u): Draw => [1.3, 0.8, 0, u]));
  yield sampleCase("both, and almost nothing", logits, [
    ...[[1, 0.5, 40, 0.3], [1, 1e-9, 0, 0.9], [0.01, 0.9, 5, 0.5], [2, 1, 1, 0.7]] as const,
  ]);
  // Of equal ones the lowest ids.
  yield sampleCase("ties", new Float32Array(90).fill(1), us.map((u): Draw => [1, 0.4, 30, u]));
  const even = Float32Array.from({ length: 6000 }, (_, id) => id % 3);
  yield sampleCase("more ties than are listed", even, [
    ...[[1, 0.55, 0, 0.99999], [1, 0.9, 0, 0.5], [1, 1, 2500, 0.999], [3, 0.99, 3100, 0.2], [
      1,
      1,
      700,
      0.99999,
    ]] as const,
  ]);
  // Everything in one bin of the first round.
  yield sampleCase("hot", logits, [[1e6, 0.5, 0, 0.7], [1e30, 0.3, 1200, 0.4], [1e39, 0.7, 0, 0.9]]);
  const wide = r.row(20_004, false, 3);
  yield sampleCase("loads of 16 bytes, four at once", wide, [
    ...[[1, 1, 0, 0.4], [0.8, 0.95, 50, 0.8], [1.5, 0.9, 0, 0.99], [1, 0.99, 2000, 0.6]] as const,
  ]);
  yield sampleCase("NaN", odd, [[1, 0.9, 0, 0.5], [0, 1, 0, 0.5]]);
  yield sampleCase("nothing", new Float32Array(64).fill(-Infinity), [[1, 0.9, 5, 0.5]]);
  yield argmaxCase("a wide row and odd ones", [wide, r.row(20_004, false, 40)], true);
  yield argmaxCase("NaN", [odd, r.row(odd.length, false)], true);
  yield argmaxSplitCase("random, NaN, infinity, ties, one left", kinds);
  yield argmaxSplitCase("few, and nothing", [r.row(5, false), new Float32Array(5).fill(-Infinity)]);
  yield argmaxSplitCase("loads of 16 bytes", [wide, r.row(20_004, false, 40)]);
  yield argmaxSplitCase("loads of 4 bytes", [logits]);
  const ids = inout(Int32Array.of(1, 2, 3)),
    positions = inout(Int32Array.of(10, -1, 30)),
    step = inout(Int32Array.of(9));
  const history = inout(new Int32Array(12).fill(-1));
  yield {
    name: "advance",
    job: {
      entry: "advance",
      grid: [1, 1, 1],
      threads: 256,
      lds: 0,
      arguments: [
        ...[
          pointer(ids),
          pointer(positions),
          pointer(input(Int32Array.of(7, 8, 9))),
          pointer(history),
          pointer(step),
          i32(4),
          i32(3),
        ],
      ],
    },
    check: () =>
      exactly([...ints(ids), ...ints(positions), ...ints(step), ...ints(history)], [
        ...[7, 8, 9, 11, -1, 31, 10],
        ...[-1, -1, -1, 7, 8, 9, -1, -1, -1, -1, -1, -1],
      ]),
  };
}
