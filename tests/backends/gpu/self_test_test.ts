import type { BackendInfo } from "../../../src/model/backend.ts";
import { assertEquals, assertStringIncludes } from "../../assert.ts";
import { buildHipHost } from "../../hip_host/build.ts";
import { HipHost } from "../../hip_host/control.ts";
import { hostKernels, withoutKernelCompiler } from "../../hip_host/kernels.ts";
import type { OperationCase } from "../compare.ts";
import { compareBackends, OPERATION_CASES } from "../operations.ts";
import { openHip } from "../../../ffi/hip.ts";
import { openGpu } from "../../../src/backends/gpu/open.ts";
import { openReference } from "../../../src/backends/reference/open.ts";
import { randomModel, STORAGES, testConfig } from "../random_model.ts";
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

/**
 * Cases that the stand-ins of gfx950's scaled instructions compute. Their FP8 scale multiplies the sum, where
 * `reference` rounds every scaled input to bf16 first; with a power of two that is the same.
 */
const SCALED: readonly OperationCase[] = OPERATION_CASES.flatMap((operation) => {
  const [, input] = /^GEMMs, mxfp4 weights, (.*) input, even widths, bf16/.exec(operation.name) ?? [];
  if (input?.startsWith("mx e2m1")) return [operation];
  if (input !== "fp8_static") return [];
  const config = testConfig({ layers: 1, sliding: [false] }),
    storage = STORAGES.find(({ format }) => format === "mxfp4")!;
  const model = () => randomModel(1, { config, storage, input: { kind: "fp8_static", scale: 2 ** -6 } });
  return [{ ...operation, model }];
});

for (const operation of SCALED) {
  Deno.test({ name: `gpu with scaled matrix kernels: ${operation.name}`, ignore }, async () => {
    using host = new HipHost(buildHipHost());
    host.configure({ arch: "gfx950:sramecc+:xnack-" });
    const kernels = await hostKernels({ arch: "gfx950", matrix: "right" });
    const used: string[] = [];
    await compareBackends(openReference, async (request) => {
      const backend = await openGpu(request, openHip(host.path), { kernels });
      used.push(backend.info.description);
      return backend;
    }, operation);
    assertStringIncludes(used[0]!, "by the scaled MFMA");
  });
}

Deno.test(
  { name: "openGpu() multiplies MXFP8 inputs after QDQ where there are scaled matrix kernels", ignore },
  async () => {
    using host = new HipHost(buildHipHost());
    host.configure({ arch: "gfx950" });
    const kernels = await hostKernels({ arch: "gfx950", matrix: "right" }), used: string[] = [];
    const name = "GEMMs, mxfp4 weights, mx e4m3fn rceil input, even widths, bf16";
    await compareBackends(openReference, async (request) => {
      const backend = await openGpu(request, openHip(host.path), { kernels });
      used.push(backend.info.description);
      return backend;
    }, OPERATION_CASES.find((operation) => operation.name === name)!);
    assertStringIncludes(used[0]!, "experts: mxfp4 weights, mx e4m3fn inputs through QDQ; attention");
  },
);

Deno.test({ name: "openGpu() does not use scaled matrix kernels that disagree", ignore }, async () => {
  using host = new HipHost(buildHipHost());
  host.configure({ arch: "gfx950" });
  using model = SCALED[0]!.model();
  const kernels = await hostKernels({ arch: "gfx950", matrix: "wrong" });
  const engine = await openEngine(host.path, model, { kernels }, { dtype: "bf16", kvFormat: "bf16" });
  assertStringIncludes(engine.info.description, "not used, because they disagree");
  assertStringIncludes(engine.info.description, "expert_gemm_mxfp4_e2m1_mma");
  await engine.close();
});
