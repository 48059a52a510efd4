#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir {

/// A number of bytes, as people write it: "64 mb", "1g", "512". Units are powers of 1,024.
class MemorySize {
 public:
  constexpr MemorySize() = default;
  constexpr explicit MemorySize(int64_t bytes) : bytes_(bytes) {}

  [[nodiscard]] static constexpr MemorySize Kibibytes(int64_t n) { return MemorySize(n << 10); }
  [[nodiscard]] static constexpr MemorySize Mebibytes(int64_t n) { return MemorySize(n << 20); }
  [[nodiscard]] static constexpr MemorySize Gibibytes(int64_t n) { return MemorySize(n << 30); }

  [[nodiscard]] constexpr int64_t bytes() const { return bytes_; }

  friend constexpr auto operator<=>(MemorySize, MemorySize) = default;

 private:
  int64_t bytes_ = 0;
};

/// Parses "5 s", "100ms", "1.5 min", "2 hours"; a plain number is milliseconds. Units: ns, us, ms,
/// s, min (or m), h, d and their English names. Errors: kInvalidArgument with the text, the
/// expected form and an example, also for negative durations and those above 292 years.
[[nodiscard]] absl::StatusOr<absl::Duration> ParseDurationText(std::string_view text);

/// Returns `duration`, cut to nanoseconds, in the largest unit that divides it: "1 min", "90 s", "0
/// ms".
[[nodiscard]] std::string FormatDurationText(absl::Duration duration);

/// Parses "64 mb", "1g", "1.5 kb"; a plain number is bytes. Units: b, k, m, g, t, each also as kb
/// or kib. Errors: kInvalidArgument with the text, the expected form and an example.
[[nodiscard]] absl::StatusOr<MemorySize> ParseMemorySize(std::string_view text);

/// Returns `size` in the largest unit that divides it: "64 mb", "1 gb", "1000 bytes".
[[nodiscard]] std::string ToString(MemorySize size);

}  // namespace weir
