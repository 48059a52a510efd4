#include "jobs/sigma/engine/cidr.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace weir::sigma {
namespace {

constexpr int kMappedPrefixBits = 96;

bool IsV4Mapped(const IpAddress& address) {
  return std::all_of(address.begin(), address.begin() + 10, [](uint8_t b) { return b == 0; }) &&
         address[10] == 0xff && address[11] == 0xff;
}

}  // namespace

std::optional<IpAddress> ParseIpAddress(std::string_view text) {
  text = text.substr(0, text.find('%'));
  std::array<char, INET6_ADDRSTRLEN + 1> buffer{};
  if (text.size() < 2 || text.size() >= buffer.size()) return std::nullopt;
  std::memcpy(buffer.data(), text.data(), text.size());
  IpAddress address{};
  if (text.find(':') != std::string_view::npos) {
    if (inet_pton(AF_INET6, buffer.data(), address.data()) != 1) return std::nullopt;
    return address;
  }
  if (inet_pton(AF_INET, buffer.data(), address.data() + 12) != 1) return std::nullopt;
  address[10] = address[11] = 0xff;
  return address;
}

std::optional<CidrBlock> CidrBlock::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const std::optional<IpAddress> address = ParseIpAddress(host);
  if (!address) return std::nullopt;
  const bool v4 = host.find(':') == std::string_view::npos;
  const int width = v4 ? 32 : 128;
  int bits = width;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc() || end != digits.data() + digits.size() || bits < 0 || bits > width) {
      return std::nullopt;
    }
  }
  CidrBlock block;
  block.network_ = *address;
  block.bits_ = v4 ? bits + kMappedPrefixBits : bits;
  return block;
}

bool CidrBlock::Contains(const IpAddress& address) const {
  // `::/0` and its like mean IPv6: an IPv4 address is in an IPv6 block only if the block is of
  // mapped addresses.
  if (bits_ < kMappedPrefixBits && IsV4Mapped(address)) return false;
  const size_t whole = static_cast<size_t>(bits_ / 8);
  if (!std::equal(network_.begin(), network_.begin() + static_cast<std::ptrdiff_t>(whole),
                  address.begin())) {
    return false;
  }
  const int rest = bits_ % 8;
  if (rest == 0) return true;
  const int shift = 8 - rest;
  return (network_[whole] >> shift) == (address[whole] >> shift);
}

}  // namespace weir::sigma
