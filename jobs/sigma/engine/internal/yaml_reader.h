#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/internal/modifiers.h"
#include "jobs/sigma/engine/source_place.h"
#include "yaml-cpp/yaml.h"

namespace weir::sigma {

/// Where `node` begins.
[[nodiscard]] SourcePlace PlaceOf(const YAML::Node& node);

/// Returns the scalar under `key`, or an empty text if there is none.
[[nodiscard]] std::string TextAt(const YAML::Node& map, const char* key);

/// Reads a scalar with the type that YAML gives it. Errors: kInvalidArgument for lists and maps.
[[nodiscard]] absl::StatusOr<RuleValue> ReadScalar(const YAML::Node& node);

/// Reads a scalar or a list of scalars.
[[nodiscard]] absl::StatusOr<std::vector<RuleValue>> ReadScalars(const YAML::Node& node);

/// Reads a text or a list of texts under `key`; empty if there is none. Errors: kInvalidArgument
/// naming the key.
[[nodiscard]] absl::StatusOr<std::vector<std::string>> ReadTexts(const YAML::Node& map,
                                                                 const char* key);

/// Reads all documents of `yaml`; empty ones are left out. Errors: kInvalidArgument, with the
/// place, if it is no YAML or nests too deeply.
[[nodiscard]] absl::StatusOr<std::vector<YAML::Node>> ReadYaml(std::string_view yaml);

}  // namespace weir::sigma
