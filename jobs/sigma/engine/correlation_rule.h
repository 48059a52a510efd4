#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "jobs/sigma/engine/rule.h"
#include "jobs/sigma/engine/source_place.h"

namespace weir::sigma {

/// What a correlation looks for in the events of one group within its time span.
enum class CorrelationType : uint8_t {
  kEventCount,       ///< The number of events.
  kValueCount,       ///< The number of different values of a field, or of tuples of several.
  kTemporal,         ///< Events of all rules (or of a boolean expression of rules), in any order.
  kTemporalOrdered,  ///< The same, in the order in which the rules are named.
  kValueSum,         ///< The sum of a number.
  kValueAvg,         ///< Its mean.
  kValuePercentile,  ///< One of its percentiles; see CorrelationCondition::percentile.
  kValueMedian,      ///< Its median.
};

/// Returns the word of rule files, such as `event_count`.
[[nodiscard]] std::string_view CorrelationTypeName(CorrelationType type);

/// One bound of a condition: `value OPERATOR limit`.
struct CorrelationBound {
  enum class Operator : uint8_t {
    kLess,
    kLessOrEqual,
    kGreater,
    kGreaterOrEqual,
    kEqual,
    kNotEqual
  };
  Operator op = Operator::kGreaterOrEqual;
  double limit = 0;

  [[nodiscard]] bool Holds(double value) const;
};

/// A boolean expression over rules, of temporal correlations: `login and not logout`.
struct CorrelationExpression {
  enum class Kind : uint8_t { kRule, kAnd, kOr, kNot };
  Kind kind = Kind::kRule;
  size_t rule = 0;  ///< Of kRule: index in CorrelationRule::rules.
  std::vector<CorrelationExpression> children;
};

/// When a correlation fires.
struct CorrelationCondition {
  std::vector<CorrelationBound> bounds;  ///< All must hold; empty if `expression` is set.
  std::vector<std::string> fields;       ///< Whose values are looked at; of the value types only.
  /// Of kValuePercentile: which percentile of the numbers is compared (pySigma's reading). Nothing:
  /// the bounds are percentages, and ask for values among the rarest of all that the field took
  /// (the specification's reading).
  std::optional<double> percentile;
  std::optional<CorrelationExpression> expression;
};

/// A rule, or a correlation, whose matches a correlation reads.
struct CorrelationReference {
  std::string reference;  ///< As written: an id or a name.
  SourcePlace place;
  /// Set once resolved: the id of what is meant, and whether that is a correlation itself.
  std::string id;
  bool is_correlation = false;
};

/// A field that events of different rules hold under different names.
struct CorrelationAlias {
  std::string name;  ///< As `group-by` and `field` call it.
  /// The field's name in the matches of rules[i]; empty where the alias does not mention the rule,
  /// whose events then belong to no group.
  std::vector<std::string> fields;
};

/// A Sigma correlation rule: a condition on the matches of other rules, within a time span and a
/// group. Immutable once shared.
///
/// Made for a keyed stateful operator: the key of a match of rules[i] is the tuple FieldOf(i,
/// field) over `group_by`; what it keeps is the matches of the last `timespan`.
struct CorrelationRule {
  std::string id;
  std::string title;
  std::string name;
  std::string level;  ///< Lower case; "medium" when the rule names none.
  std::string status;
  std::vector<Technique> techniques;
  RuleMetadata metadata;
  SourcePlace place;

  CorrelationType type = CorrelationType::kEventCount;
  std::vector<CorrelationReference> rules;  ///< In written order, which kTemporalOrdered asks for.
  std::vector<std::string> group_by;        ///< Fields or aliases; empty: one group for all.
  absl::Duration timespan;                  ///< Above zero.
  CorrelationCondition condition;
  std::vector<CorrelationAlias> aliases;
  /// Whether the rules named also report their own matches; if not, they only feed this
  /// correlation.
  bool generate = false;

  /// Returns the field that `field`, of `group_by` or the condition, means in matches of
  /// rules[rule]; empty if an alias does not cover that rule.
  [[nodiscard]] std::string_view FieldOf(size_t rule, std::string_view field) const;
};

/// What a set of correlations comes to once its references are looked up.
struct ResolvedCorrelations {
  /// Each behind those that it names.
  std::vector<std::shared_ptr<const CorrelationRule>> correlations;
  /// Ids of rules that report no matches of their own, because only correlations that do not
  /// `generate` name them. Sorted.
  std::vector<std::string> silent_rules;
  struct Failure {
    size_t index = 0;  ///< In the input.
    absl::Status status;
  };
  std::vector<Failure> failures;
};

/// Looks up what each of `correlations` names among `rules` and among themselves, by id or name.
///
/// Failures: a name that nothing has (dangling), one that several have, correlations that name each
/// other in a circle, and those that name a correlation which failed. kInvalidArgument.
[[nodiscard]] ResolvedCorrelations ResolveCorrelations(
    std::vector<CorrelationRule> correlations,
    const std::vector<std::shared_ptr<const Rule>>& rules);

}  // namespace weir::sigma
