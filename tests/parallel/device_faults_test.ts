/**
 * Ranks whose devices write into one another's memory, when calls fail: whoever closes first gives back nothing that a
 * device still writes to, which ends the program on the test library, and waits for nobody for ever.
 */
import { COLLECTIVES_SYMBOLS } from "../../ffi/collectives_symbols.ts";
import { CUDA_SYMBOLS } from "../../ffi/cuda_symbols.ts";
import { namesOf } from "../../ffi/symbols.ts";
import { pause } from "../../src/breath.ts";
import { FailureError } from "../../src/errors.ts";
import type { GpuKind } from "../../ffi/runtime.ts";
import { type DeviceEngine, type DeviceRanksOptions, openDeviceRanks } from "../../src/parallel/device_engine.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../assert.ts";
import { batchOf, requestFor, sequence } from "../backends/gpu/opened.ts";
import { type RandomModel, randomModel, STORAGES, testConfig } from "../backends/random_model.ts";
import { buildCudaHost, buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { HeldTimers } from "../timers.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({});
const storage = STORAGES.find(({ format }) => format === "mxfp4")!;
/** What drivers and the library say of failures: no memory, no device, a launch that failed. */
const CODES = [2, 101, 719] as const;

async function open(
  host: HipHost,
  model: RandomModel,
  kind: GpuKind = "cuda",
  patience: Pick<DeviceRanksOptions, "patience" | "loadingPatience"> = {},
): Promise<DeviceEngine> {
  host.kernels(await hostLibrary());
  host.configure({ devices: 2 });
  return await openDeviceRanks(requestFor(model, { maxTokens: 16, context: 40 }), {
    ...{ sizes: { tp: 2, ep: 1 }, kind, devices: [0, 1], library: host.path, collectivesLibrary: host.path },
    ...(kind === "cuda" ? { exchange: true } : {}),
    ...patience,
  });
}

/** Whatever engines do, once. */
async function work(engine: DeviceEngine): Promise<void> {
  const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
  await engine.compute(sequence(0, 5, config.vocab), Int32Array.of(0, 4), () => {});
  await engine.decode({ batch: batchOf([0, 5, 7]), steps: 6, sampling: [greedy], onTokens: () => true });
  await engine.pick(batchOf([0, 11, 3], [1, 0, 3]), Int32Array.of(0, 1));
  engine.copySlot(0, 2, 8);
  await engine.compute(batchOf([2, 8, 3]), Int32Array.of(0), () => {}, ({ read }) => void read());
}

/** What is held in the end: whoever closes ranks after a failure does not wait long, and kernels take a while here. */
async function leaksOf(host: HipHost): Promise<string> {
  for (let looks = 0; looks < 1000 && host.leaks() !== ""; looks++) await pause(30);
  return host.leaks();
}

/** When a call fails. */
type When = "opening" | "working" | "closing";

/** Opens, works and closes, during one of which the nth call of a function fails; returns what was thrown. */
async function run(model: RandomModel, when: When, call: string, nth: number, code: number): Promise<unknown> {
  using host = new HipHost(buildCudaHost());
  let engine: DeviceEngine | null = null, failure: unknown = null;
  try {
    if (when === "opening") host.fail(call, nth, code);
    engine = await open(host, model);
    if (when === "working") host.fail(call, nth, code);
    await work(engine);
  } catch (thrown) {
    failure = thrown;
  }
  if (when === "closing") host.fail(call, nth, code);
  await engine?.close();
  assertEquals(await leaksOf(host), "", `${call}, call ${nth} of ${when}, code ${code}: ${failure}`);
  return failure;
}

/** Where memory was freed that others wrote to, and, when sums are measured, ranks waited for one another for ever. */
const FOUND = [["working", "cuEventRecord", 1], ["working", "cuEventRecord", 5], [
  "opening",
  "cuGraphLaunch",
  28,
]] as const;

for (const [when, call, nth] of FOUND) {
  Deno.test({
    name:
      `ranks that sum from memory to memory end with one line, and hold nothing, when ${call} ${nth} fails in ${when}`,
    ignore,
    fn: async () => {
      using model = randomModel(7, { config, storage });
      const failure = await run(model, when, call, nth, 719);
      assert(failure instanceof FailureError, `${failure}`);
      assertMatch(failure.message, /^rank \d: [^\n]+, code 719[^\n]*$/);
    },
  });
}

Deno.test({
  name: "a rank whose collective library fails before it joins leaves nobody waiting in it",
  ignore,
  fn: async () => {
    using model = randomModel(7, { config, storage });
    // The first call is of the thread that starts ranks.
    const failure = await run(model, "opening", "ncclGetVersion", 3, 2);
    assert(failure instanceof FailureError, `${failure}`);
    assertMatch(failure.message, /^rank \d: ncclGetVersion: ncclSystemError, code 2, [^\n]+$/);
  },
});

Deno.test({
  name: "ranks give back when they are closed what one that hangs in its driver cannot write to any more",
  ignore,
  fn: async () => {
    using host = new HipHost(buildCudaHost());
    using model = randomModel(7, { config, storage });
    const engine = await open(host, model, "cuda", { patience: 2000 });
    const buffers = () => Number(/(\d+) device memory/.exec(host.leaks())?.[1] ?? 0), each = buffers() / 2;
    host.hangIn("cuEventRecord", 3);
    const failure = await assertRejects(() => work(engine), FailureError);
    assertMatch(failure.message, /^rank \d of 2: came no further in 2 s, while the others wait$/);
    {
      // Nothing but the end of this time ends the wait for the one that hangs.
      using latest = new HeldTimers("timeout", 1500);
      const closed = engine.close();
      while (latest.count === 0) await pause(1);
      latest.goOff();
      await closed;
    }
    for (let looks = 0; looks < 1000 && buffers() !== each + 1; looks++) await pause(30);
    assertEquals(buffers(), each + 1);
    // It goes on: what it had queued writes to what the other one has left where it was, and nothing else remains.
    host.reset();
    for (let looks = 0; looks < 1000 && host.leaks() !== "1 device memory"; looks++) await pause(30);
    assertEquals(host.leaks(), "1 device memory");
    host.end();
  },
});

Deno.test({
  name: "a rank that hangs in its driver while it loads is given up, and gives back what it holds once it goes on",
  ignore,
  fn: async () => {
    using model = randomModel(7, { config, storage });
    using host = new HipHost(buildCudaHost());
    host.hangIn("cuMemcpyHtoDAsync_v2", 1);
    const failure = await assertRejects(() => open(host, model, "cuda", { loadingPatience: 2000 }), FailureError);
    assertMatch(failure.message, /^ranks? \d(, \d)? of 2: loaded nothing more in 2 s$/);
    host.reset();
    assertEquals(await leaksOf(host), "");
  },
});

Deno.test({
  name: `ranks that sum from memory to memory end so whichever call fails${ONLY_SOAKED}`,
  ignore: ignore || !SOAK,
  fn: async () => {
    using model = randomModel(7, { config, storage });
    const names = [...namesOf(CUDA_SYMBOLS), ...namesOf(COLLECTIVES_SYMBOLS), "kernel"];
    const counts = new Map<When, ReadonlyMap<string, number>>();
    {
      using host = new HipHost(buildCudaHost());
      let before = new Map<string, number>();
      const count = (when: When) => {
        const now = new Map(names.map((name) => [name, host.calls(name)]));
        counts.set(when, new Map([...now].map(([name, calls]) => [name, calls - (before.get(name) ?? 0)])));
        before = now;
      };
      const engine = await open(host, model);
      count("opening");
      await work(engine);
      count("working");
      await engine.close();
      count("closing");
      assertEquals(host.leaks(), "");
    }
    // A rank that does not come to a group leaves the others in their libraries, as NCCL's do.
    const unheard = "ncclCommInitRank", releases = /Free|Destroy|Unload|Release|Abort/;
    let injected = 0, failed = 0;
    for (const [when, calls] of counts) {
      for (const [call, count] of calls) {
        if (count === 0 || call === unheard) continue;
        // How often an event is asked for depends on how fast the others are.
        const last = call === "cuEventQuery" ? 1 : count;
        // The first, a middle or the last one, by turns.
        const nth = [1, Math.ceil(last / 2), last][injected % 3]!, code = CODES[Math.floor(injected++ / 3) % 3]!;
        const failure = await run(model, when, call, nth, code);
        if (failure === null) {
          assert(when === "closing" || releases.test(call) || nth > 1, `${call}, call ${nth} of ${when}`);
          continue;
        }
        failed++;
        assert(failure instanceof FailureError, `${failure}`);
        assert(!failure.message.includes("\n"), failure.message);
      }
    }
    assert(injected > 60 && failed > 30, `${injected} failures, of which ${failed} were said`);
  },
});

Deno.test({
  name: "a rank closes though launches of it wait for those of one that failed after it had queued them",
  ignore,
  fn: async () => {
    for (const kind of ["hip", "cuda"] as const) {
      using host = new HipHost(kind === "hip" ? buildHipHost() : buildCudaHost());
      using model = randomModel(7, { config, storage });
      const engine = await open(host, model, kind);
      // Without logits nobody waits for what is queued; of which one rank queues less.
      host.fail("hipModuleLaunchKernel", 12, 719);
      const nothing = () => engine.compute(batchOf([0, 0, 1]), new Int32Array(0), () => {});
      const failure = await assertRejects(nothing, FailureError);
      assertMatch(failure.message, /^rank \d: [^\n]+, code 719[^\n]*$/);
      await engine.close();
      assertEquals(await leaksOf(host), "");
    }
  },
});
