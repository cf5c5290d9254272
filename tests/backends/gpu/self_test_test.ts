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
    assertEquals(
      (await infoWith("right", "bf16")).description,
      "HIP 6.2.41134, device 0 mxoss test device (gfx942); bf16 products by MFMA for many tokens; " +
        "experts: bf16 weights; attention: bf16 weights",
    );
  },
);

Deno.test({ name: "openGpu() does not use matrix kernels that disagree, and says so", ignore }, async () => {
  assertStringIncludes(
    (await infoWith("wrong", "bf16")).description,
    "; float32 products; not used, because they disagree with the generic kernels on this device: gemm_bf16_mma; ",
  );
});

Deno.test({ name: "openGpu() says why it uses no matrix kernels", ignore }, async () => {
  const reasons = [
    [undefined, "bf16", {}, "float32 products, as no matrix kernels are compiled for gfx942"],
    ["wrong", "f32", {}, "float32 products, as the dtype is f32"],
    ["right", "bf16", { matrix: false }, "float32 products, as matrix instructions are switched off"],
    ["right", "bf16", { invariant: true }, "float32 products, as every batch is to be computed alike"],
  ] as const;
  for (const [matrix, dtype, options, reason] of reasons) {
    assertStringIncludes((await infoWith(matrix, dtype, options)).description, `; ${reason}; `);
  }
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
