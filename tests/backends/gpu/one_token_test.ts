/** Which experts the kernels for one token take: on ranks the second linear has any number of blocks of columns. */
import { Calls } from "../../../src/backends/gpu/calls.ts";
import { mlpKnows } from "../../../src/backends/gpu/expert_mlp.ts";
import { oneKnows, walkKnows } from "../../../src/backends/gpu/products.ts";
import type { GpuLinear } from "../../../src/backends/gpu/tensors.ts";
import { assert, assertEquals } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { randomModel, STORAGES, testConfig } from "../random_model.ts";
import { logitsOf, openEngine, sequence } from "./opened.ts";

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

/** A linear of whole MXFP4 blocks without a gap between rows. */
const linear = (rows: number, cols: number): GpuLinear =>
  ({
    ...{ rowStride: cols / 2, scaleStride: cols / 32, input: { kind: "none" }, rows, cols, suffix: "mxfp4" },
  }) as GpuLinear;

Deno.test("the kernel that shares out slot rows takes linears of ranks that have some of them", () => {
  const calls = { multiprocessors: 132, fits: () => true } as unknown as Calls;
  const knows = (rows: number, cols: number) => walkKnows(calls, "expert_batch_mxfp4_x8", linear(rows, cols), 64);
  assertEquals([knows(5760, 2880), knows(2880, 1440), knows(2888, 1440)], [true, true, false]);
  assertEquals([knows(0, 2880), knows(2880, 0)], [false, false]);
});

Deno.test("the kernel of both linears takes pairs that belong together, of whole pairs of blocks", () => {
  const knows = (multiprocessors: number, up: GpuLinear, down: GpuLinear) =>
    mlpKnows({ multiprocessors, fits: () => true } as unknown as Calls, up, down, 4);
  const up = linear(5760, 2880), down = linear(2880, 2880);
  assertEquals([132, 120, 119, 256, 257].map((m) => knows(m, up, down)), [true, true, false, true, false]);
  // Half of the columns, as one of two ranks has; rows that are not of these columns; another format.
  assertEquals(knows(132, linear(2880, 2880), linear(2880, 1440)), false);
  assertEquals(knows(132, linear(5760, 2880), linear(2880, 2816)), false);
  assertEquals(knows(132, linear(5760, 2880), { ...down, suffix: "bf16" }), false);
});

Deno.test("that of ranks takes an odd number of blocks, where an expert's scales are whole pieces of 16 bytes", () => {
  const asked: string[] = [];
  const knows = (up: GpuLinear, down: GpuLinear, { topK = 4, most = Infinity, multiprocessors = 132 } = {}) => {
    const fits = (entry: string, cols: number) => {
      asked.push(`${entry} ${cols}`);
      return cols <= most;
    };
    return mlpKnows({ multiprocessors, fits } as unknown as Calls, up, down, topK, true);
  };
  const of = (inner: number, rows = 2880) => [linear(2 * inner, 2880), linear(rows, inner)] as const;
  // The columns of 1, 2, 4 and 8 ranks; two with a block less; a rank that has none.
  assertEquals([2880, 1440, 736, 384, 1408, 0].map((inner) => knows(...of(inner))), [...Array(5).fill(true), false]);
  // 361 * 8 rows of 45 blocks are no whole pieces, of 46 and of 44 they are.
  assertEquals([1440, 1472, 1408].map((inner) => knows(...of(inner, 2888))), [false, true, true]);
  // Another kernel is asked for than that of one rank, with room for as many columns as its teams have.
  const entries = new Set(asked), inners = [[2880, 2880], [1440, 2880], [736, 2944]] as const;
  for (const [, cols] of inners) assert(entries.has(`expert_mlp_ranks_mxfp4_one ${cols}`), `not asked for ${cols}`);
  assert(!asked.some((text) => text.startsWith("expert_mlp_mxfp4")), "asked for the kernel of one rank");
  assertEquals(inners.map(([inner]) => knows(...of(inner), { most: 2900 })), [true, true, false]);
  // What is refused on one rank is on several.
  assertEquals([4, 5].map((topK) => knows(...of(1440), { topK })), [true, false]);
  assertEquals([119, 256, 257].map((multiprocessors) => knows(...of(1440), { multiprocessors })), [false, true, false]);
  assertEquals(knows(linear(5760, 2880), linear(2880, 1440)), false);
  assertEquals(knows(of(1440)[0], { ...of(1440)[1], suffix: "bf16" }), false);
});

Deno.test({
  name: "a step of one token by the kernel of both linears has the bits of two kernels, in recordings as well",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    using host = new HipHost(buildHipHost());
    // Of fewer ones each had more rows than it has room for.
    host.configure({ multiprocessors: 8 });
    const config = testConfig({ hidden: 64, intermediate: 64 });
    using model = randomModel(5, { config, storage: STORAGES.find(({ format }) => format === "mxfp4")! });
    const { launch } = Calls.prototype, launched: string[] = [], found: Float32Array[][] = [];
    try {
      Calls.prototype.launch = function (family, values, entry, most) {
        launched.push(entry ?? family);
        return launch.call(this, family, values as never, entry, most);
      };
      for (const oneToken of [/_one$/, /_(up|combine)_/]) {
        const options = { kernels: await hostKernels({ oneToken }), overlap: true };
        const engine = await openEngine(host.path, model, options, { dtype: "bf16", kvFormat: "bf16" });
        launched.length = 0;
        const logits: Float32Array[] = [];
        for (let i = 0; i < 4; i++) logits.push(...await logitsOf(engine, sequence(0, 1, config.vocab, i), [0]));
        found.push(logits);
        const both = launched.filter((entry) => entry === "expert_mlp_mxfp4_one").length;
        const two = launched.filter((entry) => entry === DOWN).length;
        assert(both + two >= config.layers && Math.min(both, two) === 0, `${both} and ${two} launches`);
        assertEquals(both > 0, oneToken.test("expert_mlp_mxfp4_one"));
        assert(host.calls("hipGraphLaunch") > 0, "nothing was recorded");
        await engine.close();
      }
    } finally {
      Calls.prototype.launch = launch;
    }
    assertEquals(found[0], found[1]);
    assertEquals(host.leaks(), "");
  },
});
