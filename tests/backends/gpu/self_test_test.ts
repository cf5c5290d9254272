import type { BackendInfo } from "../../../src/backends/backend.ts";
import { assertEquals, assertStringIncludes } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import { compareBackends, OPERATION_CASES } from "../operations.ts";
import { openHip } from "../../../ffi/hip.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import { openReference } from "../../../src/backends/reference/open.ts";
import { randomModel, testConfig } from "../random_model.ts";
import { openEngine } from "./opened.ts";

const ignore = await withoutKernelCompiler();

async function infoWith(
  matrix: "right" | "wrong" | undefined,
  dtype: "f32" | "bf16",
  options = {},
): Promise<BackendInfo> {
  using host = new HipHost(buildHipHost());
  using model = randomModel(1, { config: testConfig({ layers: 1, sliding: [false] }) });
  const kernels = await hostKernels(matrix ? { matrix } : {});
  const engine = await openEngine(host.path, model, { kernels, ...options }, { dtype, kvFormat: dtype });
  await engine.close();
  assertEquals(host.leaks(), "");
  return engine.info;
}

Deno.test(
  { name: "openGpu() uses matrix kernels that agree with the generic ones on this device", ignore },
  async () => {
    assertStringIncludes((await infoWith("right", "bf16")).description, "bf16 products by MFMA");
    assertStringIncludes((await infoWith(undefined, "bf16")).description, "float32 products");
  },
);

Deno.test({ name: "openGpu() does not use matrix kernels that disagree, and says so", ignore }, async () => {
  const { description } = await infoWith("wrong", "bf16");
  assertStringIncludes(
    description,
    "float32 products; not used, because they disagree with the generic kernels here: gemm_bf16_mma",
  );
});

Deno.test({ name: "openGpu() leaves matrix kernels alone in float32, and when told to", ignore }, async () => {
  assertEquals((await infoWith("wrong", "f32")).description.includes("gemm_bf16_mma"), false);
  assertEquals((await infoWith("wrong", "bf16", { matrix: false })).description.includes("gemm_bf16_mma"), false);
});

for (const operation of OPERATION_CASES) {
  // Whatever the stand-in multiplies: bf16 weights, many tokens.
  if (!/^GEMMs, bf16 weights, .* input, even widths, bf16/.test(operation.name)) continue;
  Deno.test({ name: `gpu with matrix kernels: ${operation.name}`, ignore }, async () => {
    using host = new HipHost(buildHipHost());
    const kernels = await hostKernels({ matrix: "right" });
    await compareBackends(openReference, (request) => openGpu(request, openHip(host.path), { kernels }), operation);
  });
}
