/** Which launches may begin before what is ahead of them has ended: none that follows a library's kernels. */
import { PackedArguments } from "../../../ffi/arguments.ts";
import type { DeviceBuffer, DeviceRange, LaunchShape, Stream } from "../../../ffi/runtime.ts";
import { Calls } from "../../../src/backends/gpu/calls.ts";
import { type DecodeParts, enqueueNext, enqueuePick } from "../../../src/backends/gpu/decode.ts";
import type { KernelSet } from "../../../src/backends/gpu/kernels.ts";
import { launchGive } from "../../../src/backends/gpu/products.ts";
import { type RankGroups, RankSums } from "../../../src/backends/gpu/ranks.ts";
import type { GpuLinear } from "../../../src/backends/gpu/tensors.ts";
import type { Workspace } from "../../../src/backends/gpu/workspace.ts";
import { Queue } from "../../../ffi/stream.ts";
import { assert, assertEquals } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { logitsOf, openEngine, sequence } from "./opened.ts";

/** Launches that note whether they may begin early. */
function noting(queued: unknown[]): Calls {
  const launch = (_: unknown, { overlaps }: LaunchShape) => void queued.push(overlaps);
  const traits = { threads: 256, rowsPerBlock: 128, tokensPerBlock: 128, ldsPerColumn: 0, ldsFixed: 0 };
  const device = { createArguments: () => new PackedArguments(() => 0n), properties: { multiprocessors: 1 } };
  const kernels = { device, code: { arch: "sm_90" }, has: () => true, get: () => ({ kernel: {}, traits }) };
  return new Calls({ launch } as unknown as Stream, kernels as unknown as KernelSet);
}

Deno.test("ranks pick from logits that a library has gathered once it has, whatever may begin early", () => {
  const queued: (string | boolean | undefined)[] = [], calls = noting(queued);
  const buffer = { range: (offset: number, bytes: number): DeviceRange => ({ buffer, offset, bytes }) } as DeviceBuffer;
  const workspace = new Proxy({ logitStride: 8, allLogitStride: 16 } as Record<string, unknown>, {
    get: (sizes, name: string) => sizes[name] ?? buffer.range(0, 4096),
  }) as unknown as Workspace<string>;
  const tensor = { allGather: () => void queued.push("gather"), together: (all: () => void) => all() };
  const sums = new RankSums(calls, workspace, { world: tensor, tensor } as unknown as RankGroups, true);
  const parts = { calls, workspace, context: 8, vocab: 16 } as DecodeParts;
  calls.overlaps = true;
  for (const rows of [1, 2]) {
    sums.gatherLogits(rows);
    enqueuePick(parts, rows, true);
    enqueueNext(parts, rows);
  }
  assertEquals(queued, ["gather", false, true, "gather", "gather", false, true]);
});

Deno.test("the kernel that gives rows begins when all ahead of it have ended, as those who take them do not", () => {
  const queued: (boolean | undefined)[] = [], calls = noting(queued);
  const range = { buffer: {} as DeviceBuffer, offset: 0, bytes: 4096 };
  const shape = { rows: 128, cols: 32, rowStride: 64, scaleStride: 0, tensorScale: 1, format: "bf16", suffix: "bf16" };
  const more = { weight: range, scale: null, bias: null, biasFormat: 0, flags: 0 };
  const linear = { ...shape, ...more } as GpuLinear;
  const rows = { range, stride: 32, bf16: true, order: 0, scales: null } as const;
  const products = { linears: [linear], outs: [{ range, stride: 128 }], x: rows, n: 128 } as const;
  const to = { inboxes: range, marks: range, rank: 0, ranks: 2, room: 4096, tiles: 1 };
  for (const overlaps of [true, false]) {
    calls.overlaps = overlaps;
    launchGive(calls, products, "gemm_bf16_wgmma", to);
    queued.push(calls.overlaps);
  }
  assertEquals(queued, [false, true, false, false]);
});

Deno.test({
  name: "no launch that follows a copy to the device begins before the copy has ended",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    using host = new HipHost(buildHipHost());
    const config = testConfig({});
    using model = randomModel(31, { config });
    const engine = await openEngine(host.path, model, { kernels: await hostKernels(), overlap: true });
    const { launch, upload } = Queue.prototype, queued: string[] = [];
    try {
      Queue.prototype.launch = function (kernel, shape, args) {
        queued.push(shape.overlaps ? "early" : "waits");
        launch.call(this, kernel, shape, args);
      };
      Queue.prototype.upload = function (...copied) {
        queued.push("copy");
        upload.apply(this, copied);
      };
      // Looked at, these are not recorded: the numbers of the rows whose logits are wanted are sent by themselves.
      for (const count of [1, 3]) {
        const rows = Int32Array.from({ length: count }, (_, i) => i);
        await engine.compute(sequence(0, count, config.vocab), rows, () => {}, () => {});
      }
      await logitsOf(engine, sequence(0, 1, config.vocab, 20), [0]);
    } finally {
      Object.assign(Queue.prototype, { launch, upload });
      await engine.close();
    }
    assert(queued.includes("early"));
    assert(queued.filter((what) => what === "copy").length >= 4, queued.join(" "));
    assertEquals(queued.flatMap((what, i) => what === "copy" && queued[i + 1] === "early" ? [i] : []), []);
  },
});
