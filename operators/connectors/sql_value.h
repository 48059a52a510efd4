#pragma once

#include <cstdint>
#include <string>
#include <variant>

namespace weir {

/// A value of a row in a database; std::monostate is NULL.
using SqlValue = std::variant<std::monostate, int64_t, double, std::string>;

}  // namespace weir
