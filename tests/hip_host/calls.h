// What every function with HIP's name begins with.
#pragma once
#include "hip_host.h"

using hipError_t = int;

#define ENTER(function)                                                                                                \
  std::lock_guard<std::recursive_mutex> lock(state().mutex);                                                           \
  if (int failure = enter(#function)) return failure;
// Calls that give something back do so even where they report a failure, as drivers do after a device was lost.
#define ENTER_RELEASE(function)                                                                                        \
  std::lock_guard<std::recursive_mutex> lock(state().mutex);                                                           \
  int failure = enter(#function);
// Not allowed while a stream of this thread records.
#define NOT_CAPTURING                                                                                                  \
  if (capturing) return CaptureUnsupported;

namespace host {
// The stream of a handle, of which 0 stands for the thread's default one; null where it is none that is alive.
Stream *stream_of(Stream *stream);
} // namespace host
