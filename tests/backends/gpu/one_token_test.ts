/** Which experts the kernels for one token take: on ranks the second linear has any number of blocks of columns. */
import type { Calls } from "../../../src/backends/gpu/calls.ts";
import { oneKnows } from "../../../src/backends/gpu/products.ts";
import type { GpuLinear } from "../../../src/backends/gpu/tensors.ts";
import { assertEquals } from "../../assert.ts";

const DOWN = "expert_down_combine_mxfp4_one", UP = "expert_up_mxfp4_one";

/** Whether they take rows of so many blocks on a device of 132 multiprocessors. */
function knows(entry: string, blocks: number, rows = 2880): boolean {
  const calls = { multiprocessors: 132, fits: () => true } as unknown as Calls, cols = 32 * blocks;
  const dense = { rowStride: cols / 2, scaleStride: blocks, input: { kind: "none" } } as const;
  return oneKnows(calls, entry, { ...dense, rows, cols } as GpuLinear, 4);
}

Deno.test("the kernels for one token take columns of all ranks that divide 2,880, and not of all others", () => {
  assertEquals([90, 45, 23, 21, 12, 6].map((blocks) => knows(DOWN, blocks)), Array(6).fill(true));
  // Ranks of 99 blocks: so all have to say whether they can.
  assertEquals([50, 49].map((blocks) => knows(DOWN, blocks)), [true, false]);
  assertEquals([knows(DOWN, 0), knows(DOWN, 97), knows(DOWN, 90, 132 * 24 + 8)], [false, false, false]);
  assertEquals([90, 45, 0].map((blocks) => knows(UP, blocks)), [true, false, false]);
});
