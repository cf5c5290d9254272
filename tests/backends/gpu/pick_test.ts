/** Picks on the device for any batch, and batches that are filled up to a recorded size. */
import type { Completion } from "../../../src/eval/completion.ts";
import { classOf, logitRowsFor, padded, partsFor } from "../../../src/backends/gpu/batches.ts";
import { batchPartials, batchParts } from "../../../src/backends/gpu/splits.ts";
import { completeAll } from "../../../src/eval/batcher.ts";
import { argmax, logProbability } from "../../../src/session/likelihood.ts";
import { Queue } from "../../../ffi/stream.ts";
import type { KernelFiles } from "../../../src/backends/gpu/kernels.ts";
import type { Engine } from "../../../src/model/engine.ts";
import { FailureError } from "../../../src/errors.ts";
import { Session } from "../../../src/session/session.ts";
import { assert, assertEquals, assertRejects } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { dose } from "../../soak.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { batchOf, logitsOf, openEngine, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();
const config = testConfig({});
const SLOTS = 17;

Deno.test("batches have a few sizes, and rows that fill them up belong to nobody", () => {
  assertEquals([1, 5, 9, 13, 17, 100, 256].map((n) => classOf(n, 256)), [1, 5, 12, 16, 24, 128, 256]);
  assertEquals([classOf(13, 14), classOf(300, 400)], [13, 300]);
  assertEquals([logitRowsFor(1, 512), logitRowsFor(64, 512), logitRowsFor(64, 32), logitRowsFor(900, 512)], [
    ...[16, 64, 32, 256],
  ]);
  const batch = batchOf([3, 7, 11], [1, 0, 12]), more = padded(batch, 4);
  assertEquals(padded(batch, 2), batch);
  assertEquals([[...more.ids], [...more.slots], [...more.positions]], [
    ...[[11, 12, 0, 0], [3, 1, 0, 0], [7, 0, -1, -1]],
  ]);
  // gpt-oss-20b's q, k and v, its o, its head.
  assertEquals([[4096, 512, 512], [2880], [201_088]].map((rows) => partsFor(rows)), [6, 8, 1]);
  // Keys, on ranks with so many kv heads: the more the fewer sequences; none of many, nor windows as short as a part.
  const parts = (window: number, n: number) => [8, 4, 2, 1].map((kvHeads) => batchParts(kvHeads, window, n));
  assertEquals([1, 4, 5, 9, 16, 17].map((n) => parts(0, n)), [
    ...[[8, 8, 8, 8], [8, 8, 8, 8], [4, 8, 8, 8], [2, 3, 4, 4], [2, 3, 4, 4], [1, 1, 1, 1]],
  ]);
  assertEquals([parts(128, 4), parts(128, 16), parts(256, 16)], [[1, 1, 1, 1], [1, 1, 1, 1], [2, 2, 2, 2]]);
  assertEquals([8, 4, 2].map((kvHeads) => batchPartials(kvHeads, 1024)), [32, 64, 64]);
});

