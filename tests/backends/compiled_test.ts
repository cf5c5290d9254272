/**
 * The kernels compiled for this processor. Of the files that need them this is the first in the order of their names:
 * while one thread of a parallel run waits for the compiler, the others have tests that need no kernels.
 */
import type { Manifest } from "../../kernels/manifest.ts";
import { assert, assertEquals } from "../assert.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { HostMachine } from "../kernels/host_machine.ts";

const MANIFEST = new URL("../../kernels/build/manifest.json", import.meta.url);

Deno.test({
  name:
    "the library for this processor has every kernel of each card but those of Hopper's and CDNA 4's own instructions",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    using machine = await HostMachine.open();
    const { architectures } = JSON.parse(Deno.readTextFileSync(MANIFEST)) as Manifest;
    const lacking = { gfx950: /^expert_gemm_mxfp4_(?:e2m1|fp8)_mma$/, sm_90a: /_(?:wgmma|cluster)$/ };
    for (const [architecture, { entries }] of Object.entries(architectures)) {
      const own = lacking[architecture as keyof typeof lacking], names = Object.keys(entries);
      assert(names.length > (architecture === "sm_90a" ? 10 : 80), `${architecture}: ${names.length}`);
      assertEquals(names.filter((name) => !machine.has(name)), names.filter((name) => own?.test(name)), architecture);
    }
    assertEquals(machine.has("gemm_bf16_wgmma"), false);
  },
});
