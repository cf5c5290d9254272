/**
 * The cases of gpu_test.ts as a program without dependencies, for machines that only have Deno: prints what deviates,
 * and how far the worst case of each entry point is from the allowed deviation.
 *
 *     deno run --allow-ffi --allow-read --allow-env tests/kernels/gpu_check.ts [--json]
 */
import type { Manifest } from "../../kernels/manifest.ts";
import { casesOf } from "../../src/verify/kernels.ts";
import { machineOn, openFirstGpu } from "./first_gpu.ts";

const manifest = JSON.parse(
  await Deno.readTextFile(new URL("../../kernels/build/manifest.json", import.meta.url)),
) as Manifest;
const found = openFirstGpu();
if (typeof found === "string") {
  console.error(`tests/kernels/gpu_check.ts: ${found}`);
  Deno.exit(1);
}
using runtime = found;
const machine = machineOn(runtime);
const results: Record<string, { cases: number; agree: number; worst: number }> = {};
for (const one of await casesOf(machine)) {
  let verdict = Infinity;
  try {
    machine.launch(one.job);
    verdict = one.check();
  } catch (error) {
    console.log(`${one.name}: ${error instanceof Error ? error.message : error}`);
  }
  const sum = results[one.job.entry] ??= { cases: 0, agree: 0, worst: 0 };
  sum.cases++;
  if (verdict <= 1) sum.agree++;
  else console.log(`${one.name}: ${verdict} times the allowed deviation`);
  sum.worst = Math.max(sum.worst, Number.isFinite(verdict) ? Number(verdict.toPrecision(2)) : -1);
}
const all = Object.values(results);
if (Deno.args.includes("--json")) {
  const { name } = machine.kernels.device.properties;
  console.log(JSON.stringify({ device: name, sourceHash: manifest.sourceHash, entries: results }, null, 1));
}
console.log(
  `${all.reduce((n, r) => n + r.agree, 0)} of ${
    all.reduce((n, r) => n + r.cases, 0)
  } cases agree, ${all.length} kernels`,
);
