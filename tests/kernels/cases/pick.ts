/** Cases of picking tokens: argmax, sample, advance. */
import { exactly, type KernelCase } from "../check.ts";
import { i32, i64, inout, input, ints, output, pointer } from "../job.ts";
import { Random } from "./random.ts";

/** Lowest id of the largest logit; NaN never. */
function argmax(logits: Float32Array): number {
  let best = -1;
  logits.forEach((v, id) => {
    if (!Number.isNaN(v) && (best < 0 || v > logits[best]!)) best = id;
  });
  return best;
}

function argmaxCase(name: string, rows: readonly Float32Array[]): KernelCase {
  const vocab = rows[0]!.length, stride = vocab + 1, logits = new Float32Array(rows.length * stride).fill(1e30);
  rows.forEach((row, i) => logits.set(row, i * stride));
  const picked = output(4 * rows.length);
  return {
    name: `argmax ${name}`,
    job: {
      entry: "argmax",
      grid: [rows.length, 1, 1],
      threads: 1024,
      lds: 0,
      arguments: [pointer(input(logits)), i64(stride), i32(vocab), pointer(picked), i32(rows.length)],
    },
    check: () => exactly(ints(picked), rows.map(argmax)),
  };
}

/** Temperature, top_p, top_k and the uniform number. */
type Draw = readonly [number, number, number, number];

/** Ids that are kept, and their weights, by the rule of kernels/ABI.md in float64. */
function kept(logits: Float32Array, [temperature, topP, topK]: Draw): { ids: number[]; weights: number[] } {
  const most = Math.max(...logits), weight = (id: number) => Math.exp((logits[id]! - most) / temperature);
  let ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  const keep = (count: number) => {
    const last = logits[ids[count - 1]!]!;
    ids = ids.filter((id) => logits[id]! >= last);
  };
  if (topK > 0 && topK < ids.length) keep(topK);
  if (topP < 1) {
    const target = topP * ids.reduce((sum, id) => sum + weight(id), 0);
    let sum = 0, count = 0;
    while (count < ids.length && (count === 0 || sum < target)) sum += weight(ids[count++]!);
    keep(count);
  }
  ids.sort((a, b) => a - b);
  return { ids, weights: ids.map(weight) };
}

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
    check: () => {
      const got = ints(picked);
      for (const [row, draw] of draws.entries()) {
        const id = got[row]!;
        if (draw[0] === 0) {
          if (id !== argmax(logits)) return Infinity;
          continue;
        }
        const { ids, weights } = kept(logits, draw), total = weights.reduce((a, b) => a + b), at = ids.indexOf(id);
        if (at < 0) return Infinity;
        const before = weights.slice(0, at).reduce((a, b) => a + b, 0), left = draw[3] * total, slack = 1e-6 * total;
        if (left < before - slack || left > before + weights[at]! + slack) return Infinity;
      }
      return 0;
    },
  };
}

export function* pickCases(): Generator<KernelCase> {
  const r = new Random(900), odd = r.row(700, false), ties = new Float32Array(700).fill(-3);
  odd[5] = NaN;
  odd[600] = Infinity;
  ties[123] = ties[457] = -0;
  ties[456] = 0;
  yield argmaxCase("random, NaN and infinity, ties", [r.row(700, false), odd, ties]);
  yield argmaxCase("few", [r.row(5, false), new Float32Array(5).fill(-Infinity)]);
  const logits = r.row(1500, false, 3);
  logits[77] = logits[78]!;
  const us = [0, 0.1, 0.35, 0.62, 0.9, 0.99999];
  yield sampleCase("greedy and all", logits, [[0, 1, 0, 0.5], ...us.map((u): Draw => [1, 1, 0, u])]);
  yield sampleCase("top-k", logits, us.map((u): Draw => [0.7, 1, 20, u]));
  yield sampleCase("top-p", logits, us.map((u): Draw => [1.3, 0.8, 0, u]));
  yield sampleCase("both, and almost nothing", logits, [[1, 0.5, 40, 0.3], [1, 0, 0, 0.9], [0.01, 0.9, 5, 0.5], [
    2,
    1,
    1,
    0.7,
  ]]);
  yield sampleCase("ties", new Float32Array(90).fill(1), us.map((u): Draw => [1, 0.4, 3, u]));
  const ids = inout(Int32Array.of(1, 2, 3)),
    positions = inout(Int32Array.of(10, 20, 30)),
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
        ...[7, 8, 9, 11, 21, 31, 10],
        ...[-1, -1, -1, 7, 8, 9, -1, -1, -1, -1, -1, -1],
      ]),
  };
}
