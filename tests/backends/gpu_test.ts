/**
 * The GPU backend, on the test library that runs the kernels on the CPU, against `reference` on the whole operation
 * list.
 */
import { openHip } from "../../ffi/hip.ts";
import { openGpu } from "../../src/backends/gpu/open.ts";
import { openReference } from "../../src/backends/reference/open.ts";
import { buildHipHost } from "../hip_host/build.ts";
import { hostKernels, withoutKernelCompiler } from "../hip_host/kernels.ts";
import { SOAK } from "../soak.ts";
import { OPERATION_CASES, testBackends } from "./operations.ts";

if (!await withoutKernelCompiler()) {
  const library = buildHipHost(), kernels = await hostKernels();
  testBackends(
    "gpu",
    openReference,
    (request) => openGpu(request, openHip(library), { kernels }),
    // A fifth, outside a soak: dtypes and widths alternate by two and by three.
    OPERATION_CASES.filter((_, i) => SOAK || i % 5 === 0),
  );
}