Deno.test(
  { name: "pick() takes the likeliest tokens of mixed batches and of filled ones, with their probabilities", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(31, { config });
    const more = { dtype: "bf16", kvFormat: "bf16", slots: SLOTS, maxTokens: 48 } as const;
    const engine = await openEngine(host.path, model, { kernels: await hostKernels() }, more);
    const singles = (n: number, position: number) =>
      batchOf(...Array.from({ length: n }, (_, i) => [i, position, (5 * i + 3 * position) % config.vocab] as const));
    const check = async (batch: ReturnType<typeof batchOf>, rows: readonly number[], what: string) => {
      // The same batch twice leaves the same cache.
      const expected = await logitsOf(engine, batch, rows);
      const { ids, logProbabilities } = await engine.pick(batch, Int32Array.from(rows));
      assertEquals([...ids], expected.map(argmax), what);
      expected.forEach((logits, i) => {
        const exact = logProbability(logits, ids[i]!);
        assert(Math.abs(logProbabilities[i]! - exact) < 1e-5, `${what}: ${logProbabilities[i]} instead of ${exact}`);
      });
    };
    // Ten rows are filled up to twelve; plainly, recorded and replayed.
    for (let position = 0; position < 3; position++) {
      await check(singles(10, position), Array.from({ length: 10 }, (_, i) => i), `ten at ${position}`);
    }
    assert(host.calls("hipGraphLaunch") >= 2, "filled batches are replayed");
    // Seventeen rows, more than the host takes at once; a prompt beside two sequences; no row wanted at all.
    await check(singles(SLOTS, 3), Array.from({ length: SLOTS }, (_, i) => i), "seventeen");
    const prompt = sequence(2, 5, config.vocab, 4), mixed = batchOf([0, 4, 4], [1, 4, 9]);
    const join = (key: "ids" | "slots" | "positions") => Int32Array.from([...mixed[key], ...prompt[key]]);
    await check({ ids: join("ids"), slots: join("slots"), positions: join("positions") }, [0, 1, 6], "mixed");
    assertEquals((await engine.pick(prompt, new Int32Array(0))).ids.length, 0);
    assertEquals([engine.canPick(SLOTS), engine.canPick(SLOTS + 1)], [true, false]);
    await engine.close();
    assertEquals(host.leaks(), "");
  },
);

Deno.test(
  { name: "decode() of ten sequences, filled up to twelve, picks what each alone picks", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(32, { config });
    const first = Array.from({ length: 10 }, (_, i) => [i, 0, (7 * i + 2) % config.vocab] as const);
    const greedy = { temperature: 0, topP: 1, topK: 0, uniforms: new Float32Array(0) };
    // Where a batch has no room for twelve, ten are not filled up.
    for (const room of [12, 10]) {
      const kernels = await hostKernels(), more = { slots: room, maxTokens: room };
      const engine = await openEngine(host.path, model, { kernels, invariant: true }, more);
      const run = async (tokens: typeof first) => {
        const seen = tokens.map((): number[] => []), sampling = tokens.map(() => greedy);
        const onTokens = (ids: Int32Array) => ids.forEach((id, row) => seen[row]!.push(id)) === undefined;
        assert(engine.canDecode(batchOf(...tokens)));
        await engine.decode({ batch: batchOf(...tokens), steps: 4, sampling, onTokens });
        return seen;
      };
      const together = await run(first);
      for (const i of [0, 9]) assertEquals([together[i]], await run([first[i]!]), `sequence ${i}`);
      const { ids } = await engine.pick(batchOf(...first), Int32Array.from(first, (_, i) => i));
      assertEquals([...ids], together.map(([id]) => id));
      await engine.close();
    }
  },
);

