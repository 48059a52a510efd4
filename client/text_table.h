#pragma once

#include <string>
#include <vector>

namespace weir {

/// Returns rows as text, columns aligned by spaces; every row has as many cells as the first.
[[nodiscard]] std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace weir
