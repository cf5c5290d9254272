// libcuda for tests: the functions of ffi/cuda_symbols.ts with the driver API's C signatures, over the HIP of this
// folder.
#include "hip_host.h"
#include <cstdlib>

using namespace host;
using CUresult = int;

extern "C" {
int hipInit(unsigned);
int hipGetDeviceCount(int *);
int hipSetDevice(int);
int hipDeviceSynchronize();
int hipDeviceGetName(char *, int, int);
int hipDeviceTotalMem(size_t *, int);
int hipMemGetInfo(size_t *, size_t *);
int hipMalloc(void **, size_t);
int hipFree(void *);
int hipHostMalloc(void **, size_t, unsigned);
int hipHostFree(void *);
int hipMemcpyAsync(void *, const void *, size_t, int, Stream *);
int hipMemsetAsync(void *, int, size_t, Stream *);
int hipStreamCreateWithFlags(Stream **, unsigned);
int hipStreamDestroy(Stream *);
int hipStreamSynchronize(Stream *);
int hipStreamWaitEvent(Stream *, Event *, unsigned);
int hipEventCreateWithFlags(Event **, unsigned);
int hipEventDestroy(Event *);
int hipEventRecord(Event *, Stream *);
int hipEventSynchronize(Event *);
int hipEventQuery(Event *);
int hipEventElapsedTime(float *, Event *, Event *);
int hipModuleLoadData(Module **, const void *);
int hipModuleUnload(Module *);
int hipModuleGetFunction(Function **, Module *, const char *);
int hipModuleLaunchKernel(Function *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, Stream *,
                          void **, void **);
int hipStreamBeginCapture(Stream *, int);
int hipStreamEndCapture(Stream *, Graph **);
int hipGraphInstantiate(Executable **, Graph *, void **, char *, size_t);
int hipGraphLaunch(Executable *, Stream *);
int hipGraphDestroy(Graph *);
int hipGraphExecDestroy(Executable *);

#define CALL(name, parameters, does)                                                                                   \
  CUresult name parameters {                                                                                           \
    if (int failure = enter(#name)) return failure;                                                                    \
    return does;                                                                                                       \
  }
// Gives back even where it reports a failure.
#define RELEASE(name, parameters, does)                                                                                \
  CUresult name parameters {                                                                                           \
    int failure = enter(#name), code = does;                                                                           \
    return failure ? failure : code;                                                                                   \
  }

static int retained = 0;

static CUresult error_name(int code, const char **name) {
  switch (code) {
  case InvalidValue: *name = "CUDA_ERROR_INVALID_VALUE"; return Success;
  case OutOfMemory: *name = "CUDA_ERROR_OUT_OF_MEMORY"; return Success;
  case NoDevice: *name = "CUDA_ERROR_NO_DEVICE"; return Success;
  case InvalidDevice: *name = "CUDA_ERROR_INVALID_DEVICE"; return Success;
  case InvalidImage: *name = "CUDA_ERROR_INVALID_IMAGE"; return Success;
  case LaunchFailure: *name = "CUDA_ERROR_LAUNCH_FAILED"; return Success;
  case 999: *name = "CUDA_ERROR_UNKNOWN"; return Success;
  }
  *name = nullptr;
  return InvalidValue;
}
CUresult cuGetErrorName(int code, const char **name) { return error_name(code, name); }

static CUresult version(int *v) {
  *v = 12080;
  return Success;
}
static CUresult device(int *handle, int ordinal) {
  if (ordinal < 0 || ordinal >= state().devices) return InvalidDevice;
  *handle = ordinal;
  return Success;
}
static CUresult attribute(int *value, int which) {
  switch (which) {
  case 10: *value = 32; return Success;
  case 16: *value = 4; return Success;
  // Later than sm_90, so that kernels of sm_90a are left, of which the processor has no twins.
  case 75: *value = 10; return Success;
  case 76: *value = 0; return Success;
  case 97: *value = 65536; return Success;
  }
  return InvalidValue;
}
// A machine's devices are the same in all its processes.
static CUresult identify(char *uuid, int handle) {
  const char *machine = getenv("HIP_HOST_MACHINE");
  memset(uuid, 0, 16);
  strncpy(uuid, machine ? machine : "mxoss", 15);
  uuid[15] = char(handle);
  return Success;
}
static CUresult retain(uint64_t *context, int handle) {
  *context = 1000 + (uint64_t)handle;
  retained++;
  return Success;
}
static CUresult load(Module **module, const void *image, unsigned count, const int *options, void **values) {
  int code = hipModuleLoadData(module, image);
  if (code && count == 2 && options[0] == 5 && options[1] == 6)
    strncpy((char *)values[0], "ptxas fatal: not a host code object\nmore", (size_t)values[1]);
  return code;
}

CALL(cuInit, (unsigned flags), hipInit(flags) ? NoDevice : Success)
CALL(cuDriverGetVersion, (int *v), version(v))
CALL(cuDeviceGetCount, (int *count), hipGetDeviceCount(count))
CALL(cuDeviceGet, (int *handle, int ordinal), device(handle, ordinal))
CALL(cuDeviceGetName, (char *name, int length, int handle), hipDeviceGetName(name, length, handle))
CALL(cuDeviceTotalMem_v2, (size_t *bytes, int handle), hipDeviceTotalMem(bytes, handle))
CALL(cuDeviceGetAttribute, (int *value, int which, int), attribute(value, which))
CALL(cuDevicePrimaryCtxRetain, (uint64_t *context, int handle), retain(context, handle))
RELEASE(cuDevicePrimaryCtxRelease_v2, (int), (retained--, Success))
CALL(cuCtxSetCurrent, (uint64_t context), context >= 1000 ? hipSetDevice(int(context - 1000)) : InvalidValue)
// Devices are one another's memory, so that every kernel reaches all.
CALL(cuDeviceCanAccessPeer, (int *can, int device, int other), (*can = device != other, Success))
// Only one attribute is asked for.
CALL(cuDeviceGetP2PAttribute, (int *value, unsigned attribute, int device, int other),
     attribute == 3 && device != other ? (*value = host::state().joined, Success) : InvalidValue)
CALL(cuDeviceGetUuid_v2, (char *uuid, int device), identify(uuid, device))
CALL(cuIpcGetMemHandle, (void *handle, void *address), export_memory(handle, address))
struct MemHandle {
  uint64_t words[8];
};
CALL(cuIpcOpenMemHandle_v2, (void **address, MemHandle handle, unsigned flags),
     flags == 1 ? import_memory(address, &handle) : InvalidValue)
RELEASE(cuIpcCloseMemHandle, (void *address), close_imported(address))
CALL(cuCtxEnablePeerAccess, (uint64_t context, unsigned flags), context >= 1000 && flags == 0 ? Success : InvalidValue)
CALL(cuCtxSynchronize, (), hipDeviceSynchronize())
CALL(cuMemGetInfo_v2, (size_t *free_bytes, size_t *total), hipMemGetInfo(free_bytes, total))
CALL(cuMemAlloc_v2, (void **address, size_t bytes), hipMalloc(address, bytes))
RELEASE(cuMemFree_v2, (void *address), hipFree(address))
CALL(cuMemHostAlloc, (void **address, size_t bytes, unsigned flags), hipHostMalloc(address, bytes, flags))
RELEASE(cuMemFreeHost, (void *address), hipHostFree(address))
CALL(cuMemcpyHtoDAsync_v2, (void *to, const void *from, size_t n, Stream *s), hipMemcpyAsync(to, from, n, 1, s))
CALL(cuMemcpyDtoHAsync_v2, (void *to, const void *from, size_t n, Stream *s), hipMemcpyAsync(to, from, n, 2, s))
CALL(cuMemcpyDtoDAsync_v2, (void *to, const void *from, size_t n, Stream *s), hipMemcpyAsync(to, from, n, 3, s))
CALL(cuMemsetD8Async, (void *to, unsigned char value, size_t n, Stream *s), hipMemsetAsync(to, value, n, s))
CALL(cuStreamCreate, (Stream * *stream, unsigned flags), hipStreamCreateWithFlags(stream, flags))
RELEASE(cuStreamDestroy_v2, (Stream * stream), hipStreamDestroy(stream))
CALL(cuStreamSynchronize, (Stream * stream), hipStreamSynchronize(stream))
CALL(cuStreamWaitEvent, (Stream * stream, Event *event, unsigned flags), hipStreamWaitEvent(stream, event, flags))
CALL(cuEventCreate, (Event * *event, unsigned flags), hipEventCreateWithFlags(event, flags))
RELEASE(cuEventDestroy_v2, (Event * event), hipEventDestroy(event))
CALL(cuEventRecord, (Event * event, Stream *stream), hipEventRecord(event, stream))
CALL(cuEventSynchronize, (Event * event), hipEventSynchronize(event))
CALL(cuEventQuery, (Event * event), hipEventQuery(event))
CALL(cuEventElapsedTime, (float *ms, Event *start, Event *end), hipEventElapsedTime(ms, start, end))
CALL(cuModuleLoadDataEx, (Module * *module, const void *image, unsigned n, const int *options, void **values),
     load(module, image, n, options, values))
RELEASE(cuModuleUnload, (Module * module), hipModuleUnload(module))
CALL(cuModuleGetFunction, (Function * *function, Module *module, const char *name),
     hipModuleGetFunction(function, module, name))
CALL(cuFuncSetAttribute, (Function * function, int which, int value),
     function && which == 8 && value <= 65536 ? Success : InvalidValue)
CALL(cuLaunchKernel,
     (Function * f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned lds,
      Stream *s, void **params, void **extra),
     hipModuleLaunchKernel(f, gx, gy, gz, bx, by, bz, lds, s, params, extra))
// CUlaunchConfig with attributes of 72 bytes: that of programmatic stream serialization, though launches here never
// overlap, and that of clusters, each the whole of a grid's x.
struct LaunchConfig {
  unsigned gx, gy, gz, bx, by, bz, lds;
  Stream *stream;
  const int *attribute;
  unsigned attributes;
};
static bool right(const LaunchConfig *c) {
  for (unsigned i = 0; i < c->attributes; i++) {
    const int *a = c->attribute + 18 * i;
    const bool overlaps = a[0] == 6 && a[2] == 1;
    const bool cluster = a[0] == 4 && a[2] == (int)c->gx && c->gx <= 8 && a[3] == 1 && a[4] == 1;
    if (!overlaps && !cluster) return false;
  }
  return c->attributes == 1 || c->attributes == 2;
}
CALL(cuLaunchKernelEx, (const LaunchConfig *c, Function *f, void **params, void **extra),
     right(c)
         ? hipModuleLaunchKernel(f, c->gx, c->gy, c->gz, c->bx, c->by, c->bz, c->lds, c->stream, params, extra)
         : InvalidValue)
CALL(cuStreamBeginCapture_v2, (Stream * stream, int mode), hipStreamBeginCapture(stream, mode))
CUresult cuStreamEndCapture(Stream *stream, Graph **graph) {
  int failure = enter("cuStreamEndCapture"), code = hipStreamEndCapture(stream, graph);
  if (!failure || code) return code;
  hipGraphDestroy(*graph); // a capture that failed leaves no graph
  *graph = nullptr;
  return failure;
}
CALL(cuGraphInstantiateWithFlags, (Executable * *executable, Graph *graph, uint64_t),
     hipGraphInstantiate(executable, graph, nullptr, nullptr, 0))
CALL(cuGraphLaunch, (Executable * executable, Stream *stream), hipGraphLaunch(executable, stream))
RELEASE(cuGraphDestroy, (Graph * graph), hipGraphDestroy(graph))
RELEASE(cuGraphExecDestroy, (Executable * executable), hipGraphExecDestroy(executable))
}
