/** The embedded model on the GPU backend, against Hugging Face's implementation. */
import { openHip } from "../../../ffi/hip.ts";
import { GpuEngine } from "../../../src/backends/gpu/engine.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { type TensorName, workspace } from "../../../src/model/gpt_oss.ts";
import type { OpenRequest } from "../../../src/model/backend.ts";
import { generate } from "../../../src/session/generate.ts";
import { planModel, type PlanOptions } from "../../../src/plan/planned.ts";
import { Sampler } from "../../../src/session/sampler.ts";
import { Session } from "../../../src/session/session.ts";
import type { Dtype } from "../../../src/formats/format.ts";
import { assert, assertEquals } from "../../assert.ts";
import { floats, integers, readGolden } from "../../golden.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { dose, SOAK } from "../../soak.ts";
import { ModelChecks } from "../../../src/verify/model.ts";
import { argmaxAgreement, argmaxRows, logitsOf, maxDifference, rmsDistance, TINY } from "../../model/tiny.ts";

const ignore = await withoutKernelCompiler();
const goldens = readGolden("logits.safetensors");

async function openTinyGpu(library: string, options: Partial<PlanOptions> & { dtype: Dtype }): Promise<Session> {
  const checkpoint = openCheckpoint(TINY), { config } = checkpoint;
  const { source, plan } = planModel(checkpoint, { kvCacheDtype: "auto", ...options });
  const sizes = { slots: 1, context: 640, maxTokens: 128 };
  const request: OpenRequest<TensorName> = {
    ...sizes,
    ...{ source, config, dtype: options.dtype, kvFormat: plan.kvFormat, tensors: workspace(config, source) },
  };
  const engine = new GpuEngine(await openGpu(request, openHip(library), { kernels: await hostKernels() }), config);
  return new Session(engine, { ...sizes, vocab: config.vocab });
}

Deno.test({ name: "the GPU backend in float32 computes Hugging Face's logits within 1e-3", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const session = await openTinyGpu(host.path, { dtype: "f32" });
  for (const name of ["one_turn", ...dose([], ["two_turns", "long"])]) {
    const golden = floats(goldens, `${name}.w_mxfp4`), ids = integers(goldens, `${name}.ids`);
    const { vocab } = session.limits;
    const logits = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
    const most = maxDifference(logits, golden);
    assert(most <= 1e-3, `${name}: max |difference| is ${most}`);
    assertEquals(argmaxRows(logits, vocab), argmaxRows(golden, vocab), name);
  }
  await session.close();
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "the GPU backend in bf16 is as near to float32 as Hugging Face's bf16", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const session = await openTinyGpu(host.path, { dtype: "bf16" });
  const golden = floats(goldens, "two_turns.w_mxfp4"), theirs = floats(goldens, "two_turns.w_mxfp4.bf16");
  const ids = integers(goldens, "two_turns.ids"), { vocab } = session.limits;
  const ours = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
  const distance = rmsDistance(ours, golden), theirDistance = rmsDistance(theirs, golden);
  assert(
    distance > 0 && distance <= 1.5 * theirDistance,
    `our RMS distance is ${distance}, Hugging Face's ${theirDistance}`,
  );
  assert(argmaxAgreement(ours, golden, vocab) >= 0.95);
  await session.close();
});

for (const dtype of dose(["bf16"] as const, ["f32", "bf16"] as const)) {
  Deno.test(
    { name: `the GPU backend in ${dtype} picks Hugging Face's greedy reply token for token, on the device`, ignore },
    async () => {
      using host = new HipHost(buildHipHost());
      const session = await openTinyGpu(host.path, { dtype });
      const prompt = integers(goldens, "greedy.prompt"), all = integers(goldens, "greedy.reply");
      const reply = dose(all.slice(0, 8), all);
      const picked: number[] = [];
      const run = generate({
        ...{
          session,
          slot: 0,
          prompt,
          picker: new Sampler(),
          stopIds: new Set([all.at(-1)!]),
          maxTokens: dose(reply.length, 120),
        },
      });
      for await (const token of run) picked.push(token);
      assertEquals(picked, reply);
      // All but the first step, which loads, were replayed, the second being recorded before.
      assertEquals(host.calls("hipGraphLaunch") >= reply.length - 3, true);
      await session.close();
    },
  );
}

/** What `mxoss devices --verify` holds of the model. */
async function checks(library: string) {
  const gpu = { kernels: await hostKernels() };
  return new ModelChecks({ backend: "hip", device: 0, hipLibrary: library, gpu }).all();
}

// Outside a soak the scheme that has scales of its own; tests/verify computes all of them in a soak.
Deno.test({ name: "the GPU backend computes the golden logits of a scheme", ignore: ignore || SOAK }, async () => {
  using host = new HipHost(buildHipHost());
  const all = await checks(host.path);
  const result = await all.find(({ setting, dtype }) => setting === "w_mxfp4_a_fp8" && dtype === "f32")!.run();
  assertEquals({ problem: result.problem, agrees: result.agrees, tokens: result.tokens }, {
    ...{ problem: null, agrees: true, tokens: 16 },
  });
  assert(result.error! <= result.limit!);
});
