/** `mxoss serve` on the GPU backend with fewer pages than its sequences need, by the test library. */
import { openCheckpoint } from "../../src/checkpoint/checkpoint.ts";
import { fewestPages } from "../../src/model/pages.ts";
import { Costs } from "../../src/model/work.ts";
import { DEFAULTS, planSetting } from "../../src/session/setting.ts";
import { assert, assertEquals } from "../assert.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { pageLoad } from "./page_load.ts";
import { startServer } from "./server_process.ts";
import { TINY } from "./serving.ts";

Deno.test({
  name: `a server on a GPU loses no page to clients that leave, give up or give way${SOAK ? "" : ONLY_SOAKED}`,
  ignore: !SOAK || await withoutKernelCompiler(),
  fn: async () => {
    const checkpoint = openCheckpoint(TINY), { config } = checkpoint, context = 192, chunk = 32;
    const { planned: { plan, source } } = planSetting({ ...DEFAULTS, checkpoint, backend: "hip", dtype: "f32" });
    const pages = fewestPages({ config, context, maxTokens: chunk });
    const memory = new Costs(config, source, plan.kvFormat).poolBytes(pages);
    await using server = await startServer([
      ...["--backend", "hip", "--hip-library", buildHipHost(), "--dtype", "f32", "--chunk", `${chunk}`],
      ...["--sequences", "5", "--context", `${context}`, "--cache-memory", `${memory}`, "--log", "none"],
    ], { HIP_HOST_KERNELS: await hostLibrary() });
    const size = { clients: 9, requests: 1, prompt: 12, common: 40, reply: 24, vocab: config.vocab, whole: context };
    const { counts, pages: seen, sameAsAlone, asked } = await pageLoad(server.url, size);
    assertEquals(counts, { left: 1, "given up": 1, streamed: 4, whole: 3 });
    assertEquals([seen.pages, sameAsAlone], [pages, asked]);
    assert(seen.most > pages / 2 && seen.last > 0, JSON.stringify(seen));
    assertEquals(await server.stop(), 0);
  },
});
