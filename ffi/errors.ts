/**
 * What can go wrong in a GPU library, as one line: the call, the library's name of the error, and what to do about it.
 *
 * All of them are {@linkcode FailureError}s: exit code 1.
 */
import { FailureError } from "../src/errors.ts";
import type { Text } from "../src/words.ts";
import type { GpuKind } from "./runtime.ts";

/** A call of a GPU library that returned an error code. */
export abstract class GpuError extends FailureError {
  abstract readonly library: GpuKind;

  /**
   * @param call C function that failed.
   * @param code What it returned.
   * @param codeName The library's name of the code, for instance "hipErrorOutOfMemory".
   * @param detail What was attempted, for instance "12 bytes"; may be empty.
   */
  constructor(
    readonly call: string,
    readonly code: number,
    readonly codeName: string,
    readonly detail: string,
    advice: string,
  ) {
    super(`${call}${detail ? ` (${detail})` : ""}: ${codeName}, code ${code}; ${advice}`);
  }
}

/** An error of libamdhip64. */
export class HipError extends GpuError {
  readonly library = "hip";

  constructor(call: string, code: number, codeName: string, detail: string) {
    super(call, code, codeName, detail, adviceFor(HIP_ADVICE, code));
  }
}

/** An error of libcuda. */
export class CudaError extends GpuError {
  readonly library = "cuda";

  constructor(call: string, code: number, codeName: string, detail: string) {
    super(call, code, codeName, detail, adviceFor(CUDA_ADVICE, code));
  }
}

/** A GPU library that cannot be used at all: not there, not permitted, or without a function that is needed. */
export class GpuLibraryError extends FailureError {
  /** @param why `missing` also covers a library whose own dependencies are missing. */
  constructor(text: Text, readonly why: "missing" | "permission" | "symbol" | "version") {
    super(text);
  }
}

const NO_DEVICE =
  "no usable GPU: check that the driver is loaded and that this user may open the device; `mxoss devices` lists what " +
  "is found";
const MEMORY =
  "not enough GPU memory: a shorter context, smaller chunks, fewer sequences at once or a smaller model need less";
const FAULT =
  "a kernel failed on the device: this is a defect of mxoss or of the GPU; the device can be used again by a new " +
  "process";
const NO_BINARY =
  "the kernels do not fit this GPU or driver: `mxoss devices` says which architectures they were compiled for";
const OLD = "the driver is older than the library: update the driver";
const BUSY = "the device is taken by another process or in a mode that forbids sharing";
const CAPTURE = "recording the decode step failed: this is a defect of mxoss or of the library";
const DEFECT = "this is a defect of mxoss or of the library; please report it with this line";

/** hipError_t. The values follow CUDA's. */
const HIP_ADVICE = new Map<number, string>([
  [2, MEMORY], // hipErrorOutOfMemory
  [3, NO_DEVICE], // hipErrorNotInitialized
  [35, OLD], // hipErrorInsufficientDriver
  [98, NO_BINARY], // hipErrorInvalidDeviceFunction
  [100, NO_DEVICE], // hipErrorNoDevice
  [101, NO_DEVICE], // hipErrorInvalidDevice
  [200, NO_BINARY], // hipErrorInvalidImage
  [209, NO_BINARY], // hipErrorNoBinaryForGpu
  [218, NO_BINARY], // hipErrorInvalidKernelFile
  [500, NO_BINARY], // hipErrorNotFound
  [700, FAULT], // hipErrorIllegalAddress
  [701, FAULT], // hipErrorLaunchOutOfResources
  [702, FAULT], // hipErrorLaunchTimeOut
  [719, FAULT], // hipErrorLaunchFailure
]);

/** CUresult. */
const CUDA_ADVICE = new Map<number, string>([
  [2, MEMORY], // CUDA_ERROR_OUT_OF_MEMORY
  [3, NO_DEVICE], // CUDA_ERROR_NOT_INITIALIZED
  [34, OLD], // CUDA_ERROR_STUB_LIBRARY
  [46, BUSY], // CUDA_ERROR_DEVICE_UNAVAILABLE
  [100, NO_DEVICE], // CUDA_ERROR_NO_DEVICE
  [101, NO_DEVICE], // CUDA_ERROR_INVALID_DEVICE
  [200, NO_BINARY], // CUDA_ERROR_INVALID_IMAGE
  [209, NO_BINARY], // CUDA_ERROR_NO_BINARY_FOR_GPU
  [218, NO_BINARY], // CUDA_ERROR_INVALID_PTX
  [222, OLD], // CUDA_ERROR_UNSUPPORTED_PTX_VERSION
  [500, NO_BINARY], // CUDA_ERROR_NOT_FOUND
  [700, FAULT], // CUDA_ERROR_ILLEGAL_ADDRESS
  [701, FAULT], // CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
  [702, FAULT], // CUDA_ERROR_LAUNCH_TIMEOUT
  [719, FAULT], // CUDA_ERROR_LAUNCH_FAILED
  [802, BUSY], // CUDA_ERROR_SYSTEM_NOT_READY
  [803, OLD], // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
]);

function adviceFor(table: ReadonlyMap<number, string>, code: number): string {
  return table.get(code) ?? (code >= 900 && code <= 910 ? CAPTURE : DEFECT);
}
