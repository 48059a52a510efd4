#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/detection.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Returns `children` joined by `kind`; a single child stays alone, except under kNot.
[[nodiscard]] Expression JoinExpressions(Expression::Kind kind, std::vector<Expression> children);

/// Returns the opposite of `operand`.
[[nodiscard]] Expression Negation(Expression operand);

/// Turns a detection item into a formula over predicates.
///
/// Of several field names any may fulfil a value; only null and `exists: false` ask all of them.
/// Errors: kInvalidArgument for an expression or block that cannot be read, and for placeholders
/// that got no values, with the place of the item.
[[nodiscard]] absl::StatusOr<Expression> LowerItem(const DetectionItem& item);

/// Turns a selection into a formula; nothing if pipelines left no item of it.
[[nodiscard]] absl::StatusOr<std::optional<Expression>> LowerSelection(const Selection& selection);

}  // namespace weir::sigma
