/** The self-tests of matrix kernels, for every format. */
import { Calls } from "../backends/gpu/calls.ts";
import type { KernelSet } from "../backends/gpu/kernels.ts";
import { allMatrixKernels } from "../backends/gpu/self_test.ts";
import { reason } from "../errors.ts";
import type { MatrixResult } from "./results.ts";

/** Runs them; a failing launch ends them, and is told as the last result. */
export function* matrixTests(kernels: KernelSet): Generator<MatrixResult> {
  using stream = kernels.device.createStream();
  try {
    for (const { entry, variant, nmse, limit, agrees } of allMatrixKernels(new Calls(stream, kernels))) {
      const error = Number.isFinite(nmse) ? nmse : null;
      yield { kernel: entry, format: variant, error, limit, agrees, problem: null };
    }
  } catch (thrown) {
    const nothing = { error: null, limit: 0, agrees: false };
    yield { kernel: "matrix kernels", format: "any", ...nothing, problem: reason(thrown) };
  }
}
