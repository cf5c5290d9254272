/** Sequences that share pages on the GPU backend compute, to the bit, what each computes in a cache of its own. */
import { completeAll, slotsNeeded } from "../../../src/eval/batcher.ts";
import type { Completion } from "../../../src/eval/completion.ts";
import { planPages } from "../../../src/backends/gpu/page_tables.ts";
import type { Engine } from "../../../src/model/engine.ts";
import { fewestPages, layerKinds } from "../../../src/model/pages.ts";
import { openDeviceRanks } from "../../../src/parallel/device_engine.ts";
import { Session } from "../../../src/session/session.ts";
import { FailureError } from "../../../src/errors.ts";
import { assertEquals, assertRejects } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { hostLibrary } from "../../kernels/host_machine.ts";
import { ONLY_SOAKED, SOAK } from "../../soak.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { openEngine, requestFor } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({ headDim: 64, layers: 3, sliding: [true, false, true] });
const SIZES = { slots: 5, context: 200, maxTokens: 32 };
const FEWEST = fewestPages({ ...SIZES, config });

const prefix = Int32Array.from({ length: 70 }, (_, i) => (7 * i + 3) % config.vocab);
const requests = [9, 2, 25].map((length, index) => ({
  index,
  prompt: Int32Array.from([...prefix, ...Array.from({ length }, (_, i) => (5 * i + 11 * index) % config.vocab)]),
}));

/** Completes the prompts; `pages`: those that sequences share, or each has its own. */
async function complete(engine: Engine, pages: number | undefined, sequences: number, maxTokens: number) {
  const kinds = layerKinds(config),
    limits = { ...SIZES, slots: slotsNeeded(sequences, prefix.length), vocab: config.vocab };
  const session = new Session(engine, { ...limits, pages: pages === undefined ? undefined : { count: pages, kinds } });
  const done: Completion[] = [];
  await completeAll({
    ...{ session, requests, prefix, maxTokens, stopIds: new Set<number>() },
    onDone: (completion) => done.push(completion),
  });
  return done.toSorted((a, b) => a.index - b.index).map(({ ids, logProbability }) => ({ ids, logProbability }));
}

for (const kvFormat of ["fp8", "bf16"] as const) {
  Deno.test({
    name: `shared pages with a cache in ${kvFormat} give the replies of caches of their own${SOAK ? "" : ONLY_SOAKED}`,
    ignore: ignore || !SOAK,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      using model = randomModel(41, { config });
      const open = async (pages?: number) => {
        const more = { ...SIZES, kvFormat, ...(pages === undefined ? {} : { pages }) };
        // One kind of kernel for all batches: what is computed again is the same to the bit.
        return await openEngine(host.path, model, { kernels: await hostKernels(), invariant: true }, more);
      };
      const most = 12, sequences = 3;
      const own = await open(), expected = await complete(own, undefined, sequences, most);
      await own.close();
      const shared = await open(FEWEST + 8), got = await complete(shared, FEWEST + 8, sequences, most);
      await shared.close();
      assertEquals(got, expected);
      const few = await open(FEWEST), least = await complete(few, FEWEST, sequences, most);
      await few.close();
      assertEquals(least, expected);
      assertEquals(host.leaks(), "");
    },
  });
}

Deno.test({
  name: `ranks on devices change their tables together${SOAK ? "" : ONLY_SOAKED}`,
  ignore: ignore || !SOAK,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(42, { config });
    host.kernels(await hostLibrary());
    host.configure({ devices: 2 });
    const open = async (pages?: number) => {
      const request = requestFor(model, { ...SIZES, ...(pages === undefined ? {} : { pages }) });
      const devices = { kind: "hip", devices: [0, 1], library: host.path, collectivesLibrary: host.path } as const;
      return await openDeviceRanks(request, { sizes: { tp: 2, ep: 1 }, ...devices });
    };
    const own = await open(), expected = await complete(own, undefined, 3, 8);
    await own.close();
    const shared = await open(FEWEST), got = await complete(shared, FEWEST, 3, 8);
    await shared.close();
    assertEquals(got.map(({ ids }) => ids), expected.map(({ ids }) => ids));
    assertEquals(host.leaks(), "");
  },
});

Deno.test({
  name: `a copy of tables that fails is made up for by the next batch${SOAK ? "" : ONLY_SOAKED}`,
  ignore: ignore || !SOAK,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(43, { config });
    const engine = await openEngine(host.path, model, { kernels: await hostKernels() }, { ...SIZES, pages: 40 });
    const limits = { ...SIZES, vocab: config.vocab, pages: { count: 40, kinds: layerKinds(config) } };
    const reply = async (fails: boolean): Promise<number[]> => {
      const session = new Session(engine, limits), all: number[] = [];
      await session.feed({ slot: 0, tokens: prefix, logits: "none" });
      // Its table is copied with the next batch, which is another sequence's.
      session.fork(0, 1);
      const other = { slot: 2, tokens: prefix.subarray(0, 9), logits: "last" } as const;
      host.reset();
      if (fails) host.fail("hipMemcpyAsync", 1, 2);
      if (fails) await assertRejects(() => session.feed(other), FailureError);
      else await session.feed(other);
      host.reset();
      session.reset(2);
      await session.feed({ slot: 1, tokens: [5, 6], logits: "all" }, (_position, logits) => all.push(...logits));
      return all;
    };
    // Its tables are still as they were made.
    const got = await reply(true);
    assertEquals(got, await reply(false));
    await engine.close();
    assertEquals(host.leaks(), "");
  },
});

Deno.test("layers of both kinds share the pages' memory in pairs", () => {
  const plan = planPages({ config, ...SIZES, pages: 30 });
  assertEquals([plan.count, plan.layers, plan.entries, [0, 1, 2].map(plan.placeOf)], [31, 2, 4, [0, 0, 1]]);
  // Without a pool: 200 positions, and of sliding layers the window, a batch and the pages that they begin and end in.
  assertEquals(
    planPages({ config, ...SIZES }).count,
    5 * (4 + Math.min(4, Math.ceil((config.slidingWindow + 32) / 64) + 1)),
  );
});
