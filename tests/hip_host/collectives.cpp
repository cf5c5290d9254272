// libnccl and librccl for tests: the functions of ffi/collectives_symbols.ts with their C signatures, between devices
// of the test library. Ranks are threads of one process, or processes.
//
// An operation is a piece of work of each rank's stream. A rank that comes to it puts its part into memory that all
// ranks share, and is done when all have; whoever asks before finds it not ready, as a kernel that spins.
#include "hip_host.h"
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/mman.h>
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

constexpr int most_ranks = 16, turns = 4;
constexpr size_t most_bytes = size_t(1) << 22;

// One operation under way; the next ones with the same number modulo `turns` wait until all have left it.
struct Turn {
  std::atomic<uint64_t> number;
  std::atomic<int> arrived, left, mismatch;
  size_t bytes;
  unsigned char parts[most_ranks][most_bytes];
};

// In a file of /dev/shm, of which only what is used takes memory.
struct Group {
  std::atomic<int> size, joined;
  std::atomic<bool> present[most_ranks];
  Turn turn[turns];
};

int ids = 0;
// Calls that come to this rank's work do not return, from its nth operation on; for tests of watchdogs.
int hanging_rank = -1, hanging_from = 0;
thread_local std::string last_error;

Group *open_group(const char *id) {
  const int file = shm_open(id, O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Group)) != 0) return nullptr;
  void *memory = mmap(nullptr, sizeof(Group), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : (Group *)memory;
}

} // namespace

struct Communicator {
  Group *group;
  int rank, size;
  uint64_t executed = 0; // operations that this rank has left behind
  bool waiting = false, aborted = false, failed = false;
};

struct Part {
  const void *source;
  void *target;
};

static int step(Communicator *comm, Part part, size_t bytes) {
  if (comm->aborted) return Success;
  while (comm->rank == hanging_rank && (int)comm->executed >= hanging_from) relax();
  Turn &turn = comm->group->turn[comm->executed % turns];
  if (turn.number.load() != comm->executed / turns) return NotReady;
  if (!comm->waiting) {
    // Everybody says the same.
    if (turn.arrived.load() > 0 && turn.bytes != bytes) turn.mismatch = 1;
    turn.bytes = bytes;
    memcpy(turn.parts[comm->rank], part.source, bytes);
    if (state().collective_microseconds > 0) usleep(state().collective_microseconds);
    comm->waiting = true;
    turn.arrived++;
  }
  if (turn.mismatch.load()) {
    comm->failed = true;
    return LaunchFailure;
  }
  if (turn.arrived.load() < comm->size) return NotReady;
  for (int r = 0; r < comm->size; r++) memcpy((char *)part.target + (size_t)r * bytes, turn.parts[r], bytes);
  comm->waiting = false;
  comm->executed++;
  if (++turn.left == comm->size) {
    turn.arrived = turn.left = 0;
    turn.number++;
  }
  return Success;
}

static ncclResult_t enqueue(Communicator *comm, Part part, size_t bytes, Stream *stream) {
  if (!comm || !state().streams.count(stream)) return InvalidArgument;
  if (!inside(part.source, bytes, true)) return InvalidArgument;
  if (!inside(part.target, bytes * (size_t)comm->size, true) || bytes > most_bytes) return InvalidArgument;
  submit(stream, [=] { return step(comm, part, bytes); });
  return Success;
}

#define ENTER_COLLECTIVE(function)                                                                                    \
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
  ENTER_COLLECTIVE(ncclGetVersion)
  *version = state().collectives_version;
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
  ENTER_COLLECTIVE(ncclGetUniqueId)
  memset(id, 0, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "/mxoss-test-%d-%d", (int)getpid(), ++ids);
  return Success;
}

ncclResult_t ncclCommInitRank(Communicator **comm, int size, ncclUniqueId id, int rank) {
  ENTER_COLLECTIVE(ncclCommInitRank)
  if (size < 1 || size > most_ranks || rank < 0 || rank >= size) return InvalidArgument;
  Group *group = open_group(id.internal);
  if (!group) return SystemFailed;
  int none = 0;
  group->size.compare_exchange_strong(none, size);
  if (group->size.load() != size || group->present[rank].exchange(true)) return InvalidUsage;
  group->joined++;
  // Comes back when all have come.
  while (group->joined.load() < size) relax();
  shm_unlink(id.internal);
  *comm = new Communicator{group, rank, size};
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
  ENTER_COLLECTIVE(ncclCommGetAsyncError)
  *result = comm->failed ? InvalidUsage : Success;
  return Success;
}

ncclResult_t ncclGroupStart() {
  ENTER_COLLECTIVE(ncclGroupStart)
  return Success;
}
ncclResult_t ncclGroupEnd() {
  ENTER_COLLECTIVE(ncclGroupEnd)
  return Success;
}

static size_t bytes_of(size_t count, int type) { return count * (type == 7 ? 4 : type == 0 ? 1 : 0); }

ncclResult_t ncclAllGather(const void *source, void *target, size_t count, int type, Communicator *comm,
                           Stream *stream) {
  ENTER_COLLECTIVE(ncclAllGather)
  const size_t bytes = bytes_of(count, type);
  return bytes ? enqueue(comm, {source, target}, bytes, stream) : InvalidArgument;
}

// A rank hangs in the driver, from its operation with this number on; -1: none does any more.
void hip_host_hang(int rank, int from) {
  std::lock_guard<std::recursive_mutex> lock(state().mutex);
  hanging_rank = rank;
  hanging_from = from;
}
}
