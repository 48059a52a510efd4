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
#include "jobs/sigma/engine/source_place.h"

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

/// A rule that another one names under `related`.
struct RelatedRule {
  std::string id;
  std::string type;  ///< derived, obsolete, merged, renamed or similar.
};

/// What a rule says about itself besides what it detects. All of it may be empty.
struct RuleMetadata {
  std::string description;
  std::string author;
  std::string date;      ///< As written.
  std::string modified;  ///< As written.
  std::string license;
  std::string taxonomy;
  std::vector<std::string> tags;  ///< As written, techniques among them.
  std::vector<std::string> references;
  std::vector<std::string> false_positives;
  std::vector<std::string> fields;  ///< Fields to show to an analyst.
  std::vector<std::string> scope;
  std::vector<RelatedRule> related;
};

/// A search identifier of a rule, resolved. For explanations; matching reads Rule::condition.
struct RuleSelection {
  std::string name;
  Expression expression;
};

/// A Sigma detection rule, ready to be compiled into a set. Immutable once shared.
struct Rule {
  std::string id;
  std::string title;
  std::string name;   ///< What correlations and filters may call it; often empty.
  std::string level;  ///< Lower case; "medium" when the rule names none.
  std::string status;
  LogSource log_source;
  std::vector<Technique> techniques;
  RuleMetadata metadata;
  SourcePlace place;  ///< Where the rule begins in its text.
  Expression condition;
  std::vector<RuleSelection> selections;  ///< In written order; those of filters come last.
  std::string condition_text;             ///< As written; several are joined by ` or `.
};

class Pipeline;
struct RuleFilter;

/// What the caller knows better than the rule's text.
struct RuleOptions {
  std::optional<std::string> id;
  std::optional<std::string> title;
  std::optional<std::string> level;
  std::optional<std::vector<Technique>> techniques;
  /// Values of the placeholders of `expand`, by name without the percent signs. They fill what
  /// `pipeline` leaves open.
  std::map<std::string, std::vector<std::string>> placeholders;
  /// Changes rules before they become formulas; may be null.
  std::shared_ptr<const Pipeline> pipeline;
  /// Applied, before the pipeline, to the rules that they name.
  std::vector<std::shared_ptr<const RuleFilter>> filters;
};

/// Reads one rule from `yaml`, which must hold exactly one document.
///
/// Errors: kInvalidArgument for a malformed rule, or for one that a pipeline refuses;
/// kUnimplemented for what is no rule by itself (correlations and filters, see rule_files.h) and
/// for aggregations behind `|`. The message names rule, selection, field and modifier;
/// PlaceOf(status) tells line and column.
[[nodiscard]] absl::StatusOr<Rule> ParseRule(std::string_view yaml,
                                             const RuleOptions& options = {});

/// Reads every document of `yaml`; one result per rule, so a broken one harms no other. Documents
/// with `action: global`, `reset` and `repeat` shape the ones behind them and give no result of
/// their own, save `repeat`. Never empty.
[[nodiscard]] std::vector<absl::StatusOr<Rule>> ParseRules(std::string_view yaml,
                                                           const RuleOptions& options = {});

}  // namespace weir::sigma
