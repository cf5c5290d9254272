/**
 * Ranks with a device each, on the test library: their sums go by its collectives, from stream to stream, and recorded
 * steps hold them.
 */
import { type DeviceRanksOptions, openDeviceRanks } from "../../src/parallel/device_engine.ts";
import type { Engine } from "../../src/model/engine.ts";
import type { Tap } from "../../src/model/gpt_oss.ts";
import { openCuda } from "../../ffi/cuda.ts";
import { mostSummed } from "../../src/backends/gpu/exchanged.ts";
import { CollectiveError } from "../../ffi/collectives.ts";
import type { ParallelSizes } from "../../src/checkpoint/shard.ts";
import { FailureError } from "../../src/errors.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { buildCudaHost, buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { batchOf, largest, openEngine, requestFor, sequence } from "../backends/gpu/opened.ts";
import { type RandomModel, randomModel, STORAGES, testConfig } from "../backends/random_model.ts";
import { nmse } from "../nmse.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({});
const storage = STORAGES.find(({ format }) => format === "mxfp4")!;

/** Tokens whose experts' weighted sums are made by the kernel that sums them over ranks. */
const MANY = 96;

/** Logits of all rows asked for, in one array. */
async function logitsOf(engine: Engine, batch: Parameters<Engine["compute"]>[0], rows: readonly number[]) {
  const all: number[] = [];
  await engine.compute(batch, Int32Array.from(rows), (_row, logits) => void all.push(...logits));
  return Float32Array.from(all);
}

/** Opens ranks on devices of the test library, one each. */
async function openRanks(
  host: HipHost,
  model: RandomModel,
  sizes: ParallelSizes,
  { kind = "hip", ...more }: Partial<Pick<DeviceRanksOptions, "patience" | "kind" | "exchange">> = {},
) {
  host.kernels(await hostLibrary());
  const devices = Array.from({ length: sizes.tp * sizes.ep }, (_, i) => i);
  host.configure({ devices: devices.length });
  return await openDeviceRanks(requestFor(model, SOAK ? { maxTokens: MANY, context: MANY + 32 } : {}), {
    ...{ sizes, kind, devices, library: host.path, collectivesLibrary: host.path },
    ...more,
  });
}

for (const sizes of [{ tp: 2, ep: 1 }, { tp: 1, ep: 2 }, { tp: 2, ep: 2 }, { tp: 3, ep: 1 }]) {
  // Outside a soak one: kernels on the processor take their time.
  if (!SOAK && (sizes.tp !== 2 || sizes.ep !== 1)) continue;
  Deno.test({
    name: `device ranks at tp ${sizes.tp}, ep ${sizes.ep} compute, pick and generate as one rank does`,
    ignore,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      using model = randomModel(7, { config, storage });
      const prompt = sequence(0, 5, config.vocab),
        whole = await openEngine(host.path, model, { kernels: await hostKernels() });
      const expected = await logitsOf(whole, prompt, [0, 4]);
      const ranks = await openRanks(host, model, sizes);
      const got = await logitsOf(ranks, prompt, [0, 4]);
      assert(nmse(got, expected) <= 1e-10, `NMSE ${nmse(got, expected)}`);
      const id = largest(expected.subarray(config.vocab)), replies: number[][] = [];
      for (const engine of [whole, ranks]) {
        const picked: number[] = [], batch = batchOf([0, 5, id]);
        assert(engine.canDecode!(batch));
        await engine.decode!({
          ...{ batch, steps: 7 },
          sampling: [{ temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) }],
          onTokens: (ids, step) => picked.push(ids[0]!) > 0 && step < 5,
        });
        const { ids, logProbabilities } = await engine.pick!(batchOf([0, 12, id], [1, 0, 3]), Int32Array.of(0, 1));
        replies.push([...picked, ...ids, ...[...logProbabilities].map((p) => Math.round(p * 1e4))]);
      }
      assertEquals(replies[1], replies[0]);
      await whole.close();
      await ranks.close();
      assertEquals(host.leaks(), "");
    },
  });
}

const TWO = { tp: 2, ep: 1 };
/** Calls that each rank makes while it computes, and how often, at most, one is told to fail. */
const FAILING = [["ncclAllGather", 1], ["ncclGroupEnd", 1], ["hipModuleLaunchKernel", 9], ["kernel", 30]] as const;

for (const [i, [call, nth]] of FAILING.entries()) {
  // Outside a soak one: every opening takes a while.
  if (!SOAK && i > 0) continue;
  Deno.test({
    name: `device ranks end with one line, and hold nothing, when ${call} fails in one of them`,
    ignore,
    fn: async () => {
      using host = new HipHost(buildHipHost());
      using model = randomModel(7, { config, storage });
      const ranks = await openRanks(host, model, TWO), prompt = sequence(0, 5, config.vocab);
      host.fail(call, nth, 719);
      const failure = await assertRejects(() => logitsOf(ranks, prompt, [0, 4]), FailureError);
      assertMatch(failure.message, /^rank \d: [^\n]+, code 719[^\n]*$/);
      // The ranks are out of step now: what was wrong is said again, and nothing computed.
      const again = await assertRejects(() => logitsOf(ranks, prompt, [4]), FailureError);
      assertEquals(again.message, failure.message);
      await ranks.close();
      assertEquals(host.leaks(), "");
    },
  });
}

