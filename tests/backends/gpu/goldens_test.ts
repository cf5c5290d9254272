/** The embedded model on the GPU backend, against Hugging Face's implementation. */
import { openHip } from "../../../ffi/hip.ts";
import { GpuEngine } from "../../../src/backends/gpu/engine.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import { openCheckpoint } from "../../../src/checkpoint/checkpoint.ts";
import { type TensorName, workspace } from "../../../src/model/gpt_oss.ts";
import type { OpenRequest } from "../../../src/backends/backend.ts";
import { Session } from "../../../src/model/session.ts";
import { assert, assertEquals } from "../../assert.ts";
import { floats, integers, readGolden } from "../../golden.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { argmaxRows, logitsOf, maxDifference, rmsDistance, TINY } from "../../model/tiny.ts";
import { largest } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const goldens = readGolden("logits.safetensors");

async function openTinyGpu(library: string, dtype: "f32" | "bf16"): Promise<{ engine: GpuEngine; session: Session }> {
  const { config, source } = await openCheckpoint(TINY, {});
  const sizes = { slots: 1, context: 256, maxTokens: 128 };
  const request: OpenRequest<TensorName> = {
    ...sizes,
    ...{ source, config, dtype, kvFormat: dtype, tensors: workspace(config, source) },
  };
  const engine = new GpuEngine(await openGpu(request, openHip(library), { kernels: await hostKernels() }), config);
  return { engine, session: new Session(engine, { ...sizes, vocab: config.vocab }) };
}

Deno.test({ name: "the GPU backend in float32 computes Hugging Face's logits within 1e-3", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const { session } = await openTinyGpu(host.path, "f32");
  for (const name of ["one_turn", "two_turns"]) {
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
  const { session } = await openTinyGpu(host.path, "bf16");
  const golden = floats(goldens, "two_turns.w_mxfp4"), theirs = floats(goldens, "two_turns.w_mxfp4.bf16");
  const ids = integers(goldens, "two_turns.ids"), { vocab } = session.limits;
  const ours = (await logitsOf(session, ids)).subarray(ids.length * vocab - golden.length);
  const distance = rmsDistance(ours, golden), theirDistance = rmsDistance(theirs, golden);
  assert(
    distance > 0 && distance <= 1.5 * theirDistance,
    `our RMS distance is ${distance}, Hugging Face's ${theirDistance}`,
  );
  await session.close();
});

for (const dtype of ["f32", "bf16"] as const) {
  Deno.test(
    { name: `the GPU backend in ${dtype} picks Hugging Face's greedy reply on the device`, ignore },
    async () => {
      using host = new HipHost(buildHipHost());
      const { engine, session } = await openTinyGpu(host.path, dtype);
      const prompt = integers(goldens, "greedy.prompt"), reply = integers(goldens, "greedy.reply").slice(0, 25);
      const picked: number[] = [];
      await session.feed({ slot: 0, tokens: prompt, logits: "last" }, (_p, logits) => picked.push(largest(logits)));
      await engine.decode({
        batch: { ids: Int32Array.from(picked), slots: Int32Array.of(0), positions: Int32Array.of(prompt.length) },
        steps: reply.length - 1,
        sampling: [{ temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) }],
        onTokens: (ids) => picked.push(ids[0]!) > 0,
      });
      assertEquals(picked, reply);
      await session.close();
    },
  );
}
