/** The scheduler over the GPU backend, whose kernels run on the processor here: the device chooses tokens. */
import { reason } from "../../src/errors.ts";
import type { Engine } from "../../src/model/engine.ts";
import { openDeviceApart } from "../../src/parallel/device_engine.ts";
import type { Job } from "../../src/serve/engine/job.ts";
import { Scheduler } from "../../src/serve/engine/scheduler.ts";
import { Turns } from "../../src/serve/engine/turns.ts";
import { Session } from "../../src/session/session.ts";
import { assert, assertEquals, assertMatch } from "../assert.ts";
import { openEngine, requestFor, sequence } from "../backends/gpu/opened.ts";
import { type RandomModel, randomModel, testConfig } from "../backends/random_model.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { SOAK } from "../soak.ts";

const ignore = !SOAK || await withoutKernelCompiler();
const config = testConfig({});
const LIMITS = { slots: 3, context: 64, maxTokens: 32, vocab: config.vocab };

/** The same engine without choices of its own. */
const onHost = (engine: Engine): Engine => ({
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

/** Tokens of jobs that are submitted together, or why there are none. */
function repliesOf(engine: Engine, jobs: readonly Job[]): Promise<(number[] | string)[]> {
  const scheduler = new Scheduler(new Session(engine, LIMITS), new Turns(), { queue: 8, milliseconds: 60_000 });
  const generations = jobs.map((one) => scheduler.submit(one));
  return Promise.all(generations.map(async (one) => {
    try {
      return (await Array.fromAsync(one)).map(({ id }) => id);
    } catch (thrown) {
      return reason(thrown);
    }
  }));
}

/** Opens the model on the test library, on this thread or on one of its own. */
async function open(
  host: HipHost,
  model: RandomModel,
  apart: boolean,
  dtype: "f32" | "bf16" = "f32",
): Promise<Engine> {
  const more = { dtype, kvFormat: dtype }, kernels = await hostKernels();
  if (!apart) return await openEngine(host.path, model, { kernels }, more);
  host.kernels(await hostLibrary());
  return await openDeviceApart(requestFor(model, more), { kind: "hip", ordinal: 0, library: host.path }, undefined);
}

/** Makes a number of a token's embedding NaN. */
function spoil({ source: { files, tree: { embedding } } }: RandomModel, token: number): void {
  using file = Deno.openSync(files[embedding.file]!.path, { write: true });
  file.seekSync(embedding.offset + token * embedding.rowStride, Deno.SeekMode.Start);
  file.writeSync(Uint8Array.of(0xc0, 0x7f));
}

const skipped = SOAK ? "" : " (skipped without MXOSS_SOAK=1)";

for (const apart of [false, true]) {
  const where = apart ? ", on a thread of its own" : "";
  Deno.test({
    name: `on GPUs the device chooses the server's tokens as the host would${where}${skipped}`,
    ignore,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      using model = randomModel(20, { config });
      const engine = await open(host, model, apart);
      for (const jobs of [[0, 1, 2], [1], [0, 2, 1, 3, 4]].map((list) => list.map((i) => job(i)))) {
        const expected = await repliesOf(onHost(engine), jobs);
        host.reset();
        assertEquals(await repliesOf(engine, jobs), expected);
        assert(host.calls("hipGraphLaunch") > 0, "nothing was chosen ahead");
      }
      await engine.close();
      assertEquals(host.leaks(), "");
    },
  });

  Deno.test({
    name: `on GPUs a NaN is the matter of its sequence, and nothing of it stays${where}${skipped}`,
    ignore,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      const bad = 9;
      using model = randomModel(20, { config });
      spoil(model, bad);
      const prompt = (i: number, length: number) =>
        Int32Array.from({ length }, (_, at) => (at * (3 + i)) % config.vocab).map((id) => id === bad ? 10 : id);
      // One has it in its prompt; what comes after takes its slot, whose keys and values were NaN.
      const poisoned = job(1, { prompt: prompt(1, 20).fill(bad, 4, 5), requestId: "bad" });
      const jobs = [0, 2, 3, 4, 5, 6].map((i) => job(i, { prompt: prompt(i, 3 + 4 * i), maxTokens: 8, sampling: {} }));
      // Kernels in bf16 are not compiled for the test library as a program finds them.
      for (const dtype of apart ? ["f32"] as const : ["f32", "bf16"] as const) {
        const engine = await open(host, model, apart, dtype), expected = await repliesOf(engine, jobs);
        const all = await repliesOf(engine, [jobs[0]!, poisoned, ...jobs.slice(1)]);
        assertMatch(`${all[1]}`, /^logits of position 19, token 0: expected numbers, got NaN/);
        // In bf16 a token is rounded as the number of tokens of its batch has it.
        if (dtype === "f32") assertEquals(all.toSpliced(1, 1), expected);
        assertEquals(all.toSpliced(1, 1).map(({ length }) => length), jobs.map(({ maxTokens }) => maxTokens));
        await engine.close();
      }
    },
  });
}

Deno.test({
  name: `on GPUs the server's event loop turns while the device computes${skipped}`,
  ignore,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(20, { config });
    const engine = await open(host, model, true), batch = sequence(0, 32, config.vocab);
    await engine.compute(batch, Int32Array.of(31), () => {});
    // By the processor's kernels a batch takes a tenth of a second; on this thread no timer would come before its end.
    let turned = false;
    const timer = setTimeout(() => turned = true, 0);
    await engine.compute(batch, Int32Array.of(31), () => {});
    clearTimeout(timer);
    assert(turned, "no turn of the event loop came before the end");
    await engine.close();
  },
});
