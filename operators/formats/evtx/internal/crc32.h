#pragma once

#include <cstdint>
#include <string_view>

namespace weir::evtx {

/// Returns the CRC-32 (IEEE 802.3) of what gave `crc` followed by `bytes`; begin with zero.
[[nodiscard]] uint32_t Crc32(std::string_view bytes, uint32_t crc = 0);

}  // namespace weir::evtx
