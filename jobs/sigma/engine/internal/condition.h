#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// The selections of a rule by name.
using Selections = std::map<std::string, Expression, std::less<>>;

/// Reads a Sigma condition and replaces the names in it by their selections.
///
/// Grammar, loosest first: `or`, `and`, `not`, then `( … )`, a name, or `1|N|any|all of
/// them|name|glob`. Words are caseless. `them` and globs take no name that begins with an
/// underscore, unless the glob does too. Errors: kInvalidArgument with the place; kUnimplemented
/// for aggregations (`| count() …`).
[[nodiscard]] absl::StatusOr<Expression> ParseCondition(std::string_view text,
                                                        const Selections& selections);

}  // namespace weir::sigma
