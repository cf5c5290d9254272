// Modules of the test library, which are shared libraries of kernels for the CPU, and launches of these kernels.
#include "calls.h"
#include <dlfcn.h>

using namespace host;

// By the kernel's name, and the memory in which the group's first rank is given to; where processes share that, they
// share these, too.
static std::map<std::pair<std::string, uint64_t>, Meeting> meetings;
void host::forget_meetings(uintptr_t from, size_t bytes) {
  for (auto it = meetings.begin(); it != meetings.end();)
    it = it->first.second - from < bytes ? meetings.erase(it) : std::next(it);
}

extern "C" {

// A code object of this library is a line of text, "mxoss host kernels PATH\n": a shared library made of the same
// kernels for the CPU. With HIP_HOST_KERNELS=PATH real code objects and PTX stand for that library, so that the whole
// program can be run, as its users do.
static const char MAGIC[] = "mxoss host kernels ";
hipError_t hipModuleLoadData(Module **module, const void *image) {
  ENTER(hipModuleLoadData)
  NOT_CAPTURING
  const char *text = (const char *)image;
  std::string stand_in;
  const std::string &kernels = state().kernels;
  const bool real = !memcmp(text, "\177ELF", 4) || !memcmp(text, "//\n// Gen", 9);
  if (!kernels.empty() && real) text = (stand_in = MAGIC + kernels + "\n").c_str();
  if (strncmp(text, MAGIC, sizeof MAGIC - 1)) return InvalidImage;
  text += sizeof MAGIC - 1;
  const char *end = strchr(text, '\n');
  if (!end) return InvalidImage;
  void *library = dlopen(std::string(text, end).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return InvalidImage;
  Module *made = new Module{library, nullptr, nullptr, {}};
  *(void **)&made->find = dlsym(library, "mx_host_kernel");
  *(void **)&made->launch = dlsym(library, "mx_host_launch");
  if (!made->find || !made->launch) return InvalidImage;
  state().modules.insert(*module = made);
  return Success;
}
hipError_t hipModuleUnload(Module *module) {
  ENTER_RELEASE(hipModuleUnload)
  if (!state().modules.count(module)) return InvalidHandle;
  for (Stream *stream : own_streams()) drain(stream);
  state().modules.erase(module);
  // Another module of the same library takes stacks of its own at its next launch.
  if (const auto end = (void (*)())dlsym(module->library, "mx_host_end")) end();
  dlclose(module->library);
  delete module;
  return failure;
}
hipError_t hipModuleGetFunction(Function **function, Module *module, const char *name) {
  ENTER(hipModuleGetFunction)
  if (!state().modules.count(module)) return InvalidHandle;
  const MxHostKernel *kernel = module->find(name);
  if (!kernel) return NotFound;
  module->functions.emplace_back(new Function{module, kernel});
  *function = module->functions.back().get();
  return Success;
}

// A launch of the kernels in which ranks write into each other's memory: what it gives, then, once the like of it has
// come on every rank, what it takes; and it ends when all have taken. On GPUs blocks wait for that. Launches of a
// group are counted by rank, `turn` is this one's number.
struct Exchanged {
  int turn = 0;
  bool taken = false;
};
static Meeting &meeting_of(const MxHostKernel *kernel, uint64_t first) {
  uint64_t key = 0;
  Board *board = board_of(first, &key);
  if (!board) return meetings[{kernel->name, first}];
  key = key * 31 + std::hash<std::string>()(kernel->name);
  key += key == 0;
  for (Meeting &meeting : board->meetings) {
    uint64_t known = 0;
    if (meeting.key.compare_exchange_strong(known, key) || known == key) return meeting;
  }
  abort();
}
static int exchange(const MxHostKernel *kernel, std::vector<std::vector<uint64_t>> &args, Exchanged &own,
                    const std::function<int(int)> &run) {
  Meeting &all = meeting_of(kernel, ((const uint64_t *)args[2][0])[0]);
  const size_t rank = (size_t)args[4][0], ranks = (size_t)args[5][0];
  if (ranks > most_met) return InvalidValue;
  const bool stopped = *(const int *)args[3][0] != 0;
  const auto reached = [&](const std::atomic<int> *counts) {
    for (size_t r = 0; r < ranks; r++)
      if (counts[r] < own.turn && !stopped) return false;
    return true;
  };
  if (own.turn == 0) {
    if (int code = run(1)) return code;
    // Other processes look at this without the mutex.
    own.turn = ++all.came[rank];
  }
  if (!own.taken) {
    if (!reached(all.came)) return NotReady;
    if (int code = run(2)) return code;
    own.taken = true;
    all.done[rank]++;
  }
  if (!reached(all.done)) return NotReady;
  own = Exchanged(); // a recording is replayed
  return Success;
}
hipError_t hipModuleLaunchKernel(Function *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                 unsigned bz, unsigned lds, Stream *stream, void **params, void **extra) {
  ENTER(hipModuleLaunchKernel)
  Stream *queue = stream_of(stream);
  if (!queue || !function) return InvalidHandle;
  if (!params || extra) return InvalidValue;
  if (!gx || !gy || !gz || !bx || !by || !bz || bx * by * bz > 1024 || gy > 65535 || gz > 65535 || lds > 65536)
    return InvalidConfiguration;
  // The caller's arguments may be gone when the kernel runs.
  const MxHostKernel *kernel = function->kernel;
  auto copies = std::make_shared<std::vector<std::vector<uint64_t>>>();
  for (int i = 0; i < kernel->count; i++) {
    copies->emplace_back((kernel->sizes[i] + 7) / 8);
    memcpy(copies->back().data(), params[i], kernel->sizes[i]);
  }
  auto launch = function->module->launch;
  auto own = std::make_shared<Exchanged>();
  const bool exchanges = kernel->exchanges;
  return submit(queue, [=] {
    const auto run = [&](int phase) {
      if (phase != 2)
        if (int code = enter("kernel")) return code;
      std::vector<void *> args;
      for (auto &copy : *copies) args.push_back(copy.data());
      if (phase) copies->back()[0] = (uint64_t)phase;
      unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
      launch(kernel, grid, block, lds, args.data());
      return int(Success);
    };
    return exchanges ? exchange(kernel, *copies, *own, run) : run(0);
  });
}

} // extern "C"
