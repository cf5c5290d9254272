/** Every kernel on the GPU of this machine, where there is one, against the reference implementation. */
import { assert } from "../assert.ts";
import { casesOf } from "../../src/verify/kernels.ts";
import { machineOn, openFirstGpu } from "./first_gpu.ts";

const found = openFirstGpu();
if (typeof found === "string") console.error(`tests/kernels/gpu_test.ts: skipped, ${found}`);

Deno.test({
  name: "every kernel on this machine's GPU agrees with the reference",
  ignore: typeof found === "string",
  fn: async (t) => {
    using runtime = found as Exclude<typeof found, string>;
    const machine = machineOn(runtime);
    for (const one of await casesOf(machine)) {
      await t.step(one.name, () => {
        machine.launch(one.job);
        const verdict = one.check();
        assert(verdict <= 1, `${one.name}: ${verdict} times the allowed deviation`);
      });
    }
  },
});
