#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/detection.h"

namespace weir::sigma {

/// A scalar of a rule file.
struct RuleValue {
  enum class Type { kString, kNumber, kBool, kNull };
  Type type = Type::kString;
  std::string text;
};

/// Reads one line of a selection, `field|modifier|…: values`. An empty field name means keywords.
///
/// Modifiers apply in the order written. Errors: kInvalidArgument naming the modifier, the value
/// and how to mend it, without rule, selection and field, which the caller adds.
[[nodiscard]] absl::StatusOr<DetectionItem> MakeDetectionItem(std::string_view key,
                                                              const std::vector<RuleValue>& values);

/// Returns the value that a scalar means where no modifier applies.
[[nodiscard]] DetectionValue PlainValue(const RuleValue& value);

}  // namespace weir::sigma
