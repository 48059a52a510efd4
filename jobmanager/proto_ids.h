#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace weir {

namespace internal {
[[nodiscard]] std::string EncodeIdBytes(uint64_t high, uint64_t low);
/// Returns false if `bytes` are not 16 bytes.
[[nodiscard]] bool DecodeIdBytes(std::string_view bytes, uint64_t* high, uint64_t* low);
}  // namespace internal

/// Returns the id as it stands in messages: 16 bytes, two little-endian 64-bit numbers, high first.
template <class Id>
[[nodiscard]] std::string IdToBytes(const Id& id) {
  return internal::EncodeIdBytes(id.high(), id.low());
}

/// Returns the id of a message's field; the null id if the field is no id.
template <class Id>
[[nodiscard]] Id IdFromBytes(std::string_view bytes) {
  uint64_t high = 0;
  uint64_t low = 0;
  return internal::DecodeIdBytes(bytes, &high, &low) ? Id(high, low) : Id();
}

/// Returns the status that a message carries as a code and a text; a code that is none is unknown.
[[nodiscard]] absl::Status StatusFromWire(int code, std::string_view text);

}  // namespace weir
