/** The functions of libcuda that are called, and nothing else. */
import { type SharedNames, sharedSymbols } from "./symbols.ts";

/** Names of the functions that HIP has as well. */
export const CUDA_NAMES: SharedNames = {
  init: "cuInit",
  version: "cuDriverGetVersion",
  deviceCount: "cuDeviceGetCount",
  deviceName: "cuDeviceGetName",
  totalMemory: "cuDeviceTotalMem_v2",
  attribute: "cuDeviceGetAttribute",
  synchronize: "cuCtxSynchronize",
  memory: "cuMemGetInfo_v2",
  allocate: "cuMemAlloc_v2",
  free: "cuMemFree_v2",
  allocateHost: "cuMemHostAlloc",
  freeHost: "cuMemFreeHost",
  createStream: "cuStreamCreate",
  destroyStream: "cuStreamDestroy_v2",
  synchronizeStream: "cuStreamSynchronize",
  waitEvent: "cuStreamWaitEvent",
  createEvent: "cuEventCreate",
  destroyEvent: "cuEventDestroy_v2",
  recordEvent: "cuEventRecord",
  synchronizeEvent: "cuEventSynchronize",
  queryEvent: "cuEventQuery",
  elapsedTime: "cuEventElapsedTime",
  unloadModule: "cuModuleUnload",
  function: "cuModuleGetFunction",
  launch: "cuLaunchKernel",
  beginCapture: "cuStreamBeginCapture_v2",
  endCapture: "cuStreamEndCapture",
  launchGraph: "cuGraphLaunch",
  destroyGraph: "cuGraphDestroy",
  destroyExecutable: "cuGraphExecDestroy",
};

/** An asynchronous copy; the addresses are of host or device. */
const COPY = {
  parameters: [
    /* void *target or CUdeviceptr target */ "u64",
    /* const void *source or CUdeviceptr source */ "u64",
    /* size_t bytes */ "u64",
    /* CUstream */ "u64",
  ],
  result: "i32",
} as const;

/** CUipcMemHandle, which is passed by value: 64 bytes. */
const IPC_MEM_HANDLE = { struct: ["u64", "u64", "u64", "u64", "u64", "u64", "u64", "u64"] } as const;

/**
 * All functions that are called. `CUresult` and `CUdevice` are ints; handles (`CUcontext`, `CUstream`, `CUmodule`,
 * `CUfunction`, `CUgraph`, `CUgraphExec`) and `CUdeviceptr` are 64-bit numbers.
 */
export const CUDA_SYMBOLS = {
  ...sharedSymbols(CUDA_NAMES),
  cuGetErrorName: { parameters: [/* CUresult */ "i32", /* const char **name */ "buffer"], result: "i32" },
  cuDeviceGet: { parameters: [/* CUdevice * */ "buffer", /* int ordinal */ "i32"], result: "i32" },
  cuDevicePrimaryCtxRetain: { parameters: [/* CUcontext * */ "buffer", /* CUdevice */ "i32"], result: "i32" },
  cuDevicePrimaryCtxRelease_v2: { parameters: [/* CUdevice */ "i32"], result: "i32" },
  cuCtxSetCurrent: { parameters: [/* CUcontext */ "u64"], result: "i32" },
  cuMemcpyHtoDAsync_v2: COPY,
  cuMemcpyDtoHAsync_v2: COPY,
  cuMemcpyDtoDAsync_v2: COPY,
  cuMemsetD8Async: {
    parameters: [
      /* CUdeviceptr target */ "u64",
      /* unsigned char value */ "u8",
      /* size_t count */ "u64",
      /* CUstream */ "u64",
    ],
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
  cuFuncSetAttribute: {
    parameters: [/* CUfunction */ "u64", /* CUfunction_attribute */ "i32", /* int value */ "i32"],
    result: "i32",
  },
  cuDeviceCanAccessPeer: {
    parameters: [/* int *can */ "buffer", /* CUdevice */ "i32", /* CUdevice of the memory */ "i32"],
    result: "i32",
  },
  cuDeviceGetP2PAttribute: {
    parameters: [
      /* int *value */ "buffer",
      /* CUdevice_P2PAttribute */ "u32",
      /* CUdevice */ "i32",
      /* CUdevice of the memory */ "i32",
    ],
    result: "i32",
  },
  cuDeviceGetUuid_v2: { parameters: [/* CUuuid * */ "buffer", /* CUdevice */ "i32"], result: "i32" },
  cuIpcGetMemHandle: { parameters: [/* CUipcMemHandle * */ "buffer", /* CUdeviceptr */ "u64"], result: "i32" },
  cuIpcOpenMemHandle_v2: {
    parameters: [/* CUdeviceptr * */ "buffer", IPC_MEM_HANDLE, /* unsigned flags */ "u32"],
    result: "i32",
  },
  cuIpcCloseMemHandle: { parameters: [/* CUdeviceptr */ "u64"], result: "i32" },
  cuCtxEnablePeerAccess: {
    parameters: [/* CUcontext of the memory */ "u64", /* unsigned flags */ "u32"],
    result: "i32",
  },
  // Since CUDA 11.8. The committed PTX is of CUDA 12: a driver without this function refuses it.
  cuLaunchKernelEx: {
    parameters: [
      /* const CUlaunchConfig * */ "buffer",
      /* CUfunction */ "u64",
      /* void **kernelParams */ "buffer",
      /* void **extra */ "u64",
    ],
    result: "i32",
    optional: true,
  },
  cuGraphInstantiateWithFlags: {
    parameters: [/* CUgraphExec * */ "buffer", /* CUgraph */ "u64", /* unsigned long long flags */ "u64"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;
