/** What kernels that join launches, those for one sequence above all, give beside the launches that they replace. */
import type { KernelFiles } from "../../../src/backends/gpu/kernels.ts";
import { assertEquals } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { batchOf, logitsOf, openEngine, sequence } from "./opened.ts";

const ignore = await withoutKernelCompiler();

/** Kernels without those that join launches. */
function apart(kernels: KernelFiles): KernelFiles {
  return {
    ...kernels,
    architecture: (arch) => {
      const all = kernels.architecture(arch);
      return all && {
        ...all,
        entries: Object.fromEntries(
          Object.entries(all.entries).filter(([name]) => !/^attention_step$|^norm_route_.*_split$/.test(name)),
        ),
      };
    },
  };
}

Deno.test({ name: "joined launches give the bits of those that they replace", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const config = testConfig({}), { vocab } = config;
  using model = randomModel(1, { config });
  const kernels = await hostKernels();
  const sizes = { dtype: "bf16", kvFormat: "bf16", context: 80, maxTokens: 70 } as const, seen = [];
  for (const files of [kernels, apart(kernels)]) {
    const engine = await openEngine(host.path, model, { kernels: files }, sizes), logits: Float32Array[] = [];
    for (const [slot, count] of [[0, 66], [2, 3]] as const) await logitsOf(engine, sequence(slot, count, vocab), []);
    host.reset();
    for (let step = 0; step < 2; step++) {
      logits.push(...await logitsOf(engine, batchOf([0, 66 + step, 7], [2, 3 + step, 9]), [0, 1]));
    }
    seen.push({ logits, launches: host.calls("hipModuleLaunchKernel") });
    await engine.close();
  }
  const [joined, plain] = seen;
  assertEquals(joined!.logits, plain!.logits);
  // Of three launches a layer one is left, in the step that is launched and in the one that is recorded.
  assertEquals(plain!.launches - joined!.launches, 2 * 2 * config.layers);
});
