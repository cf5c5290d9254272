// Names of error codes, as libamdhip64 gives them.
#pragma once
#include "hip_host.h"

namespace host {

inline const char *error_name(int code) {
  switch (code) {
  case Success: return "hipSuccess";
  case InvalidValue: return "hipErrorInvalidValue";
  case OutOfMemory: return "hipErrorOutOfMemory";
  case 3: return "hipErrorNotInitialized";
  case InvalidConfiguration: return "hipErrorInvalidConfiguration";
  case NoDevice: return "hipErrorNoDevice";
  case InvalidDevice: return "hipErrorInvalidDevice";
  case InvalidImage: return "hipErrorInvalidImage";
  case 209: return "hipErrorNoBinaryForGpu";
  case InvalidHandle: return "hipErrorInvalidHandle";
  case NotFound: return "hipErrorNotFound";
  case NotReady: return "hipErrorNotReady";
  case 700: return "hipErrorIllegalAddress";
  case LaunchFailure: return "hipErrorLaunchFailure";
  case CaptureUnsupported: return "hipErrorStreamCaptureUnsupported";
  case CaptureUnmatched: return "hipErrorStreamCaptureUnmatched";
  }
  return "hipErrorUnknown";
}

} // namespace host
