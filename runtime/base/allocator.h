#pragma once

#include <cstdint>
#include <optional>

namespace weir {

/// What the process's allocator holds of the system.
struct AllocatorStatistics {
  int64_t active_bytes = 0;  ///< Pages with something allocated on them.
  int64_t resident_bytes =
      0;  ///< These, what the allocator needs itself, and freed pages it keeps.
};

/// Returns nothing where the process is not linked with jemalloc, as under sanitizers. Takes some
/// tens of microseconds. Threads: any.
[[nodiscard]] std::optional<AllocatorStatistics> ReadAllocatorStatistics();

/// Makes the allocator give freed pages back within about a second, on a thread of its own, so that
/// what is resident follows what is in use. For the begin of main; does nothing without jemalloc.
void GiveFreedMemoryBackSoon();

/// Makes the allocator give all freed pages back now. Takes milliseconds for some hundred
/// mebibytes. Does nothing without jemalloc. Threads: any.
void GiveFreedMemoryBackNow();

}  // namespace weir
