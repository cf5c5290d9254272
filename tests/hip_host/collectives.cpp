// libnccl and librccl for tests: the functions of ffi/collectives_symbols.ts with their C signatures, between devices
// of the test library. Ranks are
// threads of one process.
//
// An operation is a piece of work of each rank's stream. It is done when every rank's stream has come to it, by the one
// that comes last; whoever asks before finds it not ready, as a kernel that spins.
#include "hip_host.h"
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

using namespace host;
using ncclResult_t = int;

namespace {

enum Result {
  CudaFailed = 1,
  SystemFailed = 2,
  InternalFailed = 3,
  InvalidArgument = 4,
  InvalidUsage = 5,
  RemoteFailed = 6,
};
enum Kind { Gather, Reduce, Broadcast };

struct Part {
  const void *source;
  void *target;
};

struct Call {
  int arrived = 0, left = 0;
  bool done = false;
  Kind kind;
  size_t count;
  int root;
  std::vector<Part> parts;
};

struct Group {
  int size = 0, joined = 0;
  std::vector<bool> present;
  std::map<uint64_t, Call> calls;
};

std::map<std::string, Group> groups;
int ids = 0;
// Calls that come to this rank's work do not return, from its nth operation on; for tests of watchdogs.
int hanging_rank = -1, hanging_from = 0;
thread_local std::string last_error;

} // namespace

struct Communicator {
  Group *group;
  int rank, device;
  uint64_t executed = 0; // operations that this rank has left behind
  bool waiting = false, aborted = false, failed = false;
};

// Does an operation for every rank. Only memory of devices is read and written.
static void perform(Call &call) {
  const int size = (int)call.parts.size();
  if (call.kind == Gather) {
    for (auto &to : call.parts)
      for (int r = 0; r < size; r++)
        memmove((char *)to.target + r * call.count, call.parts[r].source, call.count);
  } else if (call.kind == Broadcast) {
    for (auto &to : call.parts) memmove(to.target, call.parts[call.root].source, call.count);
  } else {
    std::vector<float> sum(call.count, 0.0f);
    for (auto &from : call.parts)
      for (size_t i = 0; i < call.count; i++) sum[i] += ((const float *)from.source)[i];
    for (auto &to : call.parts) memcpy(to.target, sum.data(), 4 * call.count);
  }
}

static int step(Communicator *comm, Kind kind, Part part, size_t count, int root) {
  if (comm->aborted) return Success;
  while (comm->rank == hanging_rank && (int)comm->executed >= hanging_from) relax();
  Call &call = comm->group->calls[comm->executed];
  if (!comm->waiting) {
    if (call.arrived == 0) {
      call.kind = kind;
      call.count = count;
      call.root = root;
      call.parts.resize((size_t)comm->group->size);
    } else if (call.kind != kind || call.count != count || call.root != root) {
      comm->failed = true;
      return LaunchFailure;
    }
    call.parts[(size_t)comm->rank] = part;
    comm->waiting = true;
    if (++call.arrived == comm->group->size) {
      perform(call);
      call.done = true;
    }
  }
  if (!call.done) return NotReady;
  comm->waiting = false;
  if (++call.left == comm->group->size) comm->group->calls.erase(comm->executed);
  comm->executed++;
  return Success;
}

static ncclResult_t enqueue(Communicator *comm, Kind kind, Part part, size_t bytes, size_t count, int root,
                            Stream *stream) {
  if (!comm || !state().streams.count(stream)) return InvalidArgument;
  const size_t gathered = kind == Gather ? bytes * (size_t)comm->group->size : bytes;
  const bool reads = kind != Broadcast || root == comm->rank;
  if (reads && !inside(part.source, bytes, true)) return InvalidArgument;
  if (!inside(part.target, gathered, true)) return InvalidArgument;
  submit(stream, [=] { return step(comm, kind, part, count, root); });
  return Success;
}

