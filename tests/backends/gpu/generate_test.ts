/** generate() on the GPU backend: the device picks what the host would have picked, and nothing else changes. */
import type { GpuEngine } from "../../../src/backends/gpu/engine.ts";
import { FailureError } from "../../../src/errors.ts";
import type { Engine } from "../../../src/model/engine.ts";
import { type Finish, generate, type GenerateOptions } from "../../../src/session/generate.ts";
import { Sampler, type SamplerOptions } from "../../../src/session/sampler.ts";
import { Session } from "../../../src/session/session.ts";
import { assert, assertEquals, assertRejects } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { dose, ONLY_SOAKED, SOAK } from "../../soak.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { openEngine } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({});
const LIMITS = { slots: 3, context: 64, maxTokens: 32, vocab: config.vocab };
const PROMPT = Array.from({ length: 11 }, (_, i) => (7 * i + 3) % config.vocab);

/** The same engine without picks of its own. */
const onHost = (engine: GpuEngine): Engine => ({
  info: engine.info,
  compute: (...args) => engine.compute(...args),
  copySlot: (...args) => engine.copySlot(...args),
  close: () => engine.close(),
});

type Choices = Partial<Pick<GenerateOptions, "maxTokens" | "stopIds">> & { readonly leaveAfter?: number };

async function run(
  session: Session,
  picker: Sampler,
  { maxTokens = 12, stopIds = new Set(), leaveAfter = Infinity }: Choices = {},
): Promise<{ ids: number[]; reason: Finish["reason"] | null; length: number }> {
  session.reset(1);
  const tokens = generate({ session, slot: 1, prompt: PROMPT, picker, stopIds, maxTokens }), ids: number[] = [];
  while (ids.length < leaveAfter) {
    const next = await tokens.next();
    if (next.done) {
      assertEquals(next.value.timings.generatedTokens, ids.length);
      return { ids, reason: next.value.reason, length: session.length(1) };
    }
    ids.push(next.value);
  }
  await tokens.return(undefined as never);
  return { ids, reason: null, length: session.length(1) };
}

const PICKERS: readonly SamplerOptions[] = [
  {},
  { temperature: 1, seed: 1 },
  { temperature: 0.7, topK: 12, seed: 2 },
  { temperature: 1.8, topP: 0.9, seed: 3 },
  { temperature: 3, topK: 40, topP: 0.7, seed: 2n ** 63n },
  { temperature: 2, topK: 1, seed: 4 },
];

Deno.test(
  { name: "generate() gets from the device the tokens that the host picks for the same seed", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(20, { config });
    const kernels = await hostKernels();
    for (const dtype of ["f32", "bf16"] as const) {
      const engine = await openEngine(host.path, model, { kernels }, { dtype, kvFormat: dtype });
      const device = new Session(engine, LIMITS), plain = new Session(onHost(engine), LIMITS);
      for (const options of PICKERS.filter((_, i) => SOAK || (dtype === "f32" ? i % 3 === 0 : i === 4))) {
        const expected = await run(plain, new Sampler(options));
        assertEquals(expected.reason, "length");
        host.reset();
        const got = await run(device, new Sampler(options));
        assertEquals(got, expected, `${dtype}, ${JSON.stringify({ ...options, seed: `${options.seed}` })}`);
        // The first step of a kind is plain, the second records.
        assert(host.calls("hipGraphLaunch") >= 9, `${host.calls("hipGraphLaunch")} replays of 11 steps`);
      }
      await device.close();
    }
    assertEquals(host.leaks(), "");
  },
);

Deno.test(
  { name: "generate() on the device ends as on the host: stop token, context, a caller who leaves", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(21, { config });
    const engine = await openEngine(host.path, model, { kernels: await hostKernels() });
    const limits = { ...LIMITS, context: dose(24, 64) };
    const device = new Session(engine, limits), plain = new Session(onHost(engine), limits);
    for (const options of PICKERS.slice(0, SOAK ? 3 : 1)) {
      const { ids } = await run(plain, new Sampler(options), { maxTokens: 12 });
      const choices: [string | null, Choices][] = [
        ["stop", { stopIds: new Set([ids[6]!]) }],
        ["stop", { stopIds: new Set([ids[0]!]) }],
        ["context", { maxTokens: 100 }],
        ["length", { maxTokens: 1 }],
        ["length", { maxTokens: 2 }],
        [null, { leaveAfter: 5 }],
        [null, { leaveAfter: 1 }],
      ];
      for (const [reason, choice] of choices) {
        const sampler = new Sampler(options), other = new Sampler(options);
        const expected = await run(plain, sampler, choice), got = await run(device, other, choice);
        assertEquals(got, expected, `${reason}`);
        assertEquals(got.reason, reason);
        // What follows in the same conversation, with the same picker, is the same too.
        assertEquals(other.upcoming(3), sampler.upcoming(3), `${reason}`);
      }
    }
    await device.close();
    assertEquals(host.leaks(), "");
  },
);

