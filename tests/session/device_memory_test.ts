/** What a GPU is said to need, against what is allocated there. */
import { openHip } from "../../ffi/hip.ts";
import { asset } from "../../src/assets.ts";
import { openGpu } from "../../src/backends/gpu/open.ts";
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { groupSizes, rankRanges, shardSource } from "../../src/checkpoint/shard.ts";
import { workspace } from "../../src/model/gpt_oss.ts";
import { neededOfRanks } from "../../src/session/device_memory.ts";
import { requestOf } from "../../src/session/request.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assertEquals } from "../assert.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { dose } from "../soak.ts";

const ignore = await withoutKernelCompiler();

const SHORT = { chunk: 32, slots: 3, context: 200 };
/** The longest chunk of one sequence. */
const LONG = { chunk: 4096, slots: 1, context: 5000 };

for (
  const { tp, ep, chunk, ...room } of [
    ...dose([], [{ tp: 1, ep: 1, ...SHORT }, { tp: 1, ep: 1, ...LONG }]),
    { tp: 2, ep: 2, ...SHORT },
    ...dose([], [{ tp: 8, ep: 1, ...SHORT }]),
    { tp: 2, ep: 1, ...LONG },
  ]
) {
  const sizes = { tp, ep };
  Deno.test({
    name: `what ranks are said to need is what they allocate, tp ${tp} ep ${ep}, in chunks of ${chunk}`,
    ignore,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      const checkpoint = openCheckpoint(asset("models/tiny-gpt-oss").pathname), { config } = checkpoint;
      const setting = planSetting({ ...DEFAULTS, checkpoint, ...sizes, backend: "hip", chunk });
      const needed = neededOfRanks(setting, room);
      const whole = await requestOf(setting, room), kernels = await hostKernels();
      const allocated: number[] = [];
      for (let rank = 0; rank < sizes.tp * sizes.ep; rank++) {
        const source = shardSource(whole.source, config, sizes, rank), own = rankRanges(config, sizes, rank);
        const part = {
          vocabStart: own.vocab.start,
          expertStart: own.experts.start,
          communicator: groupSizes(config, sizes),
        };
        const request = {
          ...whole,
          source,
          tensors: workspace(config, source),
          ...(needed.length > 1 ? { part } : {}),
        };
        const backend = await openGpu(request, openHip(host.path), { kernels, matrix: false });
        allocated.push(host.deviceBytes);
        backend.close();
      }
      assertEquals(needed.map(({ weights, cache, activations }) => weights + cache + activations), allocated);
      assertEquals(host.leaks(), "");
    },
  });
}
