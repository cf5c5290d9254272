/**
 * Every kernel, compiled for this processor, against the reference implementation: as `mxoss devices --verify` runs
 * them on a GPU, with the test library as the GPU.
 */
import { openHip } from "../../ffi/hip.ts";
import { KernelSet } from "../../src/backends/gpu/kernels.ts";
import { FAMILIES } from "../../src/verify/cases/all.ts";
import { attentionCases } from "../../src/verify/cases/attention.ts";
import type { KernelCase } from "../../src/verify/cases/check.ts";
import { expertCases } from "../../src/verify/cases/expert.ts";
import { expertMlpCases } from "../../src/verify/cases/expert_mlp.ts";
import { expertWalkCases } from "../../src/verify/cases/expert_walk.ts";
import { gemmCases } from "../../src/verify/cases/gemm.ts";
import { givenCases } from "../../src/verify/cases/given.ts";
import { rankNormCases } from "../../src/verify/cases/rank_norms.ts";
import { rankCases } from "../../src/verify/cases/ranks.ts";
import { routeCases } from "../../src/verify/cases/route.ts";
import { casesOf, runCase } from "../../src/verify/kernels.ts";
import { GpuMachine } from "../../src/verify/machine.ts";
import type { CaseResult } from "../../src/verify/results.ts";
import { assert, assertEquals, assertThrows } from "../assert.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary, HostMachine } from "./host_machine.ts";

/** Asserts that a case does not agree before its kernel has run, where there is anything to do. */
function assertOpen({ name, check }: KernelCase): void {
  assert(!(check() <= 1) || name.endsWith(" nothing"), `${name} agrees before its kernel has run`);
}

Deno.test({
  name: "every kernel on the host agrees with the reference",
  ignore: await withoutKernelCompiler(),
  fn: async (t) => {
    using host = new HipHost(buildHipHost());
    using runtime = openHip(host.path);
    using kernels = new KernelSet(runtime.open(0), await hostKernels({ batches: true }));
    using _filled = await HostMachine.open();
    {
      using machine = new GpuMachine(kernels);
      const cases = await casesOf(machine);
      assert(cases.length > 250, `only ${cases.length} cases`);
      for (const one of cases) {
        await t.step(one.name, () => {
          // What a filter of --verify goes by.
          const own = FAMILIES.filter(({ entries }) => entries.test(one.job.entry));
          assert(own.length > 0 && one.name.startsWith(one.job.entry), one.job.entry);
          assertOpen(one);
          const results: CaseResult[] = [];
          runCase(machine, one, (result) => results.push(result));
          const [{ agrees, error, problem }] = results as [CaseResult];
          assertEquals(problem, null);
          assert(agrees, `${one.name}: ${error} times the allowed deviation`);
        });
      }
    }
  },
});

Deno.test({
  name: "kernels that write into other ranks' memory agree with the reference",
  ignore: await withoutKernelCompiler(),
  fn: async (t) => {
    // Launched as they are: the test library's launches wait for those of other ranks.
    const machine = await HostMachine.open();
    for (
      const one of [...rankCases(), ...rankNormCases(), ...givenCases(), ...routeCases()].filter(({ job }) =>
        /^exchange_|_give$/.test(job.entry) && !job.cluster
      )
    ) {
      await t.step(one.name, async () => {
        assertOpen(one);
        await machine.run([one.job]);
        assert(one.check() <= 1, one.name);
      });
    }
  },
});

Deno.test({
  name: "the experts' kernels whose warps share rows agree with the reference, their marks and copies done by the host",
  ignore: await withoutKernelCompiler(),
  fn: async (t) => {
    const machine = await HostMachine.open();
    // The first product of long rows takes a tenth of a second each, and does nothing that the second one does not.
    const forOne = [...expertCases()].filter(({ name, job: { entry } }) =>
      entry.endsWith("_one") && !/^expert_up.* (832|2880) columns| 832 columns/.test(name)
    );
    for (const one of [...expertWalkCases(), ...expertMlpCases(), ...forOne]) {
      await t.step(one.name, async () => {
        assertOpen(one);
        await machine.run([one.job]);
        assert(one.check() <= 1, one.name);
      });
    }
  },
});

Deno.test({
  name: "NVIDIA's kernels with matrix instructions agree with the reference, the instructions written out",
  ignore: await withoutKernelCompiler(),
  fn: async (t) => {
    const machine = await HostMachine.open();
    const cases = [...gemmCases(), ...expertCases(), ...attentionCases()].filter(({ job: { entry } }) =>
      /^(expert_)?batch_\w+_x\d+$|_mma$/.test(entry)
    );
    assert(cases.length > 95, `only ${cases.length} cases`);
    for (const one of cases) {
      await t.step(one.name, async () => {
        assertOpen(one);
        await machine.run([one.job]);
        const verdict = one.check();
        assert(verdict <= 1, `${one.name}: ${verdict} times the allowed deviation`);
      });
    }
  },
});

Deno.test({
  name: "kernels of the host library are no symbols, which another library's function of that name could replace",
  ignore: await withoutKernelCompiler(),
  fn: async () => {
    const path = await hostLibrary();
    // As glibc has `advance`, which ran instead wherever the compiler did not inline the kernel.
    for (const name of ["advance", "rms_norm"]) {
      assertThrows(() => Deno.dlopen(path, { [name]: { parameters: [], result: "void" } }), Error, name);
    }
  },
});
