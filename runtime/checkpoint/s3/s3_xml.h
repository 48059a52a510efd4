#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::internal {

// XML as far as S3's answers go: no attributes are looked at, no CDATA, no element within one of
// the same name.

/// Returns the texts of all elements `name` in `xml`; entities are resolved in those that hold no
/// elements.
[[nodiscard]] std::vector<std::string> XmlElements(std::string_view xml, std::string_view name);
/// Returns the first of them, or nothing.
[[nodiscard]] std::string XmlElement(std::string_view xml, std::string_view name);
/// Writes text so that XML takes it.
[[nodiscard]] std::string XmlEscape(std::string_view text);

}  // namespace weir::internal
