#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// A scalar of a rule file.
struct RuleValue {
  enum class Type { kString, kNumber, kBool, kNull };
  Type type = Type::kString;
  std::string text;
};

/// The values of placeholders, by name.
using Placeholders = std::map<std::string, std::vector<std::string>>;

/// Turns one line of a selection, `field|modifier|…: values`, into a formula. An empty field name
/// means keywords.
///
/// Modifiers apply in the order written. Errors: kInvalidArgument naming the modifier and how to
/// mend it, without rule, selection and field, which the caller adds; kUnimplemented for time
/// parts.
[[nodiscard]] absl::StatusOr<Expression> MakeFieldItem(std::string_view key,
                                                       const std::vector<RuleValue>& values,
                                                       const Placeholders& placeholders);

}  // namespace weir::sigma
