#pragma once

#include <ctime>

namespace weir {

/// User and system time of this process so far, all threads.
[[nodiscard]] inline double CpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace weir
