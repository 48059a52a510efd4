#pragma once

#include <array>
#include <string>
#include <string_view>

namespace weir::sigma {

/// Returns standard Base64 with padding.
[[nodiscard]] std::string Base64Encode(std::string_view bytes);

/// Returns, for each of the three places that `bytes` can take in a longer text, the part of its
/// Base64 form that does not depend on the bytes around it.
[[nodiscard]] std::array<std::string, 3> Base64OffsetForms(std::string_view bytes);

/// Returns `text`, UTF-8, as UTF-16 bytes without byte order mark.
[[nodiscard]] std::string EncodeUtf16(std::string_view text, bool big_endian);

}  // namespace weir::sigma
