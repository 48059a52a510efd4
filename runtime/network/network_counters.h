#pragma once

#include <atomic>
#include <cstdint>

namespace weir {

/// What a data server or data client has moved so far. Threads: any; the numbers order nothing.
struct NetworkCounters {
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> bytes_received{0};
  std::atomic<uint64_t> frames_sent{0};
  std::atomic<uint64_t> frames_received{0};
  std::atomic<int64_t> num_connections{0};  // Open now.
};

}  // namespace weir
