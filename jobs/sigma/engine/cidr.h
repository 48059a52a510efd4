#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::sigma {

/// An IP address as 16 bytes; IPv4 takes the form of an IPv4-mapped IPv6 address.
using IpAddress = std::array<uint8_t, 16>;

/// Reads an IPv4 or IPv6 address (a zone such as `%eth0` is ignored); nothing if `text` is none.
[[nodiscard]] std::optional<IpAddress> ParseIpAddress(std::string_view text);

/// A block of addresses in CIDR notation. An IPv4 block also holds the IPv4-mapped IPv6 addresses
/// of its hosts.
class CidrBlock {
 public:
  CidrBlock() = default;

  /// Reads `address/bits`, or an address alone for a block of one; host bits may be set. Nothing if
  /// malformed.
  [[nodiscard]] static std::optional<CidrBlock> Parse(std::string_view text);

  [[nodiscard]] bool Contains(const IpAddress& address) const;

 private:
  IpAddress network_{};
  int bits_ = 0;  // Of the 128-bit form.
};

}  // namespace weir::sigma
