/** The functions of libcuda that are called, and nothing else. */

/**
 * Every function that is called, with its C parameters. `CUresult` and `CUdevice` are ints. Handles (`CUcontext`,
 * `CUstream`, `CUevent`, `CUmodule`, `CUfunction`, `CUgraph`, `CUgraphExec`) and `CUdeviceptr` are 64-bit numbers.
 */
export const CUDA_SYMBOLS = {
  cuInit: { parameters: [/* unsigned flags */ "u32"], result: "i32" },
  cuDriverGetVersion: { parameters: [/* int *version */ "buffer"], result: "i32" },
  cuGetErrorName: { parameters: [/* CUresult */ "i32", /* const char **name */ "buffer"], result: "i32" },
  cuDeviceGetCount: { parameters: [/* int *count */ "buffer"], result: "i32" },
  cuDeviceGet: { parameters: [/* CUdevice * */ "buffer", /* int ordinal */ "i32"], result: "i32" },
  cuDeviceGetName: {
    parameters: [/* char *name */ "buffer", /* int length */ "i32", /* CUdevice */ "i32"],
    result: "i32",
  },
  cuDeviceTotalMem_v2: { parameters: [/* size_t *bytes */ "buffer", /* CUdevice */ "i32"], result: "i32" },
  cuDeviceGetAttribute: {
    parameters: [/* int *value */ "buffer", /* CUdevice_attribute */ "i32", /* CUdevice */ "i32"],
    result: "i32",
  },
  cuDevicePrimaryCtxRetain: { parameters: [/* CUcontext * */ "buffer", /* CUdevice */ "i32"], result: "i32" },
  cuDevicePrimaryCtxRelease_v2: { parameters: [/* CUdevice */ "i32"], result: "i32" },
  cuCtxSetCurrent: { parameters: [/* CUcontext */ "u64"], result: "i32" },
  cuCtxSynchronize: { parameters: [], result: "i32" },
  cuMemGetInfo_v2: { parameters: [/* size_t *free */ "buffer", /* size_t *total */ "buffer"], result: "i32" },
  cuMemAlloc_v2: { parameters: [/* CUdeviceptr * */ "buffer", /* size_t bytes */ "u64"], result: "i32" },
  cuMemFree_v2: { parameters: [/* CUdeviceptr */ "u64"], result: "i32" },
  cuMemHostAlloc: {
    parameters: [/* void **address */ "buffer", /* size_t bytes */ "u64", /* unsigned flags */ "u32"],
    result: "i32",
  },
  cuMemFreeHost: { parameters: [/* void *address */ "u64"], result: "i32" },
  cuMemcpyHtoDAsync_v2: {
    parameters: [
      /* CUdeviceptr target */ "u64",
      /* const void *source */ "u64",
      /* size_t bytes */ "u64",
      /* CUstream */ "u64",
    ],
    result: "i32",
  },
  cuMemcpyDtoHAsync_v2: {
    parameters: [
      /* void *target */ "u64",
      /* CUdeviceptr source */ "u64",
      /* size_t bytes */ "u64",
      /* CUstream */ "u64",
    ],
    result: "i32",
  },
  cuMemcpyDtoDAsync_v2: {
    parameters: [
      /* CUdeviceptr target */ "u64",
      /* CUdeviceptr source */ "u64",
      /* size_t bytes */ "u64",
      /* CUstream */ "u64",
    ],
    result: "i32",
  },
  cuMemsetD8Async: {
    parameters: [
      /* CUdeviceptr target */ "u64",
      /* unsigned char value */ "u8",
      /* size_t count */ "u64",
      /* CUstream */ "u64",
    ],
    result: "i32",
  },
  cuStreamCreate: { parameters: [/* CUstream * */ "buffer", /* unsigned flags */ "u32"], result: "i32" },
  cuStreamDestroy_v2: { parameters: [/* CUstream */ "u64"], result: "i32" },
  cuStreamSynchronize: { parameters: [/* CUstream */ "u64"], result: "i32" },
  cuStreamWaitEvent: {
    parameters: [/* CUstream */ "u64", /* CUevent */ "u64", /* unsigned flags */ "u32"],
    result: "i32",
  },
  cuEventCreate: { parameters: [/* CUevent * */ "buffer", /* unsigned flags */ "u32"], result: "i32" },
  cuEventDestroy_v2: { parameters: [/* CUevent */ "u64"], result: "i32" },
  cuEventRecord: { parameters: [/* CUevent */ "u64", /* CUstream */ "u64"], result: "i32" },
  cuEventSynchronize: { parameters: [/* CUevent */ "u64"], result: "i32" },
  cuEventQuery: { parameters: [/* CUevent */ "u64"], result: "i32" },
  cuEventElapsedTime: {
    parameters: [/* float *milliseconds */ "buffer", /* CUevent start */ "u64", /* CUevent end */ "u64"],
    result: "i32",
  },
  cuModuleLoadDataEx: {
    parameters: [
      /* CUmodule * */ "buffer",
      /* const void *image */ "buffer",
      /* unsigned numOptions */ "u32",
      /* CUjit_option *options */ "buffer",
      /* void **optionValues */ "buffer",
    ],
    result: "i32",
  },
  cuModuleUnload: { parameters: [/* CUmodule */ "u64"], result: "i32" },
  cuModuleGetFunction: {
    parameters: [/* CUfunction * */ "buffer", /* CUmodule */ "u64", /* const char *name */ "buffer"],
    result: "i32",
  },
  cuFuncSetAttribute: {
    parameters: [/* CUfunction */ "u64", /* CUfunction_attribute */ "i32", /* int value */ "i32"],
    result: "i32",
  },
  cuLaunchKernel: {
    parameters: [
      /* CUfunction */ "u64",
      /* unsigned gridDimX, gridDimY, gridDimZ (blocks) */ "u32",
      "u32",
      "u32",
      /* unsigned blockDimX, blockDimY, blockDimZ (threads) */ "u32",
      "u32",
      "u32",
      /* unsigned sharedMemBytes */ "u32",
      /* CUstream */ "u64",
      /* void **kernelParams */ "buffer",
      /* void **extra */ "u64",
    ],
    result: "i32",
  },
  cuStreamBeginCapture_v2: { parameters: [/* CUstream */ "u64", /* CUstreamCaptureMode */ "i32"], result: "i32" },
  cuStreamEndCapture: { parameters: [/* CUstream */ "u64", /* CUgraph * */ "buffer"], result: "i32" },
  cuGraphInstantiateWithFlags: {
    parameters: [/* CUgraphExec * */ "buffer", /* CUgraph */ "u64", /* unsigned long long flags */ "u64"],
    result: "i32",
  },
  cuGraphLaunch: { parameters: [/* CUgraphExec */ "u64", /* CUstream */ "u64"], result: "i32" },
  cuGraphDestroy: { parameters: [/* CUgraph */ "u64"], result: "i32" },
  cuGraphExecDestroy: { parameters: [/* CUgraphExec */ "u64"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;
