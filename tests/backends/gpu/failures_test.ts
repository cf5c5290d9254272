/** What the GPU backend says, and gives back, when something goes wrong. */
import { openHip } from "../../../ffi/hip.ts";
import { HIP_SYMBOLS } from "../../../ffi/hip_symbols.ts";
import { namesOf } from "../../../ffi/symbols.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import { FailureError, InputError } from "../../../src/errors.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { dose, SOAK } from "../../soak.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { batchOf, logitsOf, openEngine, requestFor, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({});

Deno.test(
  { name: "openGpu() refuses a model that does not fit, with the numbers, before it loads anything", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    host.configure({ memory: 65 * 2 ** 20 });
    using model = randomModel(1, { config });
    const request = requestFor(model, { context: 4096 });
    const error = await assertRejects(
      async () => await openGpu(request, openHip(host.path), { kernels: await hostKernels() }),
      FailureError,
    );
    assertEquals(
      error.message.replaceAll(/[\d.]+ (kB|MB|GB)/g, "SIZE"),
      "backend=hip: mxoss test device has SIZE of SIZE free, but the model needs SIZE: weights SIZE, KV cache SIZE " +
        "for 3 x 4096 positions in 2 layers, activations SIZE; a shorter context, fewer sequences or smaller chunks " +
        "need less",
    );
    assertEquals(host.calls("hipMalloc"), 0);
    assertEquals(host.leaks(), "");
  },
);

Deno.test({ name: "openGpu() names the architectures that there are kernels for", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  host.configure({ arch: "gfx803" });
  using model = randomModel(1, { config });
  const error = await assertRejects(
    async () => await openEngine(host.path, model, { kernels: await hostKernels() }),
    FailureError,
  );
  assertEquals(
    error.message,
    "mxoss test device is a gfx803, for which there are no kernels (there are for gfx942); " +
      "more are added in kernels/sources.ts",
  );
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "openGpu() refuses what the kernels cannot compute", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const kernels = await hostKernels();
  const refusals = [
    [{ headDim: 258 }, "head_dim: the GPU backend supports up to 256, got 258"],
    [{ experts: 2000 }, "num_local_experts: the GPU backend supports up to 1024, got 2000"],
    [{ heads: 34 }, "num_attention_heads: the GPU backend supports up to 16 for each key-value head, got 17"],
  ] as const;
  for (const [sizes, message] of refusals) {
    // Many experts are only claimed, not written.
    const { experts = config.experts, ...shape } = sizes as { experts?: number };
    using model = randomModel(1, { config: { ...testConfig(shape), layers: 1, sliding: [false] } });
    const claimed = { ...model, config: { ...model.config, experts }, [Symbol.dispose]: () => {} };
    const error = await assertRejects(() => openEngine(host.path, claimed, { kernels }), InputError);
    assertEquals(error.message, message);
    assertEquals(host.leaks(), "");
  }
});

Deno.test({ name: "openGpu() refuses a device number that is not there", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(1, { config });
  const kernels = await hostKernels();
  const error = await assertRejects(() => openEngine(host.path, model, { kernels, device: 3 }), FailureError);
  assertStringIncludes(error.message, "device 3 was asked for, but there is 1");
});

Deno.test({ name: "the GPU backend turns a failure of any call into one line and leaks nothing", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(1, { config });
  const kernels = await hostKernels();
  const run = async () => {
    const engine = await openEngine(host.path, model, { kernels });
    try {
      await logitsOf(engine, sequence(0, 12, config.vocab), [11]);
      for (let step = 0; step < 3; step++) await logitsOf(engine, batchOf([0, 12 + step, 1]), [0]);
      const sampling = [{ temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) }];
      await engine.decode({ batch: batchOf([0, 15, 2]), steps: 3, sampling, onTokens: () => true });
    } finally {
      await engine.close();
    }
  };
  await run();
  assertEquals(host.leaks(), "");
  const counts = new Map([...namesOf(HIP_SYMBOLS), "kernel"].map((call) => [call, host.calls(call)] as const));
  const releases = /Free$|Destroy$|Unload$/;
  let injected = 0;
  for (const [call, count] of counts) {
    if (count === 0 || releases.test(call)) continue;
    // How often an event is asked for depends on how fast files are read.
    const last = call === "hipEventQuery" ? 1 : count;
    // Out of memory, invalid device, launch failure: whatever the code, at the first, a middle and the last call.
    const codes = new Map([[1, 2], [Math.ceil(last / 2), 101], [last, 719]]);
    // Outside a soak one of the three, by turns.
    for (const [nth, code] of SOAK ? codes : [[...codes][injected % codes.size]!]) {
      host.reset();
      host.fail(call, nth, code);
      const error = await assertRejects(run, FailureError, undefined, `${call}, call ${nth} of ${count}`);
      assert(!error.message.includes("\n"), error.message);
      assertEquals(host.leaks(), "", `${call}, call ${nth} of ${count}`);
      injected++;
    }
  }
  assert(injected > dose(18, 50), `${injected} failures`);
});
