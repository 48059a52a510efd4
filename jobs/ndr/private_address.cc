#include "jobs/ndr/private_address.h"

#include <arpa/inet.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace weir::ndr {
namespace {

bool IsPrivateV4(const uint8_t* octets) {
  return octets[0] == 10 || (octets[0] == 172 && (octets[1] & 0xf0) == 16) ||
         (octets[0] == 192 && octets[1] == 168);
}

bool IsPrivateV6(const std::array<uint8_t, 16>& bytes) {
  constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(bytes.data(), kMappedPrefix, sizeof kMappedPrefix) == 0) {
    return IsPrivateV4(bytes.data() + sizeof kMappedPrefix);
  }
  return (bytes[0] & 0xfe) == 0xfc;
}

}  // namespace

bool IsPrivateAddress(std::string_view address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  address = address.substr(0, address.find('%'));  // Without the zone of an IPv6 address.
  if (address.size() >= text.size()) return false;
  std::memcpy(text.data(), address.data(), address.size());
  std::array<uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, text.data(), bytes.data()) == 1) return IsPrivateV4(bytes.data());
  return inet_pton(AF_INET6, text.data(), bytes.data()) == 1 && IsPrivateV6(bytes);
}

}  // namespace weir::ndr
