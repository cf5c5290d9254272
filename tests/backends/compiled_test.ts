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
  name: "the library for this processor has every kernel but those of matrix instructions",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    using machine = await HostMachine.open();
    const { architectures } = JSON.parse(Deno.readTextFileSync(MANIFEST)) as Manifest;
    const matrices = /_mma$|^(?:expert_)?batch_/;
    const names = Object.keys(architectures["gfx942"]!.entries).filter((name) => !matrices.test(name));
    assert(names.length > 40, `${names.length}`);
    assertEquals(names.filter((name) => !machine.has(name)), []);
    assertEquals(machine.has("gemm_bf16_mma"), false);
  },
});
