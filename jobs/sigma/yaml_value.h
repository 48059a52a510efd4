#pragma once

#include <string_view>

#include "absl/status/statusor.h"
#include "jobs/sigma/parser/event_value.h"

namespace weir::sigma {

/// Reads one document of YAML as JSON has it. Plain scalars have the types of YAML 1.1, as PyYAML
/// reads them: numbers, booleans (also yes, no, on, off), null; what is quoted is a text. Errors:
/// kInvalidArgument with line and column.
[[nodiscard]] absl::StatusOr<EventValue> ReadYamlValue(std::string_view yaml);

}  // namespace weir::sigma
