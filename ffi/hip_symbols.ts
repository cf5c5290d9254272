/** The functions of libamdhip64 that are called, and nothing else. */

/**
 * Every function that is called, with its C parameters. `hipError_t` is an int, `hipDevice_t` an int. Handles
 * (`hipStream_t`, `hipEvent_t`, `hipModule_t`, `hipFunction_t`, `hipGraph_t`, `hipGraphExec_t`) and device pointers are
 * 64-bit numbers.
 */
export const HIP_SYMBOLS = {
  hipInit: { parameters: [/* unsigned flags */ "u32"], result: "i32" },
  hipRuntimeGetVersion: { parameters: [/* int *version */ "buffer"], result: "i32" },
  hipGetErrorName: { parameters: [/* hipError_t */ "i32"], result: /* const char * */ "pointer" },
  hipGetDeviceCount: { parameters: [/* int *count */ "buffer"], result: "i32" },
  hipSetDevice: { parameters: [/* int device */ "i32"], result: "i32" },
  hipDeviceSynchronize: { parameters: [], result: "i32" },
  hipDeviceGetName: {
    parameters: [/* char *name */ "buffer", /* int length */ "i32", /* hipDevice_t */ "i32"],
    result: "i32",
  },
  hipDeviceTotalMem: { parameters: [/* size_t *bytes */ "buffer", /* hipDevice_t */ "i32"], result: "i32" },
  hipDeviceGetAttribute: {
    parameters: [/* int *value */ "buffer", /* hipDeviceAttribute_t */ "i32", /* int device */ "i32"],
    result: "i32",
  },
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
  hipMemGetInfo: { parameters: [/* size_t *free */ "buffer", /* size_t *total */ "buffer"], result: "i32" },
  hipMalloc: { parameters: [/* void **address */ "buffer", /* size_t bytes */ "u64"], result: "i32" },
  hipFree: { parameters: [/* void *address */ "u64"], result: "i32" },
  hipHostMalloc: {
    parameters: [/* void **address */ "buffer", /* size_t bytes */ "u64", /* unsigned flags */ "u32"],
    result: "i32",
  },
  hipHostFree: { parameters: [/* void *address */ "u64"], result: "i32" },
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
    parameters: [
      /* void *target */ "u64",
      /* int value */ "i32",
      /* size_t bytes */ "u64",
      /* hipStream_t */ "u64",
    ],
    result: "i32",
  },
  hipStreamCreateWithFlags: { parameters: [/* hipStream_t * */ "buffer", /* unsigned flags */ "u32"], result: "i32" },
  hipStreamDestroy: { parameters: [/* hipStream_t */ "u64"], result: "i32" },
  hipStreamSynchronize: { parameters: [/* hipStream_t */ "u64"], result: "i32" },
  hipStreamWaitEvent: {
    parameters: [/* hipStream_t */ "u64", /* hipEvent_t */ "u64", /* unsigned flags */ "u32"],
    result: "i32",
  },
  hipEventCreateWithFlags: { parameters: [/* hipEvent_t * */ "buffer", /* unsigned flags */ "u32"], result: "i32" },
  hipEventDestroy: { parameters: [/* hipEvent_t */ "u64"], result: "i32" },
  hipEventRecord: { parameters: [/* hipEvent_t */ "u64", /* hipStream_t */ "u64"], result: "i32" },
  hipEventSynchronize: { parameters: [/* hipEvent_t */ "u64"], result: "i32" },
  hipEventQuery: { parameters: [/* hipEvent_t */ "u64"], result: "i32" },
  hipEventElapsedTime: {
    parameters: [/* float *milliseconds */ "buffer", /* hipEvent_t start */ "u64", /* hipEvent_t stop */ "u64"],
    result: "i32",
  },
  hipModuleLoadData: { parameters: [/* hipModule_t * */ "buffer", /* const void *image */ "buffer"], result: "i32" },
  hipModuleUnload: { parameters: [/* hipModule_t */ "u64"], result: "i32" },
  hipModuleGetFunction: {
    parameters: [/* hipFunction_t * */ "buffer", /* hipModule_t */ "u64", /* const char *name */ "buffer"],
    result: "i32",
  },
  hipModuleLaunchKernel: {
    parameters: [
      /* hipFunction_t */ "u64",
      /* unsigned gridDimX, gridDimY, gridDimZ (blocks) */ "u32",
      "u32",
      "u32",
      /* unsigned blockDimX, blockDimY, blockDimZ (threads) */ "u32",
      "u32",
      "u32",
      /* unsigned sharedMemBytes */ "u32",
      /* hipStream_t */ "u64",
      /* void **kernelParams */ "buffer",
      /* void **extra */ "u64",
    ],
    result: "i32",
  },
  hipStreamBeginCapture: { parameters: [/* hipStream_t */ "u64", /* hipStreamCaptureMode */ "i32"], result: "i32" },
  hipStreamEndCapture: { parameters: [/* hipStream_t */ "u64", /* hipGraph_t * */ "buffer"], result: "i32" },
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
  hipGraphLaunch: { parameters: [/* hipGraphExec_t */ "u64", /* hipStream_t */ "u64"], result: "i32" },
  hipGraphDestroy: { parameters: [/* hipGraph_t */ "u64"], result: "i32" },
  hipGraphExecDestroy: { parameters: [/* hipGraphExec_t */ "u64"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