Deno.test({
  name: "device ranks that generate end with one that fails, and hold nothing, though their steps wait for it",
  ignore,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(7, { config, storage });
    const ranks = await openRanks(host, model, TWO);
    host.fail("hipGraphInstantiate", 1, 719);
    const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
    const request = { batch: batchOf([0, 0, 7]), steps: 6, sampling: [greedy], onTokens: () => true };
    const failure = await assertRejects(() => ranks.decode(request), FailureError);
    assertMatch(failure.message, /^rank \d: hipGraphInstantiate: [^\n]+, code 719[^\n]*$/);
    await ranks.close();
    assertEquals(host.leaks(), "");
  },
});

Deno.test({
  name: "a device rank lets go of the others, and of its memory, also where its device can tell its launches nothing",
  ignore,
  fn: async () => {
    using host = new HipHost(buildCudaHost());
    using model = randomModel(7, { config, storage });
    const ranks = await openRanks(host, model, TWO, { kind: "cuda", exchange: true });
    // The stream is the one by which launches that wait are told to wait no longer.
    host.fail("hipStreamCreateWithFlags", 1, 719);
    const failure = await assertRejects(() => logitsOf(ranks, batchOf([0, 0, config.vocab]), [0]), FailureError);
    assertMatch(failure.message, /^rank \d: a batch with token 96, but the backend was opened for 96 tokens$/);
    await ranks.close();
    assertEquals(host.leaks(), "");
  },
});

Deno.test({
  name: "device ranks end with one line when NCCL fails to bring them together",
  ignore,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(7, { config, storage });
    host.fail("ncclGetUniqueId", 1, 2);
    const failure = await assertRejects(() => openRanks(host, model, TWO), CollectiveError);
    assertMatch(failure.message, /^ncclGetUniqueId: ncclSystemError, code 2, unhandled system error/);
    assertEquals(host.leaks(), "");
  },
});

Deno.test({
  name: `a rank that hangs in its driver is named after a while, and the others hold nothing${ONLY_SOAKED}`,
  // It waits for two seconds.
  ignore: ignore || !SOAK,
  fn: async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(7, { config, storage });
    const ranks = await openRanks(host, model, TWO, { patience: 2000 });
    assertEquals((await logitsOf(ranks, sequence(0, 5, config.vocab), [4])).length, config.vocab);
    host.hang(1);
    const failure = await assertRejects(() => logitsOf(ranks, sequence(0, 5, config.vocab), [4]), FailureError);
    assertEquals(failure.message, "rank 1 of 2: came no further in 2 s, while the others wait");
    host.hang(-1);
    await ranks.close();
    assertEquals(host.leaks(), "");
  },
});

Deno.test({
  name: "devices that are not joined by NVLink leave sums of many tokens to the library",
  ignore,
  fn: () => {
    using host = new HipHost(buildCudaHost());
    host.configure({ devices: 3 });
    using runtime = openCuda(host.path);
    using device = runtime.open(1);
    for (const joined of [true, false]) {
      host.joined(joined);
      assertEquals(device.joined([0, 1, 2]), joined);
      assertEquals(device.joined([1]), true);
    }
    assertEquals(mostSummed({ maxTokens: 1024, hidden: 2880 }, true), 1024);
    // As many as come with a mark beside each number.
    assertEquals(mostSummed({ maxTokens: 1024, hidden: 2880 }, false), 91);
    assertEquals(mostSummed({ maxTokens: 64, hidden: 2880 }, false), 64);
    // Of shorter rows more would have room, but from 92 on they are counted.
    assertEquals(mostSummed({ maxTokens: 1024, hidden: 1440 }, false), 91);
  },
});

Deno.test({
  name: "sums from memory to memory give the bits that sums by NCCL give",
  ignore,
  fn: async () => {
    using model = randomModel(7, { config, storage });
    const prompt = sequence(0, 5, config.vocab), results: unknown[] = [];
    for (const exchange of [false, true]) {
      using host = new HipHost(buildCudaHost());
      const ranks = await openRanks(host, model, SOAK ? { tp: 3, ep: 1 } : TWO, { kind: "cuda", exchange });
      const memory = /sums of up to \d+ tokens from memory to memory/.test(ranks.info.description);
      assertEquals(memory, exchange, ranks.info.description);
      const logits = await logitsOf(ranks, prompt, [0, 4]), picked: number[] = [];
      await ranks.decode({
        ...{ batch: batchOf([0, 5, largest(logits)]), steps: 9 },
        sampling: [{ temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) }],
        onTokens: (ids) => picked.push(ids[0]!) > 0,
      });
      const taps: [string, number][] = [];
      const tap: Tap = ({ operation, read }) => void taps.push([operation, read().reduce((a, b) => a + b, 0)]);
      await ranks.compute(sequence(1, 3, config.vocab), Int32Array.of(2), () => {}, tap);
      // More than vector kernels compute.
      const many: Float32Array[] = [await logitsOf(ranks, sequence(2, 12, config.vocab), [11])];
      // Again, as a whole chunk is recorded and replayed then.
      for (const _ of SOAK ? [0, 1, 2] : []) {
        many.push(await logitsOf(ranks, sequence(2, MANY, config.vocab), [MANY - 1]));
      }
      results.push([logits, picked, taps, many]);
      await ranks.close();
      assertEquals(host.leaks(), "");
    }
    assertEquals(results[1], results[0]);
  },
});
