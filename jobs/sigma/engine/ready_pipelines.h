#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace weir::sigma {

/// A pipeline that comes with the library.
struct ReadyPipeline {
  std::string_view name;  ///< Such as `windows`.
  std::string_view yaml;
};

/// Returns all of them, by name.
[[nodiscard]] const std::vector<ReadyPipeline>& ReadyPipelines();

/// Returns the text of one; nothing if there is none of that name.
[[nodiscard]] std::optional<std::string_view> FindReadyPipeline(std::string_view name);

}  // namespace weir::sigma
