/** `mxoss devices --verify` as its users call it, with the test library for libamdhip64. */
import { VerifyResults } from "../../src/verify/results.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../assert.ts";
import { TemporaryDirectory } from "../checkpoint/container.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { withoutKernelCompiler } from "../hip_host/kernels.ts";
import { hostLibrary } from "../kernels/host_machine.ts";
import { inProcess } from "./in_process.ts";
import { mxoss } from "./program.ts";

const ignore = await withoutKernelCompiler();

/** Verifies what the filter lets through, on a card of an architecture. */
async function verify(filter: string, writable: string, more: readonly string[] = [], architecture = "gfx942") {
  const library = ["--backend", "hip", "--hip-library", buildHipHost()];
  const env = { HIP_HOST_KERNELS: await hostLibrary(), HIP_HOST_ARCH: `${architecture}:sramecc+:xnack-` };
  return await mxoss(["devices", "--verify", "--filter", filter, ...library, ...more], { env, writable });
}

Deno.test(
  { name: "devices --verify prints a table, JSON, or a text for an issue, and writes the JSON", ignore },
  async () => {
    using dir = new TemporaryDirectory();
    const out = `${dir.path}/card.json`, table = await verify("rms_norm", dir.path, ["--out", out]);
    assertEquals([table.code, table.stderr], [0, ""]);
    assertMatch(table.stdout, /^card +hip 0: mxoss test device, gfx942/);
    assertMatch(table.stdout, /^rms_norm +3 +3 +0\.\d+$/m);
    assertMatch(table.stdout, /^passed: 3 of 3 kernel cases, /m);

    const written = VerifyResults.parse(JSON.parse(Deno.readTextFileSync(out)));
    assertEquals([written.passed, written.cases.length, written.filter], [true, 3, "rms_norm"]);
    assert(written.cases.every(({ error }) => error! <= 1));
    const again = await inProcess(["devices", "--verify", "--out", out]);
    assertEquals([again.code, again.stdout], [2, ""]);
    assertMatch(again.stderr, /--out: [^\n]*card\.json: exists already; --force replaces it/);

    const issue = await verify("rms_norm", dir.path, ["--issue", "--out", out, "--force"]);
    assertMatch(issue.stdout, /^mxoss test device, gfx942:sramecc\+:xnack-: everything agrees\n/);
    for (const { case: name } of written.cases) assertStringIncludes(issue.stdout, `\n${name}: `);
    assertStringIncludes(issue.stdout, written.kernels.sha256);
  },
);

Deno.test({ name: "devices --verify ends with 1 and names what the device does not compute", ignore }, async () => {
  using dir = new TemporaryDirectory();
  // The test library has no instructions for scaled blocks, which the code objects of gfx950 do have.
  const { code, stdout } = await verify("expert_gemm_mxfp4_fp8_mma", dir.path, ["--json"], "gfx950");
  const { passed, cases } = VerifyResults.parse(JSON.parse(stdout));
  assertEquals([code, passed, cases.length > 0], [1, false, true]);
  for (const { kernel, agrees, problem } of cases) {
    assertEquals(agrees, false);
    assertStringIncludes(problem!, `hipModuleGetFunction (${kernel}): hipErrorNotFound`);
  }
});

Deno.test("devices --verify says that there is no GPU", async () => {
  const { code, stdout, stderr } = await inProcess([
    ...["devices", "--verify", "--backend", "hip", "--hip-library", "/nowhere/libhip.so"],
  ]);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(stderr, /^error: [^\n]*not found as \/nowhere\/libhip\.so[^\n]*\n$/);
});
