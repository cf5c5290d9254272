// Memory of devices that processes share: an allocation that is exported becomes a file without a name, which others
// open by the number that its process has it by.
#include "hip_host.h"
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace host {

namespace {

struct Handle {
  int process, file;
  uint64_t mapped, offset;
};
static_assert(sizeof(Handle) <= 64);

constexpr size_t board_bytes = (sizeof(Board) + 4095) / 4096 * 4096;

Board *map_board(int file) {
  void *memory = mmap(nullptr, board_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  return memory == MAP_FAILED ? nullptr : (Board *)memory;
}

// Writes what is there into the file, but for pages of zeros, which it has already.
bool copy_pages(int file, const char *from, size_t bytes) {
  static const char zeros[4096] = {};
  for (size_t at = 0; at < bytes; at += sizeof zeros)
    if (memcmp(from + at, zeros, sizeof zeros) &&
        pwrite(file, from + at, sizeof zeros, (off_t)(board_bytes + at)) != (ssize_t)sizeof zeros)
      return false;
  return true;
}

} // namespace

int export_memory(void *handle, void *pointer) {
  State &s = state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  auto it = s.allocations.find((uintptr_t)pointer);
  if (it == s.allocations.end() || !it->second.onDevice) return InvalidValue;
  Allocation &own = it->second;
  const size_t bytes = own.mapped - (size_t)sysconf(_SC_PAGESIZE);
  if (own.file < 0) {
    const int file = memfd_create("device memory", MFD_CLOEXEC);
    Board *board = nullptr;
    if (file < 0 || ftruncate(file, (off_t)(board_bytes + bytes)) || !copy_pages(file, (char *)own.base, bytes) ||
        !(board = map_board(file)) ||
        mmap(own.base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, (off_t)board_bytes) == MAP_FAILED)
      return OutOfMemory;
    own.file = file;
    own.board = board;
  }
  const Handle made = {getpid(), own.file, bytes, it->first - (uintptr_t)own.base};
  memset(handle, 0, 64);
  memcpy(handle, &made, sizeof made);
  return Success;
}

int import_memory(void **out, const void *handle) {
  Handle from;
  memcpy(&from, handle, sizeof from);
  // As drivers refuse it.
  if (from.process == getpid()) return InvalidValue;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", from.process, from.file);
  const int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return InvalidValue;
  void *base = mmap(nullptr, from.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)board_bytes);
  Board *board = map_board(file);
  close(file);
  if (base == MAP_FAILED || !board) return OutOfMemory;
  std::lock_guard<std::recursive_mutex> lock(state().mutex);
  *out = (char *)base + from.offset;
  state().imported[(uintptr_t)*out] = {from.mapped, base, board};
  return Success;
}

int close_imported(void *pointer) {
  State &s = state();
  std::lock_guard<std::recursive_mutex> lock(s.mutex);
  auto it = s.imported.find((uintptr_t)pointer);
  if (it == s.imported.end()) return InvalidValue;
  munmap(it->second.base, it->second.mapped);
  munmap(it->second.board, board_bytes);
  s.imported.erase(it);
  return Success;
}

void unshare(Allocation &own) {
  if (own.file < 0) return;
  munmap(own.board, board_bytes);
  close(own.file);
}

Board *board_of(uintptr_t address, uint64_t *offset) {
  State &s = state();
  const auto look = [&](auto &known) -> Board * {
    auto it = known.upper_bound(address);
    if (it == known.begin()) return nullptr;
    auto &[start, memory] = *--it;
    *offset = address - start;
    return address < (uintptr_t)memory.base + memory.mapped ? memory.board : nullptr;
  };
  if (Board *own = look(s.allocations)) return own;
  return look(s.imported);
}

} // namespace host
