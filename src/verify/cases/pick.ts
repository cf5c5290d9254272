/** Cases of picking tokens: argmax, sample, advance. */
import { SAMPLE_STAGES, SAMPLE_STATE_WORDS } from "../../../kernels/abi/attention.ts";
import { Sampler } from "../../session/sampler.ts";
import { exactly, type KernelCase, near, worstOf } from "./check.ts";
import { floats, i32, i64, inout, input, ints, type Job, output, pointer } from "./job.ts";
import { Random } from "./random.ts";
import { strided } from "./rows.ts";

/** The lowest float32, which stands for a token that must not be drawn. */
const LOWEST = -3.4028234663852886e38;

/** Lowest id of the largest logit; ~id of the first that is NaN or infinite, where there is one. */
function argmax(logits: Float32Array): number {
  const bad = logits.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) return ~bad;
  const most = logits.reduce((a, b) => Math.max(a, b));
  return logits.findIndex((v) => v === most);
}

/** Blocks of a row of argmax_split and of sample_split. */
const ROW_BLOCKS = 32;

/** argmax_split: by several blocks a row. */
function argmaxSplitCase(name: string, rows: readonly Float32Array[]): KernelCase {
  const vocab = rows[0]!.length, stride = Math.ceil(vocab / 4) * 4 + 4, picked = output(4 * rows.length);
  const logits = strided(rows, stride, 1e30);
  const partial = output(4 * rows.length * ROW_BLOCKS), counters = inout(new Int32Array(rows.length));
  return {
    name: `argmax_split ${name}`,
    job: {
      entry: "argmax_split",
      grid: [ROW_BLOCKS, rows.length, 1],
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
  const vocab = rows[0]!.length, stride = vocab + 1, logits = strided(rows, stride, 1e30);
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
        draws.map((draw) => drawn(logits, draw)),
      ),
  };
}

/** The token that the host draws. */
function drawn(logits: Float32Array, [temperature, topP, topK, u]: Draw): number {
  const best = argmax(logits);
  return best < 0 ? best : new Sampler({ temperature, topP, topK }).pick(logits, Math.fround(u));
}

/** Words of a row's state that are 0 between picks: what counts blocks and candidates, and the bins' sums. */
const ZEROS: readonly (readonly [from: number, to: number])[] = [[10, 12], [12, 2060], [20_492, 21_516]];

/**
 * sample_split: each row from logits of its own.
 *
 * @param picks How often, one after the other with the same memory.
 */
export function sampleSplitCase(
  name: string,
  all: readonly (readonly [logits: Float32Array, draw: Draw])[],
  picks = 1,
): KernelCase {
  const rows = all.length, vocab = all[0]![0].length, stride = Math.ceil(vocab / 4) * 4 + 4, context = 2, position = 1;
  const logits = new Float32Array(rows * stride).fill(1e30), uniforms = new Float32Array(rows * context).fill(0.999);
  all.forEach(([own, [, , , u]], row) => {
    logits.set(own, row * stride);
    uniforms[row * context + position] = u;
  });
  const params = input(Float32Array.from(all.flatMap(([, [t, p, k]]) => [t, p, k, 0])));
  const picked = output(4 * rows), states = inout(new Int32Array(rows * SAMPLE_STATE_WORDS));
  const before = [
    ...[pointer(input(logits)), i64(stride), i32(vocab), pointer(params), pointer(input(uniforms)), i32(context)],
    ...[pointer(input(new Int32Array(rows).fill(position))), pointer(picked), pointer(states)],
  ];
  let job: Job | undefined;
  for (let launch = picks * SAMPLE_STAGES - 1; launch >= 0; launch--) {
    job = {
      ...{ entry: "sample_split", grid: [ROW_BLOCKS, rows, 1], threads: 1024, lds: 0 },
      arguments: [...before, i32(launch % SAMPLE_STAGES), i32(rows)],
      ...(job ? { then: job } : {}),
    };
  }
  return {
    name: `sample_split ${name}`,
    job: job!,
    check: () => {
      const left = ints(states);
      const zero = (row: number) =>
        ZEROS.every(([from, to]) =>
          left.subarray(row * SAMPLE_STATE_WORDS + from, row * SAMPLE_STATE_WORDS + to).every((word) => word === 0)
        );
      return worstOf(
        exactly(ints(picked), all.map(([own, draw]) => drawn(own, draw))),
        all.every((_, row) => zero(row)) ? 0 : Infinity,
      );
    },
  };
}

/** Cases of sample_split that one block has no need of. */
function* ownSplitCases(r: Random, kinds: readonly Float32Array[]): Generator<KernelCase> {
  const every: readonly Draw[] = [
    ...[[0, 1, 0, 0.5], [1, 1, 0, 0.7], [0.7, 0.9, 0, 0.3], [2, 1, 30, 0.99], [5, 0.5, 600, 0.1]] as const,
  ];
  yield sampleSplitCase("rows of all kinds", kinds.map((own, i) => [own, every[i % every.length]!]));
  yield sampleSplitCase("rows of all kinds, the other way", kinds.map((own, i) => [own, every[(i + 3) % 5]!]), 2);
  yield sampleSplitCase("one token", every.map((draw) => [Float32Array.of(-3), draw]));
  // Of 20,000 there are 10,000 in one bin.
  const equal = Float32Array.from({ length: 20_000 }, (_, id) => id & 1);
  yield sampleSplitCase(
    "more ties than blocks list for each other",
    [
      ...[[1, 0.5, 0, 0.9], [1, 1, 9000, 0.999], [1, 0.8, 15_000, 0.7], [1, 0.9, 0, 0.99999]] as const,
    ].map((draw) => [equal, draw]),
  );
  // 6283 or 6284 candidates a block, which a chunk is a small part of.
  const large = [r.row(201_088, false, 3), r.row(201_088, false, 1)];
  yield sampleSplitCase(
    "a large vocabulary",
    [
      ...[[1, 0.95, 0, 0.9], [0.8, 0.95, 50, 0.3], [3, 0.9, 0, 0.6], [1, 1, 0, 0.99999]] as const,
    ].map((draw, i) => [large[i & 1]!, draw]),
  );
}

