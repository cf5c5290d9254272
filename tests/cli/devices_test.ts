import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

Deno.test("devices lists every backend and says why one is missing", async () => {
  const { code, stdout, stderr } = await mxoss(["devices"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertMatch(stdout, new RegExp(`^emulate: WebAssembly SIMD on ${navigator.hardwareConcurrency} threads?$`, "m"));
  for (const [threads, text] of [[1, "1 thread"], [7, "7 threads"]] as const) {
    assertStringIncludes((await inProcess(["devices"], { threads })).stdout, `emulate: WebAssembly SIMD on ${text}\n`);
  }
  for (const backend of ["hip", "cuda"]) {
    assertMatch(stdout, new RegExp(`^${backend}: (not found|\\d+ devices?, )`, "m"));
  }
});

Deno.test("devices --json gives the same facts", async () => {
  const { stdout } = await mxoss(["devices", "--json"]);
  const { emulate, gpus } = JSON.parse(stdout);
  assertEquals(emulate, { threads: navigator.hardwareConcurrency });
  assertEquals(gpus.map(({ backend }: { backend: string }) => backend), ["hip", "cuda"]);
  for (const { devices, problem } of gpus) assert(devices.length > 0 || problem.length > 0);
});

Deno.test("devices --hip-library names the library that cannot be loaded", async () => {
  const { code, stdout } = await mxoss(["devices", "--hip-library", "/nowhere/libhip.so"]);
  assertEquals(code, 0);
  assertMatch(stdout, /hip: not found\n[^\n]*\/nowhere\/libhip\.so/);
});
