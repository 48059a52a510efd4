#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/detection.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// The selections of a rule by name; nothing where a pipeline dropped all of one.
using Selections = std::map<std::string, std::optional<Expression>, std::less<>>;

/// Reads a Sigma condition and replaces the names in it by their selections.
///
/// Grammar, loosest first: `or`, `and`, `not`, then `( … )`, a name, or `1|N|any|all of
/// them|name|glob`. Words are caseless. `them` and globs take no name that begins with an
/// underscore, unless the glob does too. Dropped selections are left out of `and`, `or` and `of`;
/// the result is nothing if none is left. Errors: kInvalidArgument with the place; kUnimplemented
/// for aggregations (`| count() …`).
///
/// Each time a selection is named it is put in anew. `nodes_left` says how many nodes may come so,
/// and is lowered by those that did; null: kMostConditionNodes.
[[nodiscard]] absl::StatusOr<std::optional<Expression>> ParseCondition(
    std::string_view text, const Selections& selections, size_t* nodes_left = nullptr);

/// Reads a condition over selections that each stand for one test: for checks of the condition
/// alone. Errors: as above, with the condition and its place.
[[nodiscard]] absl::StatusOr<std::optional<Expression>> ConditionShape(
    const ConditionText& condition, const std::vector<NamedSelection>& selections);

}  // namespace weir::sigma
