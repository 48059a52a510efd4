#pragma once

#include <string>
#include <string_view>

#include "runtime/record/byte_io.h"

namespace weir {

/// Returns the id as messages carry it: two little-endian 64-bit numbers, high first.
template <class Id>
[[nodiscard]] std::string ToWireId(const Id& id) {
  std::string bytes;
  ByteWriter writer(&bytes);
  writer.WriteFixed(id.high());
  writer.WriteFixed(id.low());
  return bytes;
}

/// Returns the id of a message's field; the null id, which nothing is known by, if it is none.
template <class Id>
[[nodiscard]] Id FromWireId(std::string_view bytes) {
  ByteReader reader(bytes);
  uint64_t high = 0;
  uint64_t low = 0;
  if (!reader.ReadFixed(&high) || !reader.ReadFixed(&low) || reader.remaining() != 0) return Id();
  return Id(high, low);
}

}  // namespace weir
