/** Cases of the sums over ranks: of what was gathered, and of what lies with other ranks. */
import { roundToBf16 } from "../../formats/bf16.ts";
import { exactly, type KernelCase } from "./check.ts";
import { type DeviceBuffer, floats, i32, i64, inout, input, ints, pointer } from "./job.ts";
import { Random } from "./random.ts";

const STRIDE = 304, WIDTH = 300, N = 5;
/** Counters of one rank: most blocks of a launch. */
const BLOCKS = 128;

/** Pointers to buffers, in device memory. */
const pointersTo = (all: readonly DeviceBuffer[]): DeviceBuffer => ({
  bytes: new Uint8Array(8 * all.length),
  pointers: all.map((to, i) => ({ offset: 8 * i, to })),
  constant: true,
});

export function* rankCases(): Generator<KernelCase> {
  const r = new Random(23);
  for (const [ranks, round, accumulate] of [[2, 0, 0], [3, 1, 0], [2, 1, 1], [8, 0, 1]] as const) {
    const rounded = (v: number) => round ? roundToBf16(Math.fround(v)) : Math.fround(v);
    const parts = Array.from({ length: ranks }, () => r.row(N * STRIDE, round === 1));
    const before = r.row(N * STRIDE, round === 1);
    // The order of additions shows in float32.
    const want = before.map((v, i) => {
      if (i % STRIDE >= WIDTH) return v;
      const sum = rounded(parts.reduce((sum, part) => Math.fround(sum + part[i]!), 0));
      return accumulate ? rounded(v + sum) : sum;
    });
    const sizes = [i32(STRIDE), i32(WIDTH), i32(round), i32(accumulate), i32(N)];
    const gathered = new Float32Array(ranks * N * STRIDE);
    parts.forEach((part, rank) => gathered.set(part, rank * part.length));
    const blocks = Math.ceil(N * WIDTH / 1024), out = inout(before), shape = { threads: 256, lds: 0 };
    yield {
      name: `sum_ranks of ${ranks} round ${round} accumulate ${accumulate}`,
      job: {
        ...{ entry: "sum_ranks", grid: [blocks, 1, 1] as const, ...shape },
        arguments: [pointer(out), pointer(input(gathered)), i64(N * STRIDE), i32(ranks), ...sizes],
      },
      check: () => exactly(floats(out), want),
    };
    // Rank 1 computes; the others have come to this sum before it, whose counters are about to wrap around.
    const last = 0x7fffffff, next = -0x80000000, exchanged = inout(before);
    const flags = Array.from({ length: ranks }, (_, rank) => {
      const counters = new Int32Array(ranks * BLOCKS);
      if (rank === 1) counters.fill(next).fill(last, BLOCKS, 2 * BLOCKS);
      return inout(counters);
    });
    yield {
      name: `exchange_ranks of ${ranks} round ${round} accumulate ${accumulate}`,
      job: {
        ...{ entry: "exchange_ranks", grid: [blocks, 1, 1] as const, ...shape },
        arguments: [
          pointer(exchanged),
          pointer(pointersTo(parts.map((part) => input(part)))),
          pointer(pointersTo(flags)),
          ...[pointer(input(Int32Array.of(0))), i32(1), i32(ranks), ...sizes],
        ],
      },
      check: () => {
        const marks = flags.flatMap((flag, rank) => {
          const all = ints(flag), expected = new Int32Array(ranks * BLOCKS);
          if (rank === 1) expected.fill(next).fill(last, BLOCKS, 2 * BLOCKS);
          // What it leaves: that it has come, with every rank and in its own memory.
          expected.fill(next, BLOCKS, BLOCKS + blocks);
          return [...all].every((v, i) => v === expected[i]) ? [] : [rank];
        });
        return marks.length > 0 ? Infinity : exactly(floats(exchanged), want);
      },
    };
  }
}
