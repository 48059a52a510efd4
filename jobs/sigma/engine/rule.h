#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/engine/predicate.h"

namespace weir::sigma {

/// What kind of log a rule reads, or an event is of. In a rule, an empty part accepts everything.
struct LogSource {
  std::string product;
  std::string category;
  std::string service;

  /// Returns whether an event of `event_source` is in the scope of this rule's log source; case
  /// does not matter.
  [[nodiscard]] bool Accepts(const LogSource& event_source) const;

  friend bool operator==(const LogSource&, const LogSource&) = default;
};

/// A technique of MITRE ATT&CK, such as T1059.001; the name is known only where somebody gave it.
struct Technique {
  std::string id;
  std::optional<std::string> name;
};

/// The condition of a rule with its selections resolved: a formula over predicates.
struct Expression {
  enum class Kind : uint8_t { kTest, kAnd, kOr, kNot, kAtLeast };

  Kind kind = Kind::kTest;
  std::vector<Expression> children;            ///< Of kNot exactly one, of the others at least one.
  std::shared_ptr<const Predicate> predicate;  ///< Of kTest only.
  uint32_t count = 0;                          ///< Of kAtLeast: how many children must hold.
  std::string selection;  ///< Name of the selection that this node stands for, if it is one.
};

/// A Sigma detection rule, ready to be compiled into a set. Immutable once shared.
struct Rule {
  std::string id;
  std::string title;
  std::string level;  ///< Lower case; "medium" when the rule names none.
  std::string status;
  LogSource log_source;
  std::vector<Technique> techniques;
  Expression condition;
};

/// What the caller knows better than the rule's text.
struct RuleOptions {
  std::optional<std::string> id;
  std::optional<std::string> title;
  std::optional<std::string> level;
  std::optional<std::vector<Technique>> techniques;
  /// Values of the placeholders of `expand`, by name without the percent signs.
  std::map<std::string, std::vector<std::string>> placeholders;
};

/// Reads one rule from `yaml`, which must hold exactly one document.
///
/// Errors: kInvalidArgument for a malformed rule, kUnimplemented for a construct that this version
/// does not have (correlations, filters, old aggregations, time parts). The message names rule,
/// selection, field and modifier.
[[nodiscard]] absl::StatusOr<Rule> ParseRule(std::string_view yaml,
                                             const RuleOptions& options = {});

/// Reads every document of `yaml`; one result per document, so a broken one harms no other. Never
/// empty.
[[nodiscard]] std::vector<absl::StatusOr<Rule>> ParseRules(std::string_view yaml,
                                                           const RuleOptions& options = {});

}  // namespace weir::sigma
