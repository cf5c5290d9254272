/** `mxoss devices`: what each backend finds on this machine. */
import { counted } from "../amounts.ts";
import { fetchOwn } from "../own_files.ts";
import { findGpus, formatReports } from "../backends/gpu/devices.ts";
import { STANDALONE } from "../assets.ts";
import { type DEVICES, refuseIdle } from "./devices_options.ts";
import type { Parsed } from "./options.ts";
import { said } from "./spelling.ts";
import { folded } from "./table.ts";
import { writeLines, writeOut } from "./terminal.ts";

/** Those who run a binary give Deno no flags. */
const NO_FFI = "deno was started without --allow-ffi";

/** Runs the command; gives its exit code. */
export async function devicesCommand({ options }: Parsed<typeof DEVICES.options>): Promise<number> {
  refuseIdle(options);
  if (options.verify) return await (await import("./verify.ts")).verifyCommand(options);
  await fetchOwn("kernels");
  const threads = navigator.hardwareConcurrency;
  const library = options["hip-library"];
  const gpus = Deno.permissions.querySync({ name: "ffi" }).state === "granted"
    ? findGpus(library === undefined ? {} : { hipLibrary: library })
    : null;
  if (options.json) {
    const reports = gpus?.map((gpu) => ({ ...gpu, problem: gpu.problem && said(gpu.problem) })) ?? null;
    await writeOut(`${JSON.stringify({ emulate: { threads }, gpus: reports }, null, 2)}\n`);
    return 0;
  }
  const lines = [
    `emulate: WebAssembly SIMD on ${counted(threads, "thread")}`,
    "reference: plain TypeScript on one thread",
    ...(gpus === null
      ? [`hip, cuda: not looked for: ${STANDALONE ? "calling libraries is not permitted" : NO_FFI}`]
      : formatReports(gpus, said)),
  ];
  await writeLines(folded(lines));
  return 0;
}
