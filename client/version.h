#pragma once

#include <string_view>

namespace weir {

/// The version of this build.
inline constexpr std::string_view kVersion = WEIR_VERSION;

}  // namespace weir