/** Rows of logits: random, not finite in several ways, ties of 0 and -0, all masked but one, the lowest float32. */
function rowKinds(r: Random) {
  const odd = r.row(700, false), ties = new Float32Array(700).fill(-3);
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
  return { odd, kinds: [r.row(700, false), odd, infinite, ties, masked, negative, low] };
}

/** What is drawn from rows of logits: some not a multiple of 4, for loads of 4 bytes; wide ones; ones with a NaN. */
function drawsFrom(
  logits: Float32Array,
  wide: Float32Array,
  odd: Float32Array,
): (readonly [name: string, logits: Float32Array, draws: readonly Draw[]])[] {
  const us = [0, 0.1, 0.35, 0.62, 0.9, 0.99999];
  // Of equal ones the lowest ids.
  const even = Float32Array.from({ length: 6000 }, (_, id) => id % 3);
  return [
    ["greedy and all", logits, [[0, 1, 0, 0.5], ...us.map((u): Draw => [1, 1, 0, u])]],
    ["top-k", logits, us.map((u): Draw => [0.7, 1, 20, u])],
    ["top-p", logits, us.map((u): Draw => [1.3, 0.8, 0, u])],
    ["both, and almost nothing", logits, [
      ...[[1, 0.5, 40, 0.3], [1, 1e-9, 0, 0.9], [0.01, 0.9, 5, 0.5], [2, 1, 1, 0.7]] as const,
    ]],
    ["ties", new Float32Array(90).fill(1), us.map((u): Draw => [1, 0.4, 30, u])],
    ["more ties than are listed", even, [
      ...[[1, 0.55, 0, 0.99999], [1, 0.9, 0, 0.5], [1, 1, 2500, 0.999], [3, 0.99, 3100, 0.2]] as const,
      [1, 1, 700, 0.99999],
    ]],
    // Everything in one bin of the first round.
    ["hot", logits, [[1e6, 0.5, 0, 0.7], [1e30, 0.3, 1200, 0.4], [1e39, 0.7, 0, 0.9]]],
    ["loads of 16 bytes, four at once", wide, [
      ...[[1, 1, 0, 0.4], [0.8, 0.95, 50, 0.8], [1.5, 0.9, 0, 0.99], [1, 0.99, 2000, 0.6]] as const,
    ]],
    ["NaN", odd, [[1, 0.9, 0, 0.5], [0, 1, 0, 0.5]]],
    ["nothing", new Float32Array(64).fill(-Infinity), [[1, 0.9, 5, 0.5]]],
  ];
}

/** advance: the picked tokens are the next ids, at the next positions, and enter the history; one row is idle. */
function advanceCase(): KernelCase {
  const ids = inout(Int32Array.of(1, 2, 3)), positions = inout(Int32Array.of(10, -1, 30));
  const step = inout(Int32Array.of(9)), history = inout(new Int32Array(12).fill(-1));
  return {
    name: "advance",
    job: {
      entry: "advance",
      grid: [1, 1, 1],
      threads: 256,
      lds: 0,
      arguments: [
        ...[pointer(ids), pointer(positions), pointer(input(Int32Array.of(7, 8, 9))), pointer(history), pointer(step)],
        ...[i32(4), i32(3)],
      ],
    },
    check: () =>
      exactly([...ints(ids), ...ints(positions), ...ints(step), ...ints(history)], [
        ...[7, 8, 9, 11, -1, 31, 10],
        ...[-1, -1, -1, 7, 8, 9, -1, -1, -1, -1, -1, -1],
      ]),
  };
}

export function* pickCases(): Generator<KernelCase> {
  const r = new Random(900), { odd, kinds } = rowKinds(r), few = "few, and nothing";
  const all = "random, NaN, infinity, ties, one left", nothing = new Float32Array(5).fill(-Infinity);
  yield argmaxCase(all, kinds);
  yield argmaxCase(few, [r.row(5, false), nothing]);
  yield argmaxCase("loads of 16 bytes, four at once", [r.row(20_004, false, 3)]);
  const logits = r.row(1501, false, 3);
  logits[77] = logits[78]!;
  logits[79] = LOWEST;
  const wide = r.row(20_004, false, 3), draws = drawsFrom(logits, wide, odd);
  for (const all of draws) yield sampleCase(...all);
  for (const [name, own, all] of draws) yield sampleSplitCase(name, all.map((draw) => [own, draw]));
  yield* ownSplitCases(r, kinds);
  yield argmaxCase("a wide row and odd ones", [wide, r.row(20_004, false, 40)], true);
  yield argmaxCase("NaN", [odd, r.row(odd.length, false)], true);
  yield argmaxSplitCase(all, kinds);
  yield argmaxSplitCase(few, [r.row(5, false), nothing]);
  yield argmaxSplitCase("loads of 16 bytes", [wide, r.row(20_004, false, 40)]);
  yield argmaxSplitCase("loads of 4 bytes", [logits]);
  yield advanceCase();
}
