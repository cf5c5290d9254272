// What the test library keeps: allocations with guard pages, streams whose work waits for a synchronisation, failures
// on demand.
#include "hip_host.h"
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

namespace host {

// How often each function was called, for whoever started the program, which ends in an orderly way.
static void write_calls() {
  FILE *file = fopen(getenv("HIP_HOST_CALLS"), "w");
  if (!file) return;
  State &s = state();
  // Other threads may still be in the library.
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  for (auto &[name, count] : s.calls) fprintf(file, "%s %d\n", name.c_str(), count);
  fclose(file);
}

static void configure(State &s) {
  if (const char *v = getenv("HIP_HOST_DEVICES")) s.devices = atoi(v);
  if (const char *v = getenv("HIP_HOST_ARCH")) s.arch = v;
  if (const char *v = getenv("HIP_HOST_MEMORY")) s.memory = strtoull(v, nullptr, 10);
  if (const char *v = getenv("HIP_HOST_KERNELS")) s.kernels = v;
  if (const char *v = getenv("HIP_HOST_COLLECTIVE_MICROSECONDS")) s.collective_microseconds = (unsigned)atoi(v);
  // FUNCTION:NTH:CODE
  if (const char *v = getenv("HIP_HOST_FAIL")) {
    std::string text = v;
    size_t first = text.find(':'), second = text.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) abort();
    s.failing = text.substr(0, first);
    s.countdown = atoi(text.c_str() + first + 1);
    s.code = atoi(text.c_str() + second + 1);
  }
  if (getenv("HIP_HOST_CALLS")) atexit(write_calls);
}

State &state() {
  static State *s = [] {
    State *made = new State;
    configure(*made);
    return made;
  }();
  return *s;
}

thread_local int current_device = 0;
thread_local bool capturing = false;

// A call that hangs; holds the mutex once, and once more where HIP's and NCCL's functions begin.
static int hang(const char *function) {
  State &s = state();
  const int turn = s.resets, locks = strncmp(function, "cu", 2) == 0 ? 1 : 2;
  while (s.resets == turn) {
    for (int i = 0; i < locks; i++) s.mutex.unlock();
    usleep(1000);
    for (int i = 0; i < locks; i++) s.mutex.lock();
  }
  return Success;
}

int enter(const char *function) {
  State &s = state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  s.calls[function]++;
  if (s.failing == function && s.countdown > 0 && --s.countdown == 0) return s.code == -1 ? hang(function) : s.code;
  auto failed = s.sticky.find(current_device);
  return failed == s.sticky.end() ? 0 : failed->second;
}

double now() {
  using namespace std::chrono;
  return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

std::vector<Stream *> own_streams() {
  std::vector<Stream *> own;
  for (Stream *stream : state().streams)
    if (stream->device == current_device) own.push_back(stream);
  return own;
}

// Whoever calls this holds the mutex once.
void relax() {
  state().mutex.unlock();
  usleep(50);
  state().mutex.lock();
}

static int failure_of(int device) {
  auto failed = state().sticky.find(device);
  return failed == state().sticky.end() ? 0 : failed->second;
}

// Runs the oldest piece of work, unless it waits for another device (NotReady).
int advance(Stream *stream) {
  if (stream->pending.empty()) return Success;
  int code = stream->pending.front().run();
  if (code == NotReady) return code;
  stream->pending.pop_front();
  if (code != Success && failure_of(stream->device) == 0) state().sticky[stream->device] = code;
  return code;
}

int drain(Stream *stream) {
  while (!stream->pending.empty())
    if (int code = advance(stream)) {
      if (code == NotReady) {
        relax();
        continue;
      }
      stream->pending.clear();
      return code;
    }
  return failure_of(stream->device);
}

int submit(Stream *stream, std::function<int()> run) {
  if (stream->capture)
    stream->capture->nodes.push_back({std::move(run)});
  else
    stream->pending.push_back({std::move(run)});
  return Success;
}

bool inside(const void *pointer, size_t bytes, bool onDevice) {
  State &s = state();
  uintptr_t at = (uintptr_t)pointer;
  auto mapped = s.imported.upper_bound(at);
  if (onDevice && mapped != s.imported.begin()) {
    const Imported &other = (--mapped)->second;
    if (at + bytes <= (uintptr_t)other.base + other.mapped) return true;
  }
  auto it = s.allocations.upper_bound(at);
  if (it == s.allocations.begin()) return false;
  --it;
  return it->second.onDevice == onDevice && at + bytes <= it->first + it->second.bytes;
}

// The end of an allocation touches a page that cannot be accessed, and its contents are NaNs: a kernel that reads or
// writes past the end stops the program, and one that uses what nobody wrote gives NaN.
int allocate(void **out, size_t bytes, bool onDevice) {
  State &s = state();
  if (bytes == 0) return InvalidValue;
  if (onDevice && s.used + bytes > s.memory) return OutOfMemory;
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  size_t rounded = (bytes + 255) / 256 * 256;
  size_t mapped = (rounded + page - 1) / page * page + page;
  void *base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return OutOfMemory;
  char *guard = (char *)base + mapped - page;
  mprotect(guard, page, PROT_NONE);
  char *start = guard - rounded;
  if (bytes <= size_t(64) << 20) memset(start, 0xff, rounded);
  s.allocations[(uintptr_t)start] = {bytes, mapped, base, onDevice, -1, nullptr};
  if (onDevice) s.used += bytes;
  *out = start;
  return Success;
}

int release(void *pointer, bool onDevice) {
  State &s = state();
  if (!pointer) return Success;
  auto it = s.allocations.find((uintptr_t)pointer);
  if (it == s.allocations.end() || it->second.onDevice != onDevice) return InvalidValue;
  // Freeing waits for the device, as hipFree does.
  for (Stream *stream : own_streams()) drain(stream);
  if (onDevice) s.used -= it->second.bytes;
  forget_meetings(it->first, it->second.bytes);
  munmap(it->second.base, it->second.mapped);
  unshare(it->second);
  s.allocations.erase(it);
  return Success;
}

} // namespace host

