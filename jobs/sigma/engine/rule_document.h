#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jobs/sigma/engine/detection.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// A condition that a filter or a pipeline adds to a rule, with selections of its own.
struct Guard {
  enum class Kind : uint8_t {
    kRequire,  ///< The rule matches only where it holds,
    kExclude,  ///< or only where it does not.
    /// Of a filter: excludes what the condition describes. A condition that holds where no
    /// selection of it does (`not selection`) describes what remains instead, and is required.
    kFilter,
  };
  Kind kind = Kind::kRequire;
  std::vector<NamedSelection> selections;
  ConditionText condition;
  std::string origin;  ///< The filter's title or the processing item's id, for messages.
};

/// A detection rule as read, before its selections become formulas: what filters and pipelines work
/// on.
///
/// Lifecycle: read from YAML, changed by filters and then by pipelines, finished into a Rule.
struct RuleDocument {
  Rule head;  ///< All but condition and selections.
  std::vector<NamedSelection> selections;
  std::vector<ConditionText> conditions;  ///< Any of them holds.
  std::vector<Guard> guards;
  std::map<std::string, std::string> attributes;  ///< Further top-level scalars of the rule.
  std::set<std::string> applied;  ///< Ids of the processing items that were applied to it.
};

/// Calls `visit(Selection&)` for the selections of the rule and of its guards.
template <class Visitor>
void ForEachSelection(RuleDocument& document, const Visitor& visit) {
  for (NamedSelection& named : document.selections) visit(named.selection);
  for (Guard& guard : document.guards) {
    for (NamedSelection& named : guard.selections) visit(named.selection);
  }
}
template <class Visitor>
void ForEachSelection(const RuleDocument& document, const Visitor& visit) {
  for (const NamedSelection& named : document.selections) visit(named.selection);
  for (const Guard& guard : document.guards) {
    for (const NamedSelection& named : guard.selections) visit(named.selection);
  }
}

/// Applies what `options` asks (filters, pipeline, placeholders) and turns the document into a
/// rule. Errors: as of ParseRule.
[[nodiscard]] absl::StatusOr<Rule> FinishRule(RuleDocument document, const RuleOptions& options);

}  // namespace weir::sigma
