/** What self-tests found is kept between starts, and trusted by nobody else's doing. */
import { openHip } from "../../../ffi/hip.ts";
import { KeptSelfTests, keyOf } from "../../../src/backends/gpu/kept_self_tests.ts";
import { KernelSet } from "../../../src/backends/gpu/kernels.ts";
import { assert, assertEquals, assertMatch, assertNotEquals, assertStringIncludes } from "../../assert.ts";
import { TemporaryDirectory } from "../../checkpoint/container.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { type HostKernelOptions, hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { openEngine } from "./opened.ts";

const ignore = await withoutKernelCompiler() || Deno.build.os !== "linux";

/** Opens a model in bf16; gives what it says of its products, and how many launches that took. */
async function opened(host: HipHost, selfTests: string | undefined, kernels: HostKernelOptions) {
  using model = randomModel(1, { config: testConfig({ layers: 1, sliding: [false] }) });
  const before = host.calls("hipModuleLaunchKernel");
  const options = { kernels: await hostKernels(kernels), ...(selfTests === undefined ? {} : { selfTests }) };
  const engine = await openEngine(host.path, model, options, { dtype: "bf16", kvFormat: "bf16" });
  await engine.close();
  return { says: engine.info.description, launches: host.calls("hipModuleLaunchKernel") - before };
}

Deno.test({ name: "openGpu() tests matrix kernels once for a device, a driver and kernels", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/new/self-tests.json`;
  const first = await opened(host, path, { matrix: "right" }), second = await opened(host, path, { matrix: "right" });
  assert(first.launches > 0);
  assertEquals(second, { says: first.says, launches: 0 });
  assertStringIncludes(first.says, "bf16 products by MFMA");
  assertEquals([Deno.statSync(path).mode! & 0o777, Deno.statSync(`${dir.path}/new`).mode! & 0o777], [0o600, 0o700]);
  assertEquals([...Deno.readDirSync(`${dir.path}/new`)].map(({ name }) => name), ["self-tests.json"]);

  // Other devices, other kernels: nothing is known of them.
  host.configure({ arch: "gfx950" });
  assertEquals((await opened(host, path, { arch: "gfx950", matrix: "right" })).launches > 0, true);
  assertEquals(Object.keys(JSON.parse(Deno.readTextFileSync(path)).kept).length, 2);
  // Nor is anything kept where nobody asks for it.
  host.configure({});
  assertEquals((await opened(host, undefined, { matrix: "right" })).launches > 0, true);
});

Deno.test({ name: "openGpu() tests a matrix kernel that disagrees at every start", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  using dir = new TemporaryDirectory();
  const path = `${dir.path}/self-tests.json`;
  Deno.chmodSync(dir.path, 0o700);
  for (let start = 0; start < 2; start++) {
    const { says, launches } = await opened(host, path, { matrix: "wrong" });
    assertStringIncludes(says, "disagree with the generic kernels on this device: gemm_bf16_mma");
    assert(launches > 0);
  }
});

Deno.test({
  name: "keyOf() differs by device, driver and kernels, and is none where no driver says what it is",
  ignore,
}, async () => {
  using host = new HipHost(buildHipHost());
  host.configure({ devices: 2 });
  using runtime = openHip(host.path);
  const files = await hostKernels(), kernels = new KernelSet(runtime.open(0), files), key = keyOf(kernels, "6.1")!;
  assertMatch(
    key,
    /^hip 0 mxoss test device gfx942:sramecc\+:xnack- \d+ bytes, driver 6\.1, .*, kernels gfx942 [0-9a-f]{64}/,
  );
  assertEquals(keyOf(kernels, null), null);
  const other = {
    ...files,
    architecture: () => ({ files: { a: "0" }, entries: files.architecture("gfx942")!.entries }),
  };
  const others = [
    keyOf(kernels, "6.2"),
    keyOf(new KernelSet(runtime.open(1), files), "6.1"),
    keyOf(new KernelSet(runtime.open(0), other), "6.1"),
  ];
  for (const one of others) assertNotEquals(one, key);
});

Deno.test("KeptSelfTests trusts no file that others may write, that is a link, or that it did not write", () => {
  using dir = new TemporaryDirectory();
  const folder = `${dir.path}/gpu`, path = `${folder}/self-tests.json`;
  const known = (at = path, key = "a card") => new KeptSelfTests(at, key).has("gemm_bf16_mma", "bf16");
  const kept = new KeptSelfTests(path, "a card");
  kept.add("gemm_bf16_mma", "bf16");
  kept.save();
  assertEquals([known(), known(path, "another card"), new KeptSelfTests(path, "a card").has("gemm_bf16_mma", "fp8")], [
    ...[true, false, false],
  ]);
  const text = Deno.readTextFileSync(path);
  for (const mode of [0o620, 0o602, 0o666]) {
    Deno.chmodSync(path, mode);
    assertEquals(known(), false, mode.toString(8));
  }
  Deno.chmodSync(path, 0o600);
  Deno.chmodSync(folder, 0o777);
  assertEquals(known(), false);
  Deno.chmodSync(folder, 0o700);
  assertEquals(known(), true);
  Deno.symlinkSync(path, `${folder}/link.json`);
  assertEquals(known(`${folder}/link.json`), false);
  const damaged = ["", "{}", "[]", "null", '{"kept":{"a card":["gemm_bf16_mma bf16"]}}', text.replace('": 1', '": 2')];
  damaged.push(text.replace('"gemm_bf16_mma bf16"', '"gemm_bf16_mma bf16", 7'), `${text}${" ".repeat(1 << 18)}`);
  for (const one of damaged) {
    Deno.writeTextFileSync(path, one);
    assertEquals(known(), false, one.slice(0, 60));
  }
  // It is written anew over what is there, and what cannot be written is not.
  kept.add("gemm_fp8_mma", "fp8_e4m3");
  kept.save();
  assertEquals(known(), true);
  const nowhere = new KeptSelfTests("/proc/nowhere/self-tests.json", "a card");
  nowhere.add("gemm_bf16_mma", "bf16");
  nowhere.save();
});