// Control functions for tests.
extern "C" {

// Forgets failures, counters and configuration; what is alive stays alive.
void hip_host_reset() {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  host::State fresh;
  // What is under way is finished, unless the device has failed and will not.
  for (host::Stream *stream : s.streams) {
    if (!s.sticky.empty()) stream->pending.clear();
    host::drain(stream);
  }
  s.resets++;
  s.calls.clear();
  s.failing.clear();
  s.countdown = s.code = 0;
  s.sticky.clear();
  host::capturing = false;
  s.name = fresh.name;
  s.arch = fresh.arch;
  s.devices = fresh.devices;
  s.memory = fresh.memory;
  s.multiprocessors = fresh.multiprocessors;
  s.collectives_version = fresh.collectives_version;
  s.joined = fresh.joined;
}

// The nth call (1: the next one) of a function returns `code`, or comes back at the next reset if that is -1; the
// function "kernel" stands for kernels that run.
void hip_host_fail(const char *function, int nth, int code) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  s.failing = function;
  s.countdown = nth;
  s.code = code;
}

// Frees all memory of devices, as the end of the program does.
void hip_host_end() {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  for (auto it = s.allocations.begin(); it != s.allocations.end();) {
    auto &[at, allocation] = *it++;
    if (allocation.onDevice) host::release((void *)at, true);
  }
}

int hip_host_calls(const char *function) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  auto it = s.calls.find(function);
  return it == s.calls.end() ? 0 : it->second;
}

void hip_host_configure(const char *arch, int devices, size_t memory, int multiprocessors) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  s.arch = arch;
  s.devices = devices;
  s.memory = memory;
  s.multiprocessors = multiprocessors;
}

// What HIP_HOST_KERNELS says to a program: here tests of other files may run, each with a copy of the kernels.
void hip_host_kernels(const char *path) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  s.kernels = path;
}

void hip_host_collectives_version(int version) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  s.collectives_version = version;
}

void hip_host_joined(int joined) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  s.joined = joined != 0;
}

// What is alive: 0 device allocations, 1 pinned allocations, 2 streams, 3 events, 4 modules, 5 graphs, 6 executable
// graphs, 7 device bytes, 8 communicators, 9 allocations of other processes.
size_t hip_host_live(int kind) {
  host::State &s = host::state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  size_t count = 0;
  switch (kind) {
  case 0:
  case 1:
    for (auto &[at, allocation] : s.allocations) count += allocation.onDevice == (kind == 0);
    return count;
  case 2: return s.streams.size();
  case 3: return s.events.size();
  case 4: return s.modules.size();
  case 5: return s.graphs.size();
  case 6: return s.executables.size();
  case 7: return s.used;
  case 8: return s.communicators;
  case 9: return s.imported.size();
  }
  return count;
}
}
