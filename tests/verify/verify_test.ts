/** `mxoss devices --verify`, with the test library as the GPU. */
import { openHip } from "../../ffi/hip.ts";
import { KernelSet } from "../../src/backends/gpu/kernels.ts";
import { SHAPES } from "../../src/checkpoint/random/layouts.ts";
import { issueText, verifyLines } from "../../src/cli/verify_text.ts";
import { nothingSoFar, resultsOf, verify, type VerifyRequest } from "../../src/verify/run.ts";
import type { Place } from "../../src/verify/model.ts";
import { failures, VerifyResults } from "../../src/verify/results.ts";
import { speedChecks } from "../../src/verify/speed.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { HipHost } from "../hip_host/control.ts";
import { type HostKernelOptions, hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { readGolden } from "../golden.ts";
import { ONLY_SOAKED, SOAK } from "../soak.ts";
import { kept, KEPT_GOLDENS } from "../../tools/verify_goldens.ts";

const ignore = await withoutKernelCompiler();

/** What a run on the test library finds. */
async function verified(
  host: HipHost,
  filter: string | null,
  kernels: HostKernelOptions = {},
): Promise<VerifyResults> {
  const request: VerifyRequest = {
    ...{ backend: "hip", device: 0, hipLibrary: host.path, filter, kernels: await hostKernels(kernels) },
  };
  const found = nothingSoFar();
  let steps = 0;
  await verify(request, () => openHip(host.path), found, (done, total) => assert(done >= steps++ && done <= total));
  assert(steps > 1);
  assertEquals(host.leaks(), "");
  const results = resultsOf({ ...found, about: found.about! }, request, { mxoss: "0", system: "", seconds: 1 }, false);
  // What is written can be read back.
  return VerifyResults.parse(JSON.parse(JSON.stringify(results)));
}

Deno.test("the goldens that come with the program are those of the tests", () => {
  const tensors = (all: ReturnType<typeof readGolden>) => [...all].sort(([a], [b]) => a < b ? -1 : 1);
  assertEquals(tensors(readGolden(KEPT_GOLDENS)), tensors(new Map(kept(readGolden("logits.safetensors")))));
});

Deno.test({ name: "verify() passes kernels that compute what they should", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const results = await verified(host, "gemm_bf16", { matrix: "right" });
  assertEquals(failures(results), []);
  const { device, kernels, cases, matrix, passed } = results;
  assertEquals([passed, device.name, device.arch, kernels.arch], [
    true,
    "mxoss test device",
    "gfx942:sramecc+:xnack-",
    "gfx942",
  ]);
  assert(cases.length >= 14 && cases.every(({ error }) => error !== null && error <= 1));
  assertEquals(matrix.map(({ kernel, agrees }) => [kernel, agrees]), [["gemm_bf16_mma", true]]);
});

Deno.test({ name: "verify() names kernels that compute something else", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  const results = await verified(host, "gemm_bf16_mma", { matrix: "wrong" });
  assertEquals(results.passed, false);
  const bad = failures(results);
  assertEquals(bad.length, results.cases.length + 1);
  assertMatch(bad[0]!, /^gemm_bf16_mma 20\+130x96 n 9 round 1 accumulate: [\d.e+]+, of 1 allowed$/);
  assertMatch(bad.at(-1)!, /^gemm_bf16_mma \(bf16\) beside the generic kernel: 1\.9, of 1e-8 allowed$/);
  const table = verifyLines(results).join("\n"), issue = issueText(results);
  for (const text of [table, issue]) for (const line of bad) assertStringIncludes(text, line);
  assertStringIncludes(table, "FAILED: 0 of 3 kernel cases, 0 of 1 matrix kernels");
  // Everything that tells one card from another.
  for (const fact of ["mxoss test device", "HIP 6.2.41134", results.kernels.sha256, "gfx942:sramecc+:xnack-"]) {
    assertStringIncludes(issue, fact);
  }
  assertMatch(issue, /<details><summary>Largest error of each of 3 cases/);
});

Deno.test({ name: "verify() names the case whose kernel cannot be loaded, and goes on", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  host.fail("hipModuleLoadData", 1, 209);
  const results = await verified(host, "rms_norm");
  assertEquals(results.cases.map(({ agrees }) => agrees), [false, true, true]);
  assertMatch(failures(results).join("\n"), /^rms_norm .*: hipModuleLoadData .*, code 209.*$/);
  assertEquals(results.passed, false);
});

Deno.test(
  { name: "verify() names the case after which the device works no more, and what was not run", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    host.fail("kernel", 2, 719);
    const results = await verified(host, "rms_norm"), bad = failures(results);
    assertEquals(results.cases.map(({ agrees }) => agrees), [true, false]);
    assertMatch(bad[0]!, /^rms_norm .*: .*hipErrorLaunchFailure, code 719/);
    assertMatch(bad[1]!, /^2 of 4 steps, as the device works no more after rms_norm /);
    assertEquals([results.passed, bad.length], [false, 2]);
  },
);

Deno.test("resultsOf() passes nothing that ran nothing, or was interrupted", () => {
  const about = { device: {} as VerifyResults["device"], kernels: {} as VerifyResults["kernels"] };
  const request: VerifyRequest = { backend: "hip", device: 0, hipLibrary: undefined, filter: "no such kernel" };
  const said = { mxoss: "0", system: "", seconds: 1 }, found = { ...nothingSoFar(), about };
  assertEquals(resultsOf(found, request, said, false).passed, false);
  const one = { case: "add", kernel: "add", error: 0, agrees: true, problem: null };
  assertEquals(resultsOf({ ...found, cases: [one] }, request, said, false).passed, true);
  const interrupted = resultsOf({ ...found, cases: [one] }, request, said, true);
  assertEquals([interrupted.passed, interrupted.not_run], [false, ["the rest, as the run was interrupted"]]);
});

// Every case runs outside a soak as well, in tests/kernels/host_test.ts, a golden and the replies in goldens_test.ts.
Deno.test(
  { name: `verify() passes the model under every scheme of MX weights${ONLY_SOAKED}`, ignore: ignore || !SOAK },
  async () => {
    using host = new HipHost(buildHipHost());
    const results = await verified(host, "w_mx");
    assertEquals(failures(results), []);
    assertEquals(results.model.length, 20);
  },
);

Deno.test({ name: `the bench of verify() runs${ONLY_SOAKED}`, ignore: ignore || !SOAK }, async () => {
  using host = new HipHost(buildHipHost());
  const files = await hostKernels();
  const place: Place = { backend: "hip", device: 0, hipLibrary: host.path, gpu: { kernels: files } };
  using runtime = openHip(host.path);
  using kernels = new KernelSet(runtime.open(0), files);
  for (const check of speedChecks(place, kernels, { readBytes: 2 ** 20, wide: SHAPES.tiny, steps: 2 })) {
    const { problem, value, runs } = await check.run();
    assertEquals(problem, null);
    assert(runs.length === 5 && value! > 0);
  }
});