Deno.test(
  { name: "decode() draws for few sequences by several blocks each, for more by one, and the same tokens", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(34, { config });
    const kernels = await hostKernels(), steps = 6, sampled: string[] = [], { launch } = Queue.prototype;
    // Those of an architecture that lacks the kernel.
    const lacking: KernelFiles = {
      ...kernels,
      architecture: (arch) => {
        const all = kernels.architecture(arch);
        if (all === undefined) return undefined;
        return {
          ...all,
          entries: Object.fromEntries(Object.entries(all.entries).filter(([e]) => e !== "sample_split")),
        };
      },
    };
    const asked = [[1, 1, 0], [0, 1, 0], [0.8, 0.9, 0], [2, 1, 7], [3, 0.8, 40]] as const;
    const sampling = Array.from({ length: 12 }, (_, row) => asked[row % asked.length]!).map((
      [temperature, topP, topK],
      row,
    ) => ({
      ...{ temperature, topP, topK },
      uniforms: Float32Array.from({ length: steps }, (_, step) => ((7 * step + 3 * row + 1) % 11) / 11),
    }));
    const run = async (kernels: KernelFiles, rows: number) => {
      const engine = await openEngine(host.path, model, { kernels, invariant: true }, { slots: 12, maxTokens: 16 });
      const batch = batchOf(...Array.from({ length: rows }, (_, i) => [i, 0, (7 * i + 2) % config.vocab] as const));
      const seen: number[][] = [], onTokens = (ids: Int32Array) => seen.push([...ids]) > 0;
      sampled.length = 0;
      host.reset();
      try {
        Queue.prototype.launch = function (kernel, shape, args) {
          if (kernel.name.startsWith("sample")) sampled.push(`${kernel.name} ${shape.grid}`);
          launch.call(this, kernel, shape, args);
        };
        await engine.decode({ batch, steps, sampling: sampling.slice(0, rows), onTokens });
      } finally {
        Object.assign(Queue.prototype, { launch });
        await engine.close();
      }
      assert(host.calls("hipGraphLaunch") >= steps - 2);
      return { seen, sampled: [...new Set(sampled)] };
    };
    for (const rows of [1, 8, 12]) {
      const one = await run(lacking, rows), several = await run(kernels, rows);
      assertEquals([one.sampled, several.sampled], [
        [`sample ${rows},1,1`],
        [rows > 8 ? `sample ${rows},1,1` : `sample_split 32,${rows},1`],
      ]);
      assertEquals(several.seen, one.seen, `${rows} sequences`);
    }
    assertEquals(host.leaks(), "");
  },
);

Deno.test(
  { name: "completeAll() on a GPU gives the replies and probabilities that picks of the host give", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    using model = randomModel(33, { config });
    const engine = await openEngine(host.path, model, { kernels: await hostKernels(), invariant: true }, { slots: 3 });
    const limits = { slots: 3, context: 64, maxTokens: 32, vocab: config.vocab };
    const plain: Engine = {
      info: engine.info,
      compute: (...args) => engine.compute(...args),
      copySlot: (...args) => engine.copySlot(...args),
      close: () => engine.close(),
    };
    const requests = Array.from({ length: dose(5, 6) }, (_, index) => ({
      index,
      prompt: Int32Array.from({ length: 5 + index }, (_, i) => (3 * i + 7 * index + 1) % config.vocab),
    }));
    const complete = async (session: Session, logProbabilities = true) => {
      const done: Completion[] = [], options = { prefix: new Int32Array(0), maxTokens: dose(4, 5), logProbabilities };
      await completeAll({ session, requests, ...options, stopIds: new Set([1, 2, 3]), onDone: (c) => done.push(c) });
      return done.toSorted((a, b) => a.index - b.index);
    };
    const onHost = await complete(new Session(plain, limits));
    // One picks batch by batch, the other generates by itself while no prompt waits.
    for (const scores of [false, true]) {
      let generated = 0;
      const decode: Engine["decode"] = (request) => engine.decode(request).finally(() => generated++);
      const session = new Session({
        ...{ ...plain, scores, decode, canDecode: (batch) => engine.canDecode(batch) },
        ...{ canPick: (rows) => engine.canPick(rows), pick: (...args) => engine.pick(...args) },
      }, limits);
      const picks = host.calls("hipGraphLaunch"), onDevice = await complete(session);
      assert(host.calls("hipGraphLaunch") > picks && generated > 0 === scores);
      assertEquals(
        onDevice.map(({ logProbability: _, ...rest }) => rest),
        onHost.map(({ logProbability: _, ...r }) => r),
      );
      const unscored = await complete(session, false);
      assertEquals(unscored, onHost.map((c) => ({ ...c, logProbability: null })));
      onDevice.forEach((c, i) => assert(Math.abs(c.logProbability! - onHost[i]!.logProbability!) < 1e-4));
    }
    // A logit that is no number stops the run and is explained.
    const broken = new Session({
      ...plain,
      canPick: () => true,
      pick: () => Promise.resolve({ ids: Int32Array.of(~4), logProbabilities: new Float64Array(1) }),
    }, limits);
    await assertRejects(() => complete(broken), FailureError);
    await engine.close();
  },
);
