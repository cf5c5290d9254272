/** Every kernel, compiled for this processor, against the reference implementation. */
import { assert } from "../assert.ts";
import { allCases } from "./cases/all.ts";
import { hasClang, HostMachine } from "./host_machine.ts";

const clang = await hasClang();
if (!clang) console.error("tests/kernels/host_test.ts: skipped, clang-22 is not installed");

Deno.test({
  name: "every kernel on the host agrees with the reference",
  ignore: !clang,
  fn: async (t) => {
    using machine = await HostMachine.open();
    // Matrix instructions have no plain C++.
    for (const one of allCases().filter(({ job }) => !/_mma$|batch/.test(job.entry))) {
      await t.step(one.name, async () => {
        await machine.run([one.job]);
        const verdict = one.check();
        assert(verdict <= 1, `${one.name}: ${verdict} times the allowed deviation`);
      });
    }
  },
});
