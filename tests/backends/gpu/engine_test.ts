import { profileSteps, type StepTime } from "../../../src/backends/gpu/profile.ts";
import type { Batch } from "../../../src/model/backend.ts";
import { GptOss, type TensorName } from "../../../src/model/gpt_oss.ts";
import { LocalEngine, type Sampling } from "../../../src/model/engine.ts";
import type { GpuBackend } from "../../../src/backends/gpu/backend.ts";
import { type InputFormat, NO_QDQ } from "../../../src/formats/input.ts";
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { dose, everyNth } from "../../soak.ts";
import { randomModel, storageName, STORAGES, testConfig } from "../random_model.ts";
import { batchOf, largest, logitsOf, openEngine, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const GREEDY: Sampling = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
const config = testConfig({});

Deno.test({ name: "GpuEngine.compute() replays recorded steps with the bits of plain launches", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(1, { config });
  const kernels = await hostKernels();
  for (const dtype of ["f32", "bf16"] as const) {
    const engine = await openEngine(host.path, model, { kernels }, { dtype, kvFormat: dtype });
    const plain = await openEngine(host.path, model, { kernels }, { dtype, kvFormat: dtype });
    const local = new LocalEngine(new GptOss(plain.backend, config), config.vocab);
    for (const [slot, count] of [[0, 20], [2, 7]] as const) {
      await logitsOf(engine, sequence(slot, count, config.vocab), []);
      await local.compute(sequence(slot, count, config.vocab), new Int32Array(0), () => {});
    }
    host.reset();
    for (let step = 0; step < 5; step++) {
      const batch = batchOf([0, 20 + step, (5 * step) % config.vocab], [2, 7 + step, 3 + step]);
      const got = await logitsOf(engine, batch, [1, 0]);
      const launches = host.calls("hipGraphLaunch");
      const expected: Float32Array[] = [];
      await local.compute(batch, Int32Array.of(1, 0), (_row, logits) => expected.push(logits.slice()));
      assertEquals(got, expected, `${dtype}, step ${step}`);
      // The first step is plain, so that all kernels are loaded; the second one records.
      assertEquals(launches, step);
    }
    await engine.close();
    await plain.close();
  }
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "whole chunks of a prompt are replayed with the bits of plain launches", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(1, { config });
  const kernels = await hostKernels(), { vocab } = config;
  const engine = await openEngine(host.path, model, { kernels }, { maxTokens: 4 });
  const plain = await openEngine(host.path, model, { kernels });
  host.reset();
  for (let chunk = 0; chunk < 4; chunk++) {
    // Also of another sequence, at another place of it, with and without logits.
    const batch = sequence(chunk === 2 ? 1 : 0, 4, vocab, chunk === 2 ? 0 : 4 * chunk),
      rows = chunk === 1 ? [] : [3, 0];
    if (chunk === 3) await logitsOf(engine, sequence(0, 4, vocab, 8), []);
    const got = await logitsOf(engine, batch, rows), replays = host.calls("hipGraphLaunch");
    if (chunk === 3) await logitsOf(plain, sequence(0, 4, vocab, 8), []);
    assertEquals(got, await logitsOf(plain, batch, rows), `chunk ${chunk}`);
    assertEquals(replays, [0, 1, 2, 4][chunk]);
  }
  // Two sequences in as many tokens, and positions beyond the context, are no whole chunk.
  const two = batchOf([0, 16, 1], [0, 17, 2], [1, 4, 3], [1, 5, 4]);
  assertEquals(await logitsOf(engine, two, [1, 3]), await logitsOf(plain, two, [1, 3]));
  assertEquals([two, sequence(0, 4, vocab, 62)].map((batch) => engine.backend.isWholeChunk(batch)), [false, false]);
  await engine.close();
  await plain.close();
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "the GPU backend refuses a batch beyond its memory before a kernel sees it", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(1, { config });
  const engine = await openEngine(host.path, model, { kernels: await hostKernels() }), { vocab } = config;
  const step = (batch: Batch) => logitsOf(engine, batch, [0]);
  const [expected] = await step(batchOf([2, 0, 5]));
  const beyond: [batch: Batch, says: RegExp][] = [
    [batchOf([0, 0, 5], [3, 0, 5]), /a batch with slot 3, but the backend was opened for 3 sequences/],
    [batchOf([-1, 0, 5]), /a batch with slot -1, /],
    [batchOf([0, 0, vocab]), new RegExp(`a batch with token ${vocab}, but the backend was opened for ${vocab} tokens`)],
    [batchOf([0, -2, 5]), /a batch with position -2, /],
    [sequence(0, 33, vocab), /a batch of 33 tokens, but the backend was opened for 32/],
  ];
  for (const [batch, says] of beyond) {
    const launches = host.calls("hipModuleLaunchKernel"), thrown = await assertRejects(() => step(batch), RangeError);
    assertMatch(thrown.message, says);
    assertEquals(host.calls("hipModuleLaunchKernel"), launches);
    assertThrows(() => profileSteps(engine, batch, 1), RangeError);
  }
  assertEquals((await step(batchOf([2, 0, 5])))[0], expected);
  await engine.close();
  assertEquals(host.leaks(), "");
});

Deno.test(
  { name: "profileSteps() has every launch of a step in one kind of step, and no kind twice", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(2, { config });
    const engine = await openEngine(host.path, model, { kernels: await hostKernels() });
    const all = profileSteps(engine, batchOf([2, 0, 5]), 1),
      count = (of: StepTime["of"]) =>
        all.filter((time) => time.of === of).reduce((sum, { launches }) => sum + launches, 0);
    const [whole, unrecorded] = all;
    assertEquals([whole!.of, unrecorded!.of, count("whole")], ["whole", "whole", 2 * whole!.launches]);
    assertEquals(count("step"), whole!.launches);
    // The logits are one step of their own, whose kernels are not looked at.
    const logits = all.at(-1)!;
    assertEquals([logits.label, count("kernel")], ["logits", whole!.launches - logits.launches]);
    assertEquals(new Set(all.map(({ label }) => label)).size, all.length);
    await engine.close();
    assertEquals(host.leaks(), "");
  },
);

Deno.test({ name: "GpuEngine.decode() picks what greedy steps pick, and stops when told", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(2, { config });
  const kernels = await hostKernels();
  const engine = await openEngine(host.path, model, { kernels });
  const prompts = [[0, 9], [1, 4]] as const, STEPS = dose(7, 12);
  const next: number[] = [];
  for (const [slot, count] of prompts) {
    const [logits] = await logitsOf(engine, sequence(slot, count, config.vocab), [count - 1]);
    next.push(largest(logits!));
  }
  const start = batchOf([0, 9, next[0]!], [1, 4, next[1]!]);
  const expected: number[][] = [];
  for (let step = 0, ids = next; step < STEPS; step++) {
    const rows = await logitsOf(engine, batchOf([0, 9 + step, ids[0]!], [1, 4 + step, ids[1]!]), [0, 1]);
    expected.push(ids = rows.map(largest));
  }
  for (const stopAfter of [STEPS, 5]) {
    const picked: number[][] = [];
    const { steps } = await engine.decode({
      batch: start,
      steps: STEPS,
      sampling: [GREEDY, GREEDY],
      onTokens: (ids, step) => {
        assertEquals(step, picked.length);
        picked.push([...ids]);
        return picked.length < stopAfter;
      },
    });
    assertEquals(steps, stopAfter);
    assertEquals(picked, expected.slice(0, stopAfter));
  }
  // What the device computed ahead must not show afterwards.
  const [again] = await logitsOf(engine, batchOf([0, 9 + 5, expected[4]![0]!]), [0]);
  assertEquals(largest(again!), expected[5]![0]);
  const beyond = { batch: start, steps: 60, sampling: [GREEDY, GREEDY], onTokens: () => true };
  assertThrows(() => void engine.decode(beyond), RangeError, "69 positions, but the backend was opened for 64");
  await engine.close();
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "GpuEngine.decode() draws by the numbers it is given", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(3, { config });
  const engine = await openEngine(host.path, model, { kernels: await hostKernels() });
  await logitsOf(engine, sequence(0, 6, config.vocab), []);
  const batch = batchOf([0, 6, 50]);
  const [logits] = await logitsOf(engine, batch, [0]);
  // The whole distribution at temperature 1.5, walked in the order of ids.
  const weights = Array.from(logits!, (x) => Math.exp((x - Math.max(...logits!)) / 1.5));
  const total = weights.reduce((a, b) => a + b);
  for (const uniform of [0, 0.1, 0.5, 0.9, 0.999]) {
    let sum = 0;
    const expected = weights.findIndex((w) => (sum += w) > uniform * total);
    const picked: number[] = [];
    const sampling = { temperature: 1.5, topP: 1, topK: 0, uniforms: Float32Array.of(uniform) };
    await engine.decode({ batch, steps: 1, sampling: [sampling], onTokens: (ids) => picked.push(ids[0]!) > 0 });
    assertEquals(picked, [expected], `u = ${uniform}`);
  }
  await engine.close();
});

Deno.test({ name: "GpuEngine.compute() shows every operation's result to a tap", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(4, { config });
  const engine = await openEngine(host.path, model, { kernels: await hostKernels() });
  const batch = sequence(0, 5, config.vocab);
  const seen: string[] = [];
  const tapped: Float32Array[] = [];
  await engine.compute(batch, Int32Array.of(4), (_row, logits) => tapped.push(logits.slice()), (tap) => {
    seen.push(`${tap.layer} ${tap.operation}`);
    assert(tap.read().some((x) => x !== 0), `${tap.layer} ${tap.operation} is all zeros`);
  });
  assertEquals(seen.length, 2 * 17 + 2);
  assertEquals(await logitsOf(engine, batch, [4]), tapped);
  await engine.close();
});

/** Formats that take different ways through the fused kernels. */
const WAYS: readonly (readonly [storage: string, input: InputFormat])[] = [
  ["bf16", NO_QDQ],
  ["bf16 transposed", NO_QDQ],
  ["mxfp4", { kind: "mx", element: "e2m1", rule: "even" }],
  ["mxfp4", { kind: "fp8_static", scale: Math.fround(0.02) }],
  ["mxfp6_e2m3", { kind: "fp8_token" }],
  ["mxfp4", { kind: "mx", element: "e4m3fn", rule: "rceil" }],
  ["fp8_e4m3 per tensor", { kind: "fp8_static", scale: Math.fround(0.02) }],
  ["fp8_e4m3 per row", { kind: "fp8_token" }],
];

for (const [name, input] of everyNth(3, WAYS)) {
  Deno.test(
    { name: `fused kernels give the bits of single operations (${name}, ${input.kind} input)`, ignore },
    async () => {
      using host = new HipHost(buildHipHost());
      const storage = STORAGES.find((s) => storageName(s) === name)!;
      using model = randomModel(8, { config, storage, input });
      const kernels = await hostKernels();
      for (const dtype of ["f32", "bf16"] as const) {
        const engine = await openEngine(host.path, model, { kernels }, { dtype, kvFormat: dtype });
        for (const count of [3, 20]) {
          const batch = sequence(0, count, config.vocab), rows = [0, count - 1];
          const single: Float32Array[] = [];
          // A tap looks at every tensor, so that nothing is fused.
          await engine.compute(
            batch,
            Int32Array.from(rows),
            (_row, logits) => single.push(logits.slice()),
            (t) => void t.read(),
          );
          assertEquals(await logitsOf(engine, batch, rows), single, `${dtype}, ${count} tokens`);
        }
        await engine.close();
      }
    },
  );
}

Deno.test({ name: "GpuBackend.read() refuses what a fused kernel did not keep", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(5, { config });
  const engine = await openEngine(host.path, model, { kernels: await hostKernels() });
  const backend: GpuBackend<TensorName> = engine.backend;
  engine.model.forward(sequence(0, 3, config.vocab));
  engine.model.logits(Int32Array.of(2));
  assertThrows(() => backend.read(backend.tensors.projected, 1), Error, "projected was not kept by a fused kernel");
  assertEquals(backend.read(backend.tensors.hidden, 3).length, 3 * config.hidden);
  backend.write(backend.tensors.projected, new Float32Array(config.hidden));
  assertEquals(backend.read(backend.tensors.projected, 1), new Float32Array(config.hidden));
  await engine.close();
});

Deno.test({ name: "GpuBackend computes a token by the same bits in any batch when asked to", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(6, { config });
  const kernels = await hostKernels();
  const count = dose(10, 20), rows = Array.from({ length: count }, (_, i) => i);
  const computed: Float32Array[][] = [];
  for (const chunk of [count, 7, 1]) {
    const engine = await openEngine(host.path, model, { kernels, invariant: true });
    const seen: Float32Array[] = [];
    for (let from = 0; from < count; from += chunk) {
      const n = Math.min(chunk, count - from);
      seen.push(...await logitsOf(engine, sequence(0, n, config.vocab, from), rows.slice(0, n)));
    }
    computed.push(seen);
    await engine.close();
  }
  assertEquals(computed[1], computed[0]);
  assertEquals(computed[2], computed[0]);
});

Deno.test({ name: "openGpu() leaves nothing behind when a weight file changed", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(7, { config });
  const [file] = model.source.files;
  Deno.truncateSync(file!.path, file!.bytes - 1);
  const kernels = await hostKernels();
  const error = await assertRejects(() => openEngine(host.path, model, { kernels }), Error);
  assert(error.message.includes(`has ${file!.bytes - 1} bytes now, expected ${file!.bytes}`), error.message);
  assertEquals(host.leaks(), "");
});
