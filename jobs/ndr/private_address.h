#pragma once

#include <string_view>

namespace weir::ndr {

/// Whether `address` is of an internal network: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
/// fc00::/7, or one of these three in IPv4-mapped form. False for text that is no address.
[[nodiscard]] bool IsPrivateAddress(std::string_view address);

}  // namespace weir::ndr
