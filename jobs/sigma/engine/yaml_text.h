#pragma once

#include <string_view>

namespace weir::sigma {

/// Returns whether the YAML library can be given `yaml`. Texts with errors it refuses, but on some
/// it goes on until there is no memory.
[[nodiscard]] bool CanBeReadAsYaml(std::string_view yaml);

}  // namespace weir::sigma
