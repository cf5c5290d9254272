/** `mxoss bench` on the GPU backend, as its users run it, with the test library. In `deno task test:soak`. */
import type { BenchResults } from "../../src/bench/figures.ts";
import { mxoss } from "../cli/program.ts";
import { buildHipHost, withoutCompiler } from "../hip_host/build.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { assert, assertEquals } from "../assert.ts";
import { SOAK } from "../soak.ts";

Deno.test({
  name: `bench measures a GPU, and where its decoding steps' time goes${SOAK ? "" : " (skipped: a soak)"}`,
  ignore: !SOAK || withoutCompiler() || await withoutKernelCompiler(),
  fn: async () => {
    const backend = ["--backend", "hip", "--hip-library", buildHipHost(), "--dtype", "f32"];
    const lists = ["--prefill", "8", "--contexts", "16", "--batches", "2"];
    const args = ["bench", "--shape", "tiny", ...backend, ...lists, "--seconds", "600", "--json"];
    const { code, stdout, stderr } = await mxoss(args, { env: { HIP_HOST_KERNELS: await hostLibrary() } });
    assertEquals(code, 0, stderr);
    const { figures, limits, computed, skipped } = JSON.parse(stdout) as BenchResults;
    assertEquals([limits, skipped, computed.backend], [null, [], "hip"]);
    assertEquals(figures.map(({ subject }) => subject.kind), ["decode", "prefill", "decode"]);
    for (const { subject, shares, tokens_per_second: rate, of_limits } of figures) {
      assert(rate.median > 0 && rate.runs >= 3);
      assertEquals(of_limits, null);
      // Neither the whole step beside its parts, nor kernels beside the operations that launch them.
      assert((shares ?? []).every(({ operation }) => !/^whole|: /.test(operation)));
      assertEquals(shares?.some(({ operation }) => operation === "attention") ?? false, subject.kind === "decode");
    }
  },
});