#define ENTER(function)                                                                                                \
  std::lock_guard<std::recursive_mutex> lock(state().mutex);                                                           \
  if (int failure = enter(#function)) {                                                                                \
    last_error = #function " was told to fail";                                                                        \
    return failure;                                                                                                    \
  }

extern "C" {
struct ncclUniqueId {
  char internal[128];
};

ncclResult_t ncclGetVersion(int *version) {
  ENTER(ncclGetVersion)
  const char *told = getenv("HIP_HOST_NCCL_VERSION");
  *version = told ? atoi(told) : 22809;
  return Success;
}

const char *ncclGetErrorString(ncclResult_t result) {
  switch (result) {
  case CudaFailed: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
  case SystemFailed: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
  case InternalFailed: return "internal error - please report this issue to the NCCL developers";
  case InvalidArgument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
  case InvalidUsage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
  case RemoteFailed: return "remote process exited or there was a network error";
  }
  return "unknown result code";
}

const char *ncclGetLastError(Communicator *) { return last_error.c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  ENTER(ncclGetUniqueId)
  memset(id, 0, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "test group %d of process %d", ++ids, (int)getpid());
  return Success;
}

ncclResult_t ncclCommInitRank(Communicator **comm, int size, ncclUniqueId id, int rank) {
  ENTER(ncclCommInitRank)
  if (size < 1 || rank < 0 || rank >= size) return InvalidArgument;
  Group &group = groups[id.internal];
  if (group.size == 0) {
    group.size = size;
    group.present.resize((size_t)size);
  }
  if (group.size != size || group.present[(size_t)rank]) return InvalidUsage;
  group.present[(size_t)rank] = true;
  group.joined++;
  // Comes back when all have come.
  while (group.joined < group.size) relax();
  *comm = new Communicator{&group, rank, current_device};
  state().communicators++;
  return Success;
}

static ncclResult_t leave(Communicator *comm) {
  if (!comm) return InvalidArgument;
  state().communicators--;
  comm->aborted = true; // work that is still queued does nothing; the object stays for it
  return Success;
}
ncclResult_t ncclCommDestroy(Communicator *comm) {
  std::lock_guard<std::recursive_mutex> lock(state().mutex);
  int failure = enter("ncclCommDestroy"), code = leave(comm);
  return failure ? failure : code;
}
ncclResult_t ncclCommAbort(Communicator *comm) {
  std::lock_guard<std::recursive_mutex> lock(state().mutex);
  int failure = enter("ncclCommAbort"), code = leave(comm);
  return failure ? failure : code;
}
ncclResult_t ncclCommGetAsyncError(Communicator *comm, ncclResult_t *result) {
  ENTER(ncclCommGetAsyncError)
  *result = comm->failed ? InvalidUsage : Success;
  return Success;
}

ncclResult_t ncclGroupStart() {
  ENTER(ncclGroupStart)
  return Success;
}
ncclResult_t ncclGroupEnd() {
  ENTER(ncclGroupEnd)
  return Success;
}

static size_t bytes_of(size_t count, int type) { return count * (type == 7 ? 4 : type == 0 ? 1 : 0); }

ncclResult_t ncclAllGather(const void *source, void *target, size_t count, int type, Communicator *comm,
                           Stream *stream) {
  ENTER(ncclAllGather)
  const size_t bytes = bytes_of(count, type);
  return bytes ? enqueue(comm, Gather, {source, target}, bytes, bytes, 0, stream) : InvalidArgument;
}
ncclResult_t ncclAllReduce(const void *source, void *target, size_t count, int type, int op, Communicator *comm,
                           Stream *stream) {
  ENTER(ncclAllReduce)
  if (type != 7 || op != 0) return InvalidArgument;
  return enqueue(comm, Reduce, {source, target}, 4 * count, count, 0, stream);
}
ncclResult_t ncclBroadcast(const void *source, void *target, size_t count, int type, int root, Communicator *comm,
                           Stream *stream) {
  ENTER(ncclBroadcast)
  const size_t bytes = bytes_of(count, type);
  if (!bytes || root < 0 || root >= comm->group->size) return InvalidArgument;
  return enqueue(comm, Broadcast, {source, target}, bytes, bytes, root, stream);
}

// A rank hangs in the driver, from its operation with this number on; -1: none does any more.
void hip_host_hang(int rank, int from) {
  std::lock_guard<std::recursive_mutex> lock(state().mutex);
  hanging_rank = rank;
  hanging_from = from;
}
}
