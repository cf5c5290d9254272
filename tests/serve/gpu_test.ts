/** The scheduler over the GPU backend, whose kernels run on the processor here: the device chooses tokens. */
import type { GpuEngine } from "../../src/backends/gpu/engine.ts";
import type { Engine } from "../../src/model/engine.ts";
import type { Job } from "../../src/serve/engine/job.ts";
import { Scheduler } from "../../src/serve/engine/scheduler.ts";
import { Turns } from "../../src/serve/engine/turns.ts";
import { Session } from "../../src/session/session.ts";
import { assert, assertEquals } from "../assert.ts";
import { openEngine } from "../backends/gpu/opened.ts";
import { randomModel, testConfig } from "../backends/random_model.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { SOAK } from "../soak.ts";

const ignore = !SOAK || await withoutKernelCompiler();
const config = testConfig({});
const LIMITS = { slots: 3, context: 64, maxTokens: 32, vocab: config.vocab };

/** The same engine without choices of its own. */
const onHost = (engine: GpuEngine): Engine => ({
  info: engine.info,
  compute: (...args) => engine.compute(...args),
  copySlot: (...args) => engine.copySlot(...args),
  close: () => engine.close(),
});

const job = (i: number, more: Partial<Job> = {}): Job => ({
  prompt: Int32Array.from({ length: 5 + 2 * i }, (_, at) => (7 * at + 3 * i) % config.vocab),
  maxTokens: 9 + 4 * i,
  stopIds: new Set<number>(),
  sampling: i % 2 === 0 ? {} : { temperature: 1.5, topK: 20, topP: 0.9, seed: i },
  logprobs: null,
  echo: false,
  client: "a",
  requestId: `${i}`,
  ...more,
});

/** Tokens of jobs that are submitted together. */
function repliesOf(engine: Engine, jobs: readonly Job[]): Promise<number[][]> {
  const scheduler = new Scheduler(new Session(engine, LIMITS), new Turns(), { queue: 8, milliseconds: 60_000 });
  const generations = jobs.map((one) => scheduler.submit(one));
  return Promise.all(generations.map(async (one) => (await Array.fromAsync(one)).map(({ id }) => id)));
}

Deno.test({
  name: `on GPUs the device chooses the server's tokens as the host would${
    SOAK ? "" : " (skipped without MXOSS_SOAK=1)"
  }`,
  ignore,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(20, { config });
    const engine = await openEngine(host.path, model, { kernels: await hostKernels() }, {
      dtype: "f32",
      kvFormat: "f32",
    });
    for (const jobs of [[0, 1, 2], [1], [0, 2, 1, 3, 4]].map((list) => list.map((i) => job(i)))) {
      const expected = await repliesOf(onHost(engine), jobs);
      host.reset();
      assertEquals(await repliesOf(engine, jobs), expected);
      assert(host.calls("hipGraphLaunch") > 0, "nothing was chosen ahead");
    }
    await engine.close();
  },
});
