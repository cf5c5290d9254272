/**
 * The GPU backend, on the test library that runs the kernels on the CPU, on models of every odd shape
 * (tests/goldens/shapes).
 */
import { nmse } from "../../nmse.ts";
import { openHip } from "../../../ffi/hip.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import { openReference } from "../../../src/backends/reference/open.ts";
import type { ModelConfig } from "../../../src/checkpoint/model_config.ts";
import { InputError } from "../../../src/errors.ts";
import { LocalEngine } from "../../../src/model/engine.ts";
import { GptOss } from "../../../src/model/gpt_oss.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../../assert.ts";
import { TemporaryDirectory } from "../../checkpoint/container.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { describeShape, logitsOfShape, MAX_NMSE, openShape, SHAPE_CASES } from "../../model/shapes/cases.ts";
import { dose, everyNth } from "../../soak.ts";
import { sessionOf } from "../../model/shapes/session.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { logitsOf, openEngine, requestFor, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();

/** The limits that limits.ts has: no other shape may be refused. */
const BEYOND = / the GPU backend supports up to (256|1024|32|16)/;

Deno.test({ name: "the GPU backend in float32 computes Hugging Face's logits of every shape", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const kernels = await hostKernels(), wrong: string[] = [];
  let computed = 0;
  const asked = everyNth(10, SHAPE_CASES);
  for (const one of asked) {
    using dir = new TemporaryDirectory();
    // More than eight tokens run the kernels of many, and one that follows those of few, which take the test library
    // longer.
    const maxTokens = Math.max(1, one.ids.length - one.index % 2);
    try {
      const session = await sessionOf(
        openShape(dir, one.config, one.seed),
        (request) => openGpu(request, openHip(host.path), { kernels }),
        one.ids.length,
        { dtype: "f32", maxTokens },
      );
      const error = nmse(await logitsOfShape(session, one), one.logits);
      await session.close();
      computed++;
      // Not `error > MAX_NMSE`, which NaN would pass.
      if (!(error <= MAX_NMSE)) wrong.push(`${describeShape(one)}: NMSE ${error.toExponential(2)}`);
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw new Error(describeShape(one), { cause: thrown });
      assertMatch(thrown.message, BEYOND);
    }
  }
  assertEquals(wrong, []);
  assert(computed >= dose(30, 300), `${computed} of ${asked.length} computed`);
  assertEquals(host.leaks(), "");
});

/** One layer of a single expert, as small as the sizes in question allow. */
const narrow = (sizes: Partial<ModelConfig>): ModelConfig =>
  testConfig({ layers: 1, sliding: [false], intermediate: 3, experts: 1, topK: 1, vocab: 5, ...sizes });

Deno.test({ name: "rows of which four do not fit 64 KB of shared memory are taken one by one", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  // GPT-OSS's o_proj has 4,096 inputs; four staged rows of them are 73,728 bytes.
  const config = narrow({ hidden: 8, heads: 64, kvHeads: 8, headDim: 64 });
  using model = randomModel(3, { config });
  const engine = await openEngine(host.path, model, { kernels: await hostKernels() });
  const batch = sequence(0, 4, config.vocab), got = await logitsOf(engine, batch, [3]);
  await engine.close();
  const reference = new LocalEngine(new GptOss(await openReference(requestFor(model)), config), config.vocab);
  const expected: Float32Array[] = [];
  await reference.compute(batch, Int32Array.of(3), (_row, logits) => expected.push(logits.slice()));
  await reference.close();
  assert(nmse(got[0]!, expected[0]!) <= MAX_NMSE);
});

Deno.test({ name: "rows of which not one fits the shared memory are refused by name", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using model = randomModel(3, { config: narrow({ hidden: 16_384, heads: 1, kvHeads: 1, headDim: 2 }) });
  const kernels = await hostKernels();
  const refused = await assertRejects(() => openEngine(host.path, model, { kernels }), InputError);
  assertMatch(refused.message, /: expected input rows that fit the \d+ bytes of shared memory .*, got 16384 columns$/);
  assertEquals(host.leaks(), "");
});
