#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::sigma {

/// Hashes short texts fast. For caches whose hits are compared: not for tables that strangers fill.
inline uint64_t HashBytes(std::string_view text, uint64_t seed) {
  constexpr uint64_t kFirst = 0xa0761d6478bd642fu;
  constexpr uint64_t kSecond = 0xe7037ed1a0b428dbu;
  __extension__ using Wide = unsigned __int128;
  const auto load8 = [](const char* at) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    return word;
  };
  const auto mix = [](uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  const char* at = text.data();
  size_t left = text.size();
  uint64_t hash = (seed + 1) * kSecond ^ left;
  for (; left > 16; left -= 16, at += 16) hash = mix(load8(at) ^ kFirst, load8(at + 8) ^ hash);
  if (left >= 8) return mix(load8(at) ^ kFirst, load8(at + left - 8) ^ hash);
  uint64_t tail = 0;
  for (size_t i = 0; i < left; ++i) tail = tail << 8 | static_cast<uint8_t>(at[i]);
  return mix(tail ^ kFirst, hash ^ kSecond);
}

}  // namespace weir::sigma
