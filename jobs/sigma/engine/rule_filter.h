#pragma once

#include <string>
#include <vector>

#include "jobs/sigma/engine/detection.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/engine/rule_document.h"

namespace weir::sigma {

/// A Sigma filter: tuning that stands beside the rules and silences them for some events.
///
/// Immutable once shared. Applied to a rule that it names and whose log source it covers, it adds a
/// guard to that rule.
struct RuleFilter {
  std::string id;
  std::string title;
  std::string name;
  LogSource log_source;
  bool any_rule = false;           ///< Applies to every rule of the log source.
  std::vector<std::string> rules;  ///< Else: ids or names.
  std::vector<NamedSelection> selections;
  ConditionText condition;
  SourcePlace place;

  /// Whether the filter is meant for `rule`.
  [[nodiscard]] bool AppliesTo(const Rule& rule) const;

  /// Returns what the filter adds to a rule.
  [[nodiscard]] Guard ToGuard() const;
};

}  // namespace weir::sigma