Deno.test({ name: "generate() hands out each token before it asks for a later one", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(22, { config });
  const session = new Session(await openEngine(host.path, model, { kernels: await hostKernels() }), LIMITS);
  const launched: number[] = [];
  const tokens = generate({
    ...{ session, slot: 0, prompt: PROMPT, picker: new Sampler(), stopIds: new Set<number>(), maxTokens: 30 },
  });
  for await (const _ of tokens) {
    launched.push(host.calls("hipEventRecord"));
    // A slow reader: the device must not run away.
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assertEquals(launched.length, 30);
  for (let i = 2; i < 27; i++) {
    assertEquals(launched[i]! - launched[i - 1]!, 1, `token ${i}: one step is launched for one that was taken`);
  }
  await session.close();
});

Deno.test({ name: "generate() fails with one line when logits are no numbers", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(23, { config });
  const kernels = await hostKernels();
  for (const options of PICKERS.slice(0, 2)) {
    const engine = await openEngine(host.path, model, { kernels }), session = new Session(engine, LIMITS);
    const tokens = generate({
      ...{ session, slot: 0, prompt: PROMPT, picker: new Sampler(options), stopIds: new Set<number>(), maxTokens: 9 },
    });
    await tokens.next();
    poison(engine, 0);
    const error = await assertRejects(async () => {
      for await (const _ of tokens);
    }, FailureError);
    // The sequence computed once more has no such keys: what the test wrote is gone.
    assertEquals(
      error.message,
      "logits of position 11, token 0: expected numbers, got NaN or Infinity; computed once more, all are numbers: " +
        "memory or files changed meanwhile",
    );
    await session.close();
  }
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "generate() passes on the failure of a call", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(24, { config });
  const session = new Session(await openEngine(host.path, model, { kernels: await hostKernels() }), LIMITS);
  await run(session, new Sampler());
  for (const call of ["hipGraphLaunch", "hipEventSynchronize"]) {
    host.reset();
    host.fail(call, 9, 719);
    const error = await assertRejects(() => run(session, new Sampler()), FailureError);
    assert(error.message.startsWith(call) && !error.message.includes("\n"), error.message);
  }
  await session.close();
  assertEquals(host.leaks(), "");
});

Deno.test({
  name:
    `generate() goes on after Session.rewind() as if nothing had followed, also if the device ran ahead${ONLY_SOAKED}`,
  ignore: ignore || !SOAK,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(25, { config });
    const own = { maxTokens: 8, rewind: 20 }, limits = { ...LIMITS, ...own };
    const engine = await openEngine(host.path, model, { kernels: await hostKernels() }, own);
    const session = new Session(engine, limits), stopIds = new Set<number>();
    const go = async (prompt: readonly number[], maxTokens: number) => {
      const kept = session.rewind(0, prompt), ids: number[] = [];
      const ready = { session, slot: 0, prompt: prompt.slice(kept), picker: new Sampler(), stopIds, maxTokens };
      for await (const id of generate(ready)) ids.push(id);
      return { kept, ids };
    };
    const first = await go(PROMPT, 41), parted = 31;
    // A ring of the window, a batch and what is taken back has come round.
    assertEquals(session.length(0), PROMPT.length + 40);
    assert(config.slidingWindow + own.maxTokens + own.rewind < session.length(0));
    const other = [...PROMPT, ...first.ids].slice(0, parted).concat([1, 2, 3]);
    const again = await go(other, 12);
    session.reset(0);
    const anew = await go(other, 12);
    assertEquals([again.kept, anew.kept], [parted, 0]);
    assertEquals(again.ids, anew.ids);
    assertEquals(session.rewind(0, PROMPT), 0, "further back than was set aside");
    await session.close();
    assertEquals(host.leaks(), "");
  },
});

/** Makes the keys and values of a sequence's first position NaN. */
function poison({ backend, config }: GpuEngine, slot: number): void {
  const { tensors } = backend, { headDim } = config;
  backend.begin({ ids: Int32Array.of(0), slots: Int32Array.of(slot), positions: Int32Array.of(0) });
  for (let layer = 0; layer < config.layers; layer++) {
    const width = tensors.key.width;
    assert(width % headDim === 0);
    backend.write(tensors.key, new Float32Array(width).fill(NaN));
    backend.write(tensors.value, new Float32Array(width).fill(NaN));
    backend.store(layer, tensors.key, tensors.value);
  }
  backend.launch();
}
