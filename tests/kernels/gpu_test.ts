/** Every kernel on the GPU of this machine, where there is one, against the reference implementation. */
import { assert } from "../assert.ts";
import type { Manifest } from "../../kernels/manifest.ts";
import { allCases } from "./cases/all.ts";
import { GpuMachine, openFirstGpu } from "./gpu_machine.ts";

const manifest = JSON.parse(
  await Deno.readTextFile(new URL("../../kernels/build/manifest.json", import.meta.url)),
) as Manifest;
const found = openFirstGpu();
if (typeof found === "string") console.error(`tests/kernels/gpu_test.ts: skipped, ${found}`);

Deno.test({
  name: "every kernel on this machine's GPU agrees with the reference",
  ignore: typeof found === "string",
  fn: async (t) => {
    using machine = new GpuMachine(found as Exclude<typeof found, string>, manifest);
    const { entries } = manifest.architectures[machine.name]!;
    for (const one of allCases().filter(({ job }) => entries[job.entry] !== undefined)) {
      await t.step(one.name, async () => {
        await machine.run([one.job]);
        const verdict = one.check();
        assert(verdict <= 1, `${one.name}: ${verdict} times the allowed deviation`);
      });
    }
  },
});
