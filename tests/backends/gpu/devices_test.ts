import { SCHEMES } from "../../../src/plan/scheme.ts";
import { capabilityOf, choices } from "../../../src/backends/gpu/capabilities.ts";
import { findGpus, formatReports } from "../../../src/backends/gpu/devices.ts";
import { codeObjectFor, committedKernels, type KernelFiles } from "../../../src/backends/gpu/kernels.ts";
import { assert, assertEquals, assertStringIncludes } from "../../assert.ts";
import { buildHipHost, withoutCompiler } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";

const ignore = withoutCompiler();
const all = { matrix: true, scaled: () => true };

Deno.test("choices() runs MX schemes natively on gfx950 only, and only those that its instructions take", () => {
  for (const arch of ["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201", "sm_90", "sm_120"]) {
    const native = choices(arch, all).filter((choice) => choice.native).map(({ scheme }) => scheme);
    assertEquals(
      native,
      [
        ...(arch === "gfx950" ? ["w_mxfp4_a_mxfp4", "w_mxfp4_a_fp8"] : []),
        ...(capabilityOf(arch).bf16 ? ["bf16"] : []),
      ],
      arch,
    );
  }
});

Deno.test("choices() does not count what no compiled kernel uses", () => {
  const plain = choices("gfx950", { matrix: false, scaled: () => false });
  assertEquals(plain.filter(({ native }) => native), []);
  assertEquals(plain.length, SCHEMES.length);
  assertEquals(plain[0], {
    scheme: "w_mxfp4",
    native: false,
    how: "weights dequantized on the fly, float32 products",
  });
  const without = choices("gfx950", { matrix: true, scaled: ({ input }) => input === "mx" });
  assertEquals(without.filter(({ native }) => native).map(({ scheme }) => scheme), ["w_mxfp4_a_mxfp4", "bf16"]);
});

Deno.test("committedKernels() holds kernels for every architecture that is promised", () => {
  const kernels = committedKernels();
  for (const arch of ["gfx90a", "gfx942", "gfx950", "gfx1100", "gfx1201", "sm_90"]) {
    const { entries, files } = kernels.architecture(arch)!;
    assert(entries["linear_mxfp4"] !== undefined && entries["attention_split"] !== undefined, arch);
    for (const { file } of Object.values(entries)) assert(files[file] !== undefined, `${arch}: ${file}`);
  }
});

Deno.test("codeObjectFor() wants AMD's own architecture, and takes older PTX for NVIDIA", () => {
  const files = (...architectures: string[]): KernelFiles => ({
    architectures,
    architecture: (arch) => architectures.includes(arch) ? { files: {}, entries: {} } : undefined,
    read: () => new Uint8Array(),
  });
  assertEquals(codeObjectFor(files("gfx942", "sm_90"), "gfx942"), "gfx942");
  assertEquals(codeObjectFor(files("gfx942", "sm_90"), "gfx941"), null);
  assertEquals(codeObjectFor(files("sm_75", "sm_90", "sm_100"), "sm_120"), "sm_100");
  assertEquals(codeObjectFor(files("sm_75", "sm_90"), "sm_89"), "sm_75");
  assertEquals(codeObjectFor(files("sm_90"), "sm_80"), null);
});

Deno.test({ name: "findGpus() reports devices, memory and how schemes run", ignore }, () => {
  using host = new HipHost(buildHipHost());
  host.configure({ arch: "gfx942:sramecc+:xnack-", devices: 2, memory: 192e9 });
  const [hip, cuda] = findGpus({ hipLibrary: host.path });
  assertEquals([hip!.backend, hip!.problem, hip!.devices.length], ["hip", null, 2]);
  assertEquals([cuda!.backend, cuda!.devices.length], ["cuda", 0]);
  const [first] = hip!.devices;
  assertEquals([first!.codeObject, first!.freeBytes], ["gfx942", 192e9]);
  const lines = formatReports([hip!]);
  assertEquals(lines[0], `hip: 2 devices, ${host.path}, version 6.2.41134`);
  assertEquals(
    lines[1],
    "  0: mxoss test device, gfx942:sramecc+:xnack-, 4 processors, 192 GB, 192 GB free",
  );
  assertStringIncludes(lines.join("\n"), "w_mxfp4_a_fp8");
  assertEquals(host.leaks(), "");
});

Deno.test({ name: "findGpus() says why a library is of no use", ignore }, () => {
  using host = new HipHost(buildHipHost());
  host.configure({ devices: 0 });
  const [title, problem] = formatReports(findGpus({ hipLibrary: host.path }));
  assertEquals(title, "hip: cannot be used");
  assertStringIncludes(problem!, "hipInit: hipErrorInvalidDevice");
  host.configure({ arch: "gfx803" });
  assertStringIncludes(
    formatReports(findGpus({ hipLibrary: host.path })).join("\n"),
    "no kernels for gfx803: there are for gfx90a, gfx942, gfx950, gfx1100, gfx1201\n",
  );
  host.configure({});
  // The second question is that of the report; the first comes when the library is opened.
  host.fail("hipDeviceGetName", 1, 999);
  assertStringIncludes(
    formatReports(findGpus({ hipLibrary: host.path }))[1]!,
    "hipDeviceGetName: hipErrorUnknown, code 999",
  );
  assertStringIncludes(formatReports(findGpus({ hipLibrary: "/nowhere.so" }))[1]!, "not found as /nowhere.so");
});
