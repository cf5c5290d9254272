/**
 * The committed AMD code objects, run instruction by instruction on an ISA emulator, against the reference
 * implementation.
 *
 *     MXOSS_TINYGRAD=CHECKOUT deno test --allow-all tests/kernels/isa_test.ts
 *
 * takes some ten minutes; with MXOSS_ISA_REPORT=FILE it also writes the results as JSON
 * (tests/kernels/isa_results.json), and with MXOSS_ISA_STALE=1 besides it runs only what that file says nothing of:
 * kernels whose code objects changed.
 */
import { assert, assertEquals } from "../assert.ts";
import type { Manifest } from "../../kernels/manifest.ts";
import { allCases } from "../../src/verify/cases/all.ts";
import { ISA_ARCHITECTURES, IsaMachine } from "./isa_machine.ts";
import { hasClang } from "./host_machine.ts";
import { mergeResults, objectOf, type Ran, readResults } from "./isa_results.ts";

const manifest = JSON.parse(
  await Deno.readTextFile(new URL("../../kernels/build/manifest.json", import.meta.url)),
) as Manifest;
const tinygrad = Deno.env.get("MXOSS_TINYGRAD"), report = Deno.env.get("MXOSS_ISA_REPORT");
const known = report !== undefined && Deno.env.get("MXOSS_ISA_STALE") === "1" ? readResults(report) : null;
const missing = tinygrad === undefined
  ? "MXOSS_TINYGRAD does not name a checkout of tinygrad"
  : !await hasClang()
  ? "clang-22 is not installed"
  : null;
if (missing) console.error(`tests/kernels/isa_test.ts: skipped, ${missing}`);

for (const arch of ISA_ARCHITECTURES) {
  Deno.test({
    name: `every kernel of ${arch} agrees with the reference on the ISA emulator`,
    ignore: missing !== null,
    fn: async (t) => {
      const own = manifest.architectures[arch]!, { entries } = own, ran = known?.architectures[arch] ?? {};
      const isKnown = (entry: string) => ran[entry] !== undefined && ran[entry].object === objectOf(own, entry);
      const machine = new IsaMachine(arch, tinygrad!, manifest);
      const cases = allCases().filter(({ job: { entry } }) => entries[entry] !== undefined && !isKnown(entry));
      await machine.run(cases.map(({ job }) => job));
      const results: Record<string, { -readonly [K in keyof Ran]: Ran[K] }> = {};
      for (const [i, one] of cases.entries()) {
        const outcome = machine.outcomes[i]!, verdict = outcome.error === undefined ? one.check() : Infinity;
        const sum = results[one.job.entry] ??= {
          ...{ cases: 0, agree: 0, worst: 0, object: objectOf(own, one.job.entry)! },
        };
        sum.cases++;
        if (verdict <= 1) sum.agree++;
        sum.worst = Math.max(sum.worst, Number.isFinite(verdict) ? Number(verdict.toPrecision(2)) : -1);
        await t.step(one.name, () => {
          assertEquals(outcome.error, undefined);
          assert(verdict <= 1, `${verdict} times the allowed deviation`);
        });
      }
      if (report) await mergeResults(report, arch, own, tinygrad!, results);
    },
  });
}

/**
 * Whose scale counts for which elements of an FP8 operand of gfx950's scaled matrix instruction, as such a GPU answered
 * Composable Kernel's test/mx_mfma_op/scale_mapping_16x16x128.cpp: for each 16 elements, in the order in which lanes of
 * groups 0 to 3 hold 32 each, the group of the lane.
 */
const SCALED_BY = [0, 2, 0, 2, 1, 3, 1, 3];

Deno.test({
  name: "the emulated scaled matrix instruction takes the scales that a gfx950 takes",
  ignore: missing !== null,
  fn: async () => {
    const ask = "import amd_isa_scaled as s; " +
      "print([s.column(s.FP8, g, at) // s.BLOCK for g in range(s.GROUPS) for at in range(s.BLOCK)])";
    const { stdout } = await new Deno.Command("python3", {
      args: ["-c", ask],
      cwd: new URL("../../tools", import.meta.url),
      env: { PYTHONDONTWRITEBYTECODE: "1" },
    }).output();
    assertEquals(JSON.parse(new TextDecoder().decode(stdout)), SCALED_BY.flatMap((group) => Array(16).fill(group)));
  },
});
