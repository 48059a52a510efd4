#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir {

/// The growth of a total per second, over about the last ten seconds of looks at it.
/// Threads: one at a time.
class RateMeter {
 public:
  /// Takes a look: `total` at `now_nanos`, on the monotonic clock. Returns the rate; 0 at the first
  /// look. A total that shrank began anew.
  double Update(double total, int64_t now_nanos);

 private:
  struct Look {
    int64_t nanos = 0;
    double total = 0;
  };
  std::array<Look, 6> looks_ = {};  // A ring; the oldest is followed by the newest.
  size_t next_ = 0;
  size_t size_ = 0;
};

}  // namespace weir
