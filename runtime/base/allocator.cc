#include "runtime/base/allocator.h"

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "runtime/base/strings.h"

// Of jemalloc, which programs are linked with and this library is not: null where it is missing.
extern "C" [[gnu::weak]] int mallctl(const char* name, void* old_value, size_t* old_size,
                                     void* new_value, size_t new_size);

namespace weir {

namespace {

constexpr ssize_t kDecayMs = 1000;
// jemalloc's index that means all arenas.
constexpr unsigned kAllArenas = 4096;

template <class T>
bool Read(const char* name, T* value) {
  size_t size = sizeof(*value);
  return mallctl(name, value, &size, nullptr, 0) == 0;
}

template <class T>
bool Write(const std::string& name, T value) {
  return mallctl(name.c_str(), nullptr, nullptr, &value, sizeof(value)) == 0;
}

}  // namespace

std::optional<AllocatorStatistics> ReadAllocatorStatistics() {
  if (mallctl == nullptr) return std::nullopt;
  size_t active = 0;
  size_t resident = 0;
  // Statistics are as of the last epoch.
  if (!Write("epoch", uint64_t{1}) || !Read("stats.active", &active) ||
      !Read("stats.resident", &resident)) {
    return std::nullopt;
  }
  return AllocatorStatistics{static_cast<int64_t>(active), static_cast<int64_t>(resident)};
}

void GiveFreedMemoryBackSoon() {
  if (mallctl == nullptr) return;
  static_cast<void>(Write("arenas.dirty_decay_ms", kDecayMs));  // Of arenas made from now on.
  unsigned num_arenas = 0;
  if (Read("arenas.narenas", &num_arenas)) {
    for (unsigned i = 0; i < num_arenas; ++i) {
      // Fails for those that are not in use yet.
      static_cast<void>(Write(StrCat("arena.", i, ".dirty_decay_ms"), kDecayMs));
    }
  }
  static_cast<void>(Write("background_thread", true));
}

void GiveFreedMemoryBackNow() {
  if (mallctl == nullptr) return;
  mallctl(StrCat("arena.", kAllArenas, ".purge").c_str(), nullptr, nullptr, nullptr, 0);
}

}  // namespace weir
