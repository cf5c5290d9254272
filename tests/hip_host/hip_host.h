// State of the test library: what is alive, what shall fail, and the work that streams have not done yet.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

// The part of kernels/common/host.h that a program which loads the kernels needs.
struct MxHostKernel {
  const char *name;
  void (*run)(void *const *args);
  const MxHostKernel *next;
  int count;
  const unsigned *sizes;
  bool exchanges = false;
};

namespace host {

enum Code {
  Success = 0,
  InvalidValue = 1,
  OutOfMemory = 2,
  InvalidConfiguration = 9,
  NoDevice = 100,
  InvalidDevice = 101,
  InvalidImage = 200,
  InvalidHandle = 400,
  NotFound = 500,
  NotReady = 600,
  LaunchFailure = 719,
  CaptureUnsupported = 900,
  CaptureUnmatched = 903,
};

struct Work {
  std::function<int()> run;
};

struct Graph {
  std::vector<Work> nodes;
};

struct Stream {
  int device = 0;
  std::deque<Work> pending;
  // Where work goes while a capture lasts.
  std::unique_ptr<Graph> capture;
};

struct Event {
  Stream *stream = nullptr;
  int pending = 0; // recordings that the stream has not reached
  double milliseconds = 0;
};

struct Module {
  void *library;
  const MxHostKernel *(*find)(const char *);
  void (*launch)(const MxHostKernel *, const unsigned *, const unsigned *, unsigned, void *const *);
  std::vector<std::unique_ptr<struct Function>> functions;
};

struct Function {
  Module *module;
  const MxHostKernel *kernel;
};

struct Board;

struct Allocation {
  size_t bytes;
  size_t mapped; // bytes of the mapping, guard page included
  void *base;
  bool onDevice;
  // Where it was exported: its file, and where launches of all processes meet.
  int file = -1;
  Board *board = nullptr;
};

// Memory of another process.
struct Imported {
  size_t mapped;
  void *base;
  Board *board;
};

// How often ranks came to launches that wait for one another, and how often they were done.
constexpr int most_met = 16, most_meetings = 64;
struct Meeting {
  std::atomic<uint64_t> key;
  std::atomic<int> came[most_met], done[most_met];
};
struct Board {
  Meeting meetings[most_meetings];
};

struct Executable {
  std::vector<Work> nodes;
};

struct State {
  std::recursive_mutex mutex;
  // configuration
  std::string name = "mxoss test device";
  std::string arch = "gfx942:sramecc+:xnack-";
  int devices = 1;
  size_t memory = size_t(4) << 30;
  int multiprocessors = 4;
  int collectives_version = 22809;
  // How long each of its operations takes at least.
  unsigned collective_microseconds = 0;
  // Whether devices are joined as NVLink joins them.
  bool joined = true;
  // What real code objects and PTX stand for, if not empty; a reset leaves it.
  std::string kernels;
  // what is alive
  std::map<uintptr_t, Allocation> allocations;
  std::map<uintptr_t, Imported> imported;
  std::set<Stream *> streams;
  std::set<Event *> events;
  std::set<Module *> modules;
  std::set<Graph *> graphs;
  std::set<Executable *> executables;
  size_t used = 0;
  // failures
  std::map<std::string, int> calls;
  std::string failing;
  int countdown = 0;
  int code = 0; // -1: the call does not return before the next reset
  int resets = 0;
  std::map<int, int> sticky; // a kernel that failed poisons its device until the library is reset
  bool initialised = false;
  size_t communicators = 0;
};

// Of the calling thread: each has a device, and records for itself.
extern thread_local int current_device;
extern thread_local bool capturing;

State &state();
// Counts a call; returns the code that it shall fail with, or 0.
int enter(const char *function);
// Runs what a stream has pending. Returns the first failure.
int drain(Stream *stream);
int advance(Stream *stream);
// Runs work now or later, or records it.
int submit(Stream *stream, std::function<int()> run);
bool inside(const void *pointer, size_t bytes, bool onDevice);
int allocate(void **out, size_t bytes, bool onDevice);
int release(void *pointer, bool onDevice);
// Forgets launches that met by memory that is freed: others begin anew where it is handed out again.
void forget_meetings(uintptr_t from, size_t bytes);
// What other processes open an allocation by, 64 bytes; and what they do.
int export_memory(void *handle, void *pointer);
int import_memory(void **out, const void *handle);
int close_imported(void *pointer);
void unshare(Allocation &allocation);
// Where launches meet whose memory is shared among processes, and how far an address lies behind it; null: among none.
Board *board_of(uintptr_t address, uint64_t *offset);
// Streams of the calling thread's device.
std::vector<Stream *> own_streams();
// Lets other threads work while this one waits for them.
void relax();
double now();

} // namespace host
