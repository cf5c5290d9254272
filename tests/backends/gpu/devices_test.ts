import { SCHEMES } from "../../../src/plan/scheme.ts";
import { capabilityOf, choices } from "../../../src/backends/gpu/capabilities.ts";
import { findGpus, formatReports } from "../../../src/backends/gpu/devices.ts";
import { type Code, codeBeside, codeFor, codeText } from "../../../src/backends/gpu/code.ts";
import { openHip } from "../../../ffi/hip.ts";
import { committedKernels, KernelSet } from "../../../src/backends/gpu/kernels.ts";
import { assert, assertEquals, assertStringIncludes } from "../../assert.ts";
import { buildHipHost, withoutCompiler } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";

const ignore = withoutCompiler();
const all = { matrix: true, scaled: () => true };

Deno.test("choices() runs MX schemes natively on gfx950 only, and only those that its instructions take", () => {
  for (const arch of ["gfx90a", "gfx942", "gfx950", "gfx1030", "gfx1100", "gfx1201", "sm_80", "sm_90", "sm_120"]) {
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
  const names = SCHEMES.map(({ name }) => name).filter((name) => name !== "w_mxfp4_a_q8_0");
  assertEquals(plain.map(({ scheme }) => scheme), names);
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
  for (const arch of ["gfx90a", "gfx942", "gfx950", "gfx1030", "gfx1100", "gfx1151", "gfx1201", "sm_90"]) {
    const { entries, files } = kernels.architecture(arch)!;
    assert(entries["linear_mxfp4"] !== undefined && entries["attention_split"] !== undefined, arch);
    for (const { file } of Object.values(entries)) assert(files[file] !== undefined, `${arch}: ${file}`);
  }
});

Deno.test("codeFor() wants AMD's own architecture or its twin, and takes PTX for every NVIDIA GPU from sm_80", () => {
  const among = (...architectures: string[]) => (arch: string) => {
    const files = { architectures, architecture: (one: string) => architectures.includes(one) ? {} : undefined };
    const code = codeFor(files, arch);
    return code === null ? null : `${code.kind} ${code.arch}`;
  };
  const committed = among("gfx942", "gfx1201", "sm_90");
  const expected = {
    ...{ gfx942: "own gfx942", gfx941: null, gfx1201: "own gfx1201", gfx1200: "twin gfx1201", gfx1102: null },
    ...{ sm_90: "own sm_90", sm_100: "later sm_90", sm_120: "later sm_90" },
    ...{ sm_80: "generic sm_90", sm_86: "generic sm_90", sm_89: "generic sm_90", sm_75: null },
  };
  for (const [arch, code] of Object.entries(expected)) assertEquals(committed(arch), code, arch);
  const beside = (arch: string, ...architectures: string[]) => {
    const files = { architectures, architecture: (one: string) => architectures.includes(one) ? {} : undefined };
    return codeBeside(files, codeFor(files, arch)!);
  };
  // What has the letter runs on that one alone.
  assertEquals(beside("sm_90", "sm_90", "sm_90a"), "sm_90a");
  for (const arch of ["sm_80", "sm_100"]) assertEquals(beside(arch, "sm_90", "sm_90a"), null, arch);
  assertEquals([beside("sm_90", "sm_90"), beside("gfx942", "gfx942", "gfx942a")], [null, null]);
  assertEquals(among("gfx942")("sm_80"), null);
  assertEquals(among("gfx942")("gfx1200"), null);
  assertEquals(among("sm_75", "sm_90", "sm_100")("sm_120"), "later sm_100");
  assertEquals(among("sm_75", "sm_90")("sm_89"), "later sm_75");
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

Deno.test({ name: "findGpus() says how code of another architecture comes to run on a device", ignore }, () => {
  using host = new HipHost(buildHipHost());
  host.configure({ arch: "gfx1200" });
  const [hip] = findGpus({ hipLibrary: host.path }), lines = formatReports([hip!]).join("\n");
  assertEquals(hip!.devices[0]!.code, { arch: "gfx1201", kind: "twin" });
  assertStringIncludes(lines, "kernels: gfx1201's, whose instructions gfx1200 has (RDNA 4)");
  assertStringIncludes(lines, "native: bf16 WMMA: bf16");
  const text = (code: Code, own: string) => codeText(code, own);
  assertEquals(
    text({ arch: "sm_90", kind: "generic" }, "sm_89"),
    "generic PTX (sm_80), compiled by the driver for sm_89",
  );
  assertEquals(text({ arch: "sm_90", kind: "later" }, "sm_120"), "PTX of sm_90, compiled by the driver for sm_120");
});

Deno.test({ name: "KernelSet leaves out kernels that need more shared memory than the device has", ignore }, () => {
  using host = new HipHost(buildHipHost());
  using runtime = openHip(host.path);
  const device = runtime.open(0), { sharedBytesPerBlock: most } = device.properties;
  const traits = { threads: 1, rowsPerBlock: 0, tokensPerBlock: 1, ldsPerColumn: 0, file: "x" };
  const entries = { fits: { ...traits, ldsFixed: most }, large: { ...traits, ldsFixed: most + 1 } };
  const files = {
    architectures: ["gfx942"],
    architecture: () => ({ files: {}, entries }),
    read: () => new Uint8Array(),
  };
  using kernels = new KernelSet(device, files);
  assertEquals([kernels.has("fits"), kernels.has("large"), kernels.has("none")], [true, false, false]);
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
    "no kernels for gfx803: there are for gfx90a, gfx942, gfx950, gfx1030, gfx1100, gfx1151, gfx1201\n",
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
