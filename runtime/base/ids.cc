#include "runtime/base/ids.h"

#include <sys/random.h>

#include <cstdlib>

#include "absl/status/status.h"
#include "runtime/base/strings.h"

namespace weir::internal {

std::string FormatHexId(uint64_t high, uint64_t low) {
  return absl::StrCat(absl::Hex(high, absl::kZeroPad16), absl::Hex(low, absl::kZeroPad16));
}

absl::StatusOr<std::array<uint64_t, 2>> ParseHexId(std::string_view text) {
  std::array<uint64_t, 2> parts{};
  bool valid = text.size() == 32;
  for (size_t i = 0; valid && i < text.size(); ++i) {
    const char c = text[i];
    uint64_t digit = 0;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint64_t>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint64_t>(c - 'A') + 10;
    } else {
      valid = false;
    }
    parts[i / 16] = (parts[i / 16] << 4) | digit;
  }
  if (!valid) {
    return absl::InvalidArgumentError(
        StrCat("not an id; an id is 32 hexadecimal digits: \"", text, "\""));
  }
  return parts;
}

std::array<uint64_t, 2> RandomHexId() {
  std::array<uint64_t, 2> parts{};
  if (getrandom(parts.data(), sizeof(parts), 0) != static_cast<ssize_t>(sizeof(parts)))
    std::abort();
  return parts;
}

}  // namespace weir::internal
