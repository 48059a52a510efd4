#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weir::correlation {

/// Which signals of one entity, close together in time, make a detection.
struct CorrelationRule {
  std::string id;
  std::string name;
  std::vector<std::string> required_signals;  ///< Types; at least one, each once.
  absl::Duration time_window;  ///< Between the first and the last of them, inclusive.
  std::string detection_type;
  std::string severity;
  std::string confidence;
  std::string technique;  ///< ATT&CK ids, several with ", " between; empty if the rule names none.

  [[nodiscard]] bool Requires(std::string_view signal_type) const;
};

/// Reads the rules in `json`: one object, or an array of objects. `source` names the text in
/// errors. Fields a correlation does not need (description, recommended_actions, …) are passed
/// over.
///
/// Errors: kInvalidArgument naming source, rule, field, what was found and what is accepted.
[[nodiscard]] absl::StatusOr<std::vector<CorrelationRule>> ParseCorrelationRules(
    std::string_view json, std::string_view source);

}  // namespace weir::correlation
