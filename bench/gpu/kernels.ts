/**
 * Times the kernels of a decode step and of a prefill at the shapes of gpt-oss-20b, and what part of the memory
 * bandwidth and of the multiply-adds per second they reach.
 *
 *     deno run --allow-ffi --allow-read --allow-env bench/gpu/kernels.ts [decode|prefill]
 *         [--bandwidth=4.3e12] [--filter=TEXT] [--kernels=DIR] [--json]
 *
 * Weights lie in several copies that together are larger than the caches; launches are replayed from a graph. Bytes are
 * those that must be moved: weights once, activations once.
 */
import { openFirstGpu } from "../../tests/kernels/first_gpu.ts";
import { committedKernels, KernelSet } from "../../src/backends/gpu/kernels.ts";
import { decodeTimings } from "./decode.ts";
import { Harness, type Timing } from "./harness.ts";
import { prefillTimings } from "./prefill.ts";

const flag = (name: string) => Deno.args.find((a) => a.startsWith(`--${name}=`))?.slice(name.length + 3);
const folder = flag("kernels");
const files = committedKernels(folder);
const bandwidth = Number(flag("bandwidth") ?? 4.3e12);
const parts = Deno.args.filter((a) => !a.startsWith("--"));

const runtime = openFirstGpu();
if (typeof runtime === "string") {
  console.error(`bench/gpu/kernels.ts: ${runtime}`);
  Deno.exit(1);
}
using device = runtime.open(0);
using kernels = new KernelSet(device, files);
using harness = new Harness(device, kernels, flag("filter") ?? "");
const timings: Timing[] = [];
for (const [name, run] of [["decode", decodeTimings], ["prefill", prefillTimings]] as const) {
  if (parts.length > 0 && !parts.includes(name)) continue;
  for (const timing of run(harness)) {
    timings.push(timing);
    harness.release();
    if (Deno.args.includes("--json")) continue;
    const { microseconds: us, bytes, macs } = timing;
    const rates = [
      ...(bytes
        ? [
          `${(bytes / us / 1e3).toFixed(0).padStart(6)} GB/s ${
            (100 * bytes / us * 1e6 / bandwidth).toFixed(0).padStart(4)
          } %`,
        ]
        : []),
      ...(macs ? [`${(2 * macs / us / 1e6).toFixed(1).padStart(6)} TFLOP/s`] : []),
    ];
    console.log(`${timing.name.padEnd(58)} ${us.toFixed(2).padStart(9)} us ${rates.join("  ")}`);
  }
}
if (Deno.args.includes("--json")) {
  console.log(
    JSON.stringify({ device: device.properties.name, runtime: runtime.version, bandwidth, timings }, null, 1),
  );
}
