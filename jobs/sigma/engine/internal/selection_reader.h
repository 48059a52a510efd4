#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/detection.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {

/// Reads a search identifier's content: a map of fields (all hold), a keyword, or a list of both
/// (any of them holds). Errors: kInvalidArgument with field, modifier and place.
[[nodiscard]] absl::StatusOr<Selection> ReadSelection(const YAML::Node& node);

/// A `detection` section, or the like of a filter.
struct DetectionSection {
  std::vector<NamedSelection> selections;
  std::vector<ConditionText> conditions;  ///< Any of them holds.
};

/// Reads a section of selections and a `condition`. `other_keys` are no selections and left out.
/// Errors: kInvalidArgument naming selection, field and modifier, with the place.
[[nodiscard]] absl::StatusOr<DetectionSection> ReadDetectionSection(
    const YAML::Node& section, const std::string& name,
    const std::vector<std::string_view>& other_keys);

}  // namespace weir::sigma
