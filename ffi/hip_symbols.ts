/** The functions of libamdhip64 that are called, and nothing else. */
import { type SharedNames, sharedSymbols } from "./symbols.ts";

/** Names of the functions that CUDA has as well. */
export const HIP_NAMES: SharedNames = {
  init: "hipInit",
  version: "hipRuntimeGetVersion",
  deviceCount: "hipGetDeviceCount",
  deviceName: "hipDeviceGetName",
  totalMemory: "hipDeviceTotalMem",
  attribute: "hipDeviceGetAttribute",
  synchronize: "hipDeviceSynchronize",
  memory: "hipMemGetInfo",
  allocate: "hipMalloc",
  free: "hipFree",
  allocateHost: "hipHostMalloc",
  freeHost: "hipHostFree",
  createStream: "hipStreamCreateWithFlags",
  destroyStream: "hipStreamDestroy",
  synchronizeStream: "hipStreamSynchronize",
  waitEvent: "hipStreamWaitEvent",
  createEvent: "hipEventCreateWithFlags",
  destroyEvent: "hipEventDestroy",
  recordEvent: "hipEventRecord",
  synchronizeEvent: "hipEventSynchronize",
  queryEvent: "hipEventQuery",
  elapsedTime: "hipEventElapsedTime",
  unloadModule: "hipModuleUnload",
  function: "hipModuleGetFunction",
  launch: "hipModuleLaunchKernel",
  beginCapture: "hipStreamBeginCapture",
  endCapture: "hipStreamEndCapture",
  launchGraph: "hipGraphLaunch",
  destroyGraph: "hipGraphDestroy",
  destroyExecutable: "hipGraphExecDestroy",
};

/**
 * All functions that are called. `hipError_t` and `hipDevice_t` are ints; handles (`hipStream_t`, `hipModule_t`,
 * `hipGraph_t`, `hipGraphExec_t`) and device pointers are 64-bit numbers.
 */
export const HIP_SYMBOLS = {
  ...sharedSymbols(HIP_NAMES),
  hipGetErrorName: { parameters: [/* hipError_t */ "i32"], result: /* const char * */ "pointer" },
  hipSetDevice: { parameters: [/* int device */ "i32"], result: "i32" },
  // ROCm 6 and later; the older name remains for the older layout.
  hipGetDevicePropertiesR0600: {
    parameters: [/* hipDeviceProp_tR0600 * */ "buffer", /* int device */ "i32"],
    result: "i32",
    optional: true,
  },
  hipGetDeviceProperties: {
    parameters: [/* hipDeviceProp_t * */ "buffer", /* int device */ "i32"],
    result: "i32",
    optional: true,
  },
  hipMemcpyAsync: {
    parameters: [
      /* void *target */ "u64",
      /* const void *source */ "u64",
      /* size_t bytes */ "u64",
      /* hipMemcpyKind */ "i32",
      /* hipStream_t */ "u64",
    ],
    result: "i32",
  },
  hipMemsetAsync: {
    parameters: [/* void *target */ "u64", /* int value */ "i32", /* size_t bytes */ "u64", /* hipStream_t */ "u64"],
    result: "i32",
  },
  hipModuleLoadData: { parameters: [/* hipModule_t * */ "buffer", /* const void *image */ "buffer"], result: "i32" },
  hipGraphInstantiate: {
    parameters: [
      /* hipGraphExec_t * */ "buffer",
      /* hipGraph_t */ "u64",
      /* hipGraphNode_t *errorNode */ "u64",
      /* char *log */ "u64",
      /* size_t logBytes */ "u64",
    ],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
