// libamdhip64 for tests: the functions of ffi/hip_symbols.ts with HIP's C signatures, running kernels that were
// compiled for the CPU.
//
// Work that is asynchronous on a GPU waits here for a synchronisation, so that a program which forgets one reads stale
// data (or NaNs) here as well. Handles and pointers are checked as strictly as HIP's documentation allows.
#include "calls.h"
#include "error_names.h"

using namespace host;
static thread_local Stream default_stream;

Stream *host::stream_of(Stream *stream) {
  if (!stream) return &default_stream;
  return state().streams.count(stream) ? stream : nullptr;
}
static bool valid_device(int device) { return device >= 0 && device < state().devices; }

extern "C" {

hipError_t hipInit(unsigned flags) {
  ENTER(hipInit)
  if (flags != 0) return InvalidValue;
  if (state().devices == 0) return InvalidDevice; // as libamdhip64 5.2.3 does on a machine without a GPU
  state().initialised = true;
  return Success;
}

hipError_t hipRuntimeGetVersion(int *version) {
  ENTER(hipRuntimeGetVersion)
  *version = 60241134;
  return Success;
}

const char *hipGetErrorName(hipError_t code) { return error_name(code); }

hipError_t hipGetDeviceCount(int *count) {
  ENTER(hipGetDeviceCount)
  *count = state().devices;
  return state().devices ? Success : NoDevice;
}

hipError_t hipSetDevice(int device) {
  ENTER(hipSetDevice)
  if (!valid_device(device)) return InvalidDevice;
  current_device = device;
  return Success;
}

hipError_t hipDeviceSynchronize() {
  ENTER(hipDeviceSynchronize)
  NOT_CAPTURING
  int code = drain(&default_stream);
  for (Stream *stream : own_streams())
    if (int failed = drain(stream)) code = failed;
  return code;
}

hipError_t hipDeviceGetName(char *name, int length, int device) {
  ENTER(hipDeviceGetName)
  if (!valid_device(device)) return InvalidDevice;
  if (length <= (int)state().name.size()) return InvalidValue;
  strcpy(name, state().name.c_str());
  return Success;
}

hipError_t hipDeviceTotalMem(size_t *bytes, int device) {
  ENTER(hipDeviceTotalMem)
  if (!valid_device(device)) return InvalidDevice;
  *bytes = state().memory;
  return Success;
}

hipError_t hipDeviceGetAttribute(int *value, int attribute, int device) {
  ENTER(hipDeviceGetAttribute)
  if (!valid_device(device)) return InvalidDevice;
  switch (attribute) {
  case 63: *value = state().multiprocessors; return Success; // hipDeviceAttributeMultiprocessorCount
  case 74: *value = 65536; return Success; // hipDeviceAttributeMaxSharedMemoryPerBlock
  case 87: *value = 64; return Success;    // hipDeviceAttributeWarpSize
  }
  return InvalidValue;
}

// Offsets and sizes as compilers give them for the structures of ROCm 5.2 and 6.2.
static hipError_t properties(char *structure, int device, size_t bytes, size_t arch_at) {
  if (!valid_device(device)) return InvalidDevice;
  memset(structure, 0, bytes);
  strcpy(structure, state().name.c_str());
  strcpy(structure + arch_at, state().arch.c_str());
  return Success;
}
hipError_t hipGetDeviceProperties(char *structure, int device) {
  ENTER(hipGetDeviceProperties)
  return properties(structure, device, 792, 396);
}
#ifndef HIP_HOST_ROCM_5
hipError_t hipGetDevicePropertiesR0600(char *structure, int device) {
  ENTER(hipGetDevicePropertiesR0600)
  return properties(structure, device, 1472, 1160);
}
#endif

hipError_t hipMemGetInfo(size_t *free_bytes, size_t *total) {
  ENTER(hipMemGetInfo)
  *total = state().memory;
  *free_bytes = state().memory - state().used;
  return Success;
}

hipError_t hipMalloc(void **address, size_t bytes) {
  ENTER(hipMalloc)
  NOT_CAPTURING
  return allocate(address, bytes, true);
}
hipError_t hipFree(void *address) {
  ENTER_RELEASE(hipFree)
  int code = release(address, true);
  return failure ? failure : code;
}
hipError_t hipHostMalloc(void **address, size_t bytes, unsigned flags) {
  ENTER(hipHostMalloc)
  NOT_CAPTURING
  if (flags != 0) return InvalidValue;
  return allocate(address, bytes, false);
}
hipError_t hipHostFree(void *address) {
  ENTER_RELEASE(hipHostFree)
  int code = release(address, false);
  return failure ? failure : code;
}

hipError_t hipMemcpyAsync(void *target, const void *source, size_t bytes, int kind, Stream *stream) {
  ENTER(hipMemcpyAsync)
  Stream *queue = stream_of(stream);
  if (!queue) return InvalidHandle;
  bool from_device = kind == 2 || kind == 3, to_device = kind == 1 || kind == 3;
  if (!from_device && !to_device) return InvalidValue;
  if (to_device ? !inside(target, bytes, true) : inside(target, 1, true)) return InvalidValue;
  if (from_device ? !inside(source, bytes, true) : inside(source, 1, true)) return InvalidValue;
  bool pinned = (from_device && to_device) || inside(to_device ? source : target, bytes, false);
  if (queue->capture && !pinned) return CaptureUnsupported;
  return submit(queue, [=] {
    memmove(target, source, bytes);
    return int(Success);
  });
}

hipError_t hipMemsetAsync(void *target, int value, size_t bytes, Stream *stream) {
  ENTER(hipMemsetAsync)
  Stream *queue = stream_of(stream);
  if (!queue) return InvalidHandle;
  if (!inside(target, bytes, true)) return InvalidValue;
  return submit(queue, [=] {
    memset(target, value, bytes);
    return int(Success);
  });
}

hipError_t hipStreamCreateWithFlags(Stream **stream, unsigned flags) {
  ENTER(hipStreamCreateWithFlags)
  if (flags > 1) return InvalidValue;
  state().streams.insert(*stream = new Stream);
  (*stream)->device = current_device;
  return Success;
}
hipError_t hipStreamDestroy(Stream *stream) {
  ENTER_RELEASE(hipStreamDestroy)
  if (!state().streams.count(stream)) return InvalidHandle;
  drain(stream);
  state().streams.erase(stream);
  delete stream;
  return failure;
}
hipError_t hipStreamSynchronize(Stream *stream) {
  ENTER(hipStreamSynchronize)
  NOT_CAPTURING
  Stream *queue = stream_of(stream);
  return queue ? drain(queue) : InvalidHandle;
}

hipError_t hipEventCreateWithFlags(Event **event, unsigned flags) {
  ENTER(hipEventCreateWithFlags)
  if (flags & ~3u) return InvalidValue;
  state().events.insert(*event = new Event);
  return Success;
}
hipError_t hipEventDestroy(Event *event) {
  ENTER_RELEASE(hipEventDestroy)
  if (!state().events.count(event)) return InvalidHandle;
  for (Stream *stream : own_streams()) drain(stream); // others may wait for it
  state().events.erase(event);
  delete event;
  return failure;
}
hipError_t hipEventRecord(Event *event, Stream *stream) {
  ENTER(hipEventRecord)
  Stream *queue = stream_of(stream);
  if (!queue || !state().events.count(event)) return InvalidHandle;
  event->stream = queue;
  event->pending++;
  return submit(queue, [event] {
    event->pending--;
    event->milliseconds = now();
    return int(Success);
  });
}
// Ends at an empty queue too: after a failure the recording was dropped with everything else.
static int reach(Event *event) {
  while (event->pending > 0 && !event->stream->pending.empty())
    if (int code = advance(event->stream)) {
      if (code != NotReady) return code;
      relax();
    }
  auto failed = state().sticky.find(current_device);
  return failed == state().sticky.end() ? 0 : failed->second;
}
hipError_t hipEventSynchronize(Event *event) {
  ENTER(hipEventSynchronize)
  NOT_CAPTURING
  return state().events.count(event) ? reach(event) : InvalidHandle;
}
// Each question lets the device do one more thing, so that those who poll get there.
hipError_t hipEventQuery(Event *event) {
  ENTER(hipEventQuery)
  NOT_CAPTURING
  if (!state().events.count(event)) return InvalidHandle;
  if (event->pending > 0)
    if (int code = advance(event->stream)) {
      if (code == NotReady) relax();
      return code;
    }
  return event->pending > 0 && !event->stream->pending.empty() ? NotReady : Success;
}
hipError_t hipEventElapsedTime(float *milliseconds, Event *start, Event *stop) {
  ENTER(hipEventElapsedTime)
  if (!state().events.count(start) || !state().events.count(stop)) return InvalidHandle;
  if (start->pending > 0 || stop->pending > 0) return NotReady;
  *milliseconds = float(stop->milliseconds - start->milliseconds);
  return Success;
}
hipError_t hipStreamWaitEvent(Stream *stream, Event *event, unsigned flags) {
  ENTER(hipStreamWaitEvent)
  Stream *queue = stream_of(stream);
  if (!queue || !state().events.count(event)) return InvalidHandle;
  if (flags != 0) return InvalidValue;
  return submit(queue, [event] { return reach(event); });
}

hipError_t hipStreamBeginCapture(Stream *stream, int mode) {
  ENTER(hipStreamBeginCapture)
  if (!state().streams.count(stream)) return InvalidHandle;
  if (mode < 0 || mode > 2) return InvalidValue;
  if (stream->capture || capturing) return CaptureUnsupported;
  stream->capture.reset(new Graph);
  capturing = true;
  return Success;
}
hipError_t hipStreamEndCapture(Stream *stream, Graph **graph) {
  ENTER_RELEASE(hipStreamEndCapture)
  if (!state().streams.count(stream)) return InvalidHandle;
  if (!stream->capture) return CaptureUnmatched;
  capturing = false;
  std::unique_ptr<Graph> recorded = std::move(stream->capture);
  if (failure) return failure;
  state().graphs.insert(*graph = recorded.release());
  return Success;
}
hipError_t hipGraphInstantiate(Executable **executable, Graph *graph, void **, char *, size_t) {
  ENTER(hipGraphInstantiate)
  if (!state().graphs.count(graph)) return InvalidHandle;
  state().executables.insert(*executable = new Executable{graph->nodes});
  return Success;
}
hipError_t hipGraphLaunch(Executable *executable, Stream *stream) {
  ENTER(hipGraphLaunch)
  Stream *queue = stream_of(stream);
  if (!queue || !state().executables.count(executable)) return InvalidHandle;
  for (Work &node : executable->nodes) submit(queue, node.run);
  return Success;
}
hipError_t hipGraphDestroy(Graph *graph) {
  ENTER_RELEASE(hipGraphDestroy)
  if (!state().graphs.erase(graph)) return InvalidHandle;
  delete graph;
  return failure;
}
hipError_t hipGraphExecDestroy(Executable *executable) {
  ENTER_RELEASE(hipGraphExecDestroy)
  if (!state().executables.erase(executable)) return InvalidHandle;
  delete executable;
  return failure;
}
}
