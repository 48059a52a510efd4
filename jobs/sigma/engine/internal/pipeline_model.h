#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/sigma/engine/correlation_rule.h"
#include "jobs/sigma/engine/internal/yaml_reader.h"
#include "jobs/sigma/engine/rule_document.h"

namespace weir::sigma {

/// Variables of pipelines: each a list of values.
using PipelineVariables = std::map<std::string, std::vector<std::string>>;

/// What a pipeline works on: a rule or a correlation.
struct PipelineSubject {
  RuleDocument* rule = nullptr;
  CorrelationRule* correlation = nullptr;
  const std::vector<std::shared_ptr<const Rule>>* rules = nullptr;  ///< Of correlations.
};

/// What the items of a pipeline leave for those behind them, while one rule passes.
struct PipelineState {
  const PipelineVariables* variables = nullptr;
  std::map<std::string, std::string> values;                   ///< Of set_state.
  std::set<std::string> applied;                               ///< Ids of items applied.
  std::map<std::string, std::set<std::string>> field_applied;  ///< Ids of items by resulting field.
  std::set<std::string> mapped_fields;                         ///< Names mapped, and their results.
};

/// Conditions of one kind with the way they are joined.
template <class... Arguments>
struct ConditionGroup {
  using Condition = std::function<bool(const Arguments&..., const PipelineState&)>;

  std::vector<Condition> conditions;
  bool any = false;      ///< One suffices; else all must hold.
  bool negated = false;  ///< The result is turned round.
  /// Instead of `any`: a formula whose tests carry the index of a condition in `number`.
  std::optional<Expression> formula;

  /// Returns true if there is no condition.
  bool Holds(const Arguments&... arguments, const PipelineState& state) const {
    if (conditions.empty()) return true;
    const auto holds = [&](const Condition& condition) { return condition(arguments..., state); };
    bool result = false;
    if (formula) {
      result = Evaluate(*formula, holds);
    } else if (any) {
      for (const Condition& condition : conditions) result = result || holds(condition);
    } else {
      result = true;
      for (const Condition& condition : conditions) result = result && holds(condition);
    }
    return result != negated;
  }

 private:
  template <class Holds>
  bool Evaluate(const Expression& expression, const Holds& holds) const {
    switch (expression.kind) {
      case Expression::Kind::kTest:
        return holds(conditions[static_cast<size_t>(expression.predicate->number)]);
      case Expression::Kind::kNot:
        return !Evaluate(expression.children.front(), holds);
      default:
        break;
    }
    size_t holding = 0;
    for (const Expression& child : expression.children) holding += Evaluate(child, holds) ? 1 : 0;
    if (expression.kind == Expression::Kind::kAnd) return holding == expression.children.size();
    return holding >= std::max<size_t>(expression.count, 1);
  }
};

using RuleConditions = ConditionGroup<PipelineSubject>;
using ItemConditions = ConditionGroup<DetectionItem>;
using FieldConditions = ConditionGroup<std::string>;

struct ProcessingItem;
/// Changes a rule or correlation.
using Transformation =
    std::function<absl::Status(const ProcessingItem&, const PipelineSubject&, PipelineState&)>;

/// One step of a pipeline.
struct ProcessingItem {
  std::string id;    ///< Made up where the file gives none.
  std::string type;  ///< As written.
  SourcePlace place;
  RuleConditions rule_conditions;
  ItemConditions item_conditions;
  FieldConditions field_conditions;
  Transformation transformation;

  /// Applies the transformation if the rule conditions hold. Errors name the item.
  [[nodiscard]] absl::Status Apply(const PipelineSubject& subject, PipelineState& state) const;

  /// Whether detection item conditions hold, and field name conditions for the field or a field
  /// that a value refers to.
  [[nodiscard]] bool Matches(const DetectionItem& item, const PipelineState& state) const;
};

/// Reads the keys of a map one by one, so that those that nobody asked for can be refused.
class KeyReader {
 public:
  /// `map` must be a map.
  explicit KeyReader(const YAML::Node& map) : map_(map) {}

  /// Returns what lies under `key`, or an undefined node.
  YAML::Node Take(const char* key);
  /// Errors: kInvalidArgument if it is missing or no scalar.
  absl::StatusOr<std::string> TakeText(const char* key);
  /// Returns `otherwise` if it is missing. Errors: kInvalidArgument if it is no boolean.
  absl::StatusOr<bool> TakeBool(const char* key, bool otherwise);
  /// Errors: kInvalidArgument if it is missing, or no text or list of texts.
  absl::StatusOr<std::vector<std::string>> TakeTexts(const char* key);
  /// Reads a map of texts to a text or a list of texts.
  absl::StatusOr<std::vector<std::pair<std::string, std::vector<std::string>>>> TakeMapping(
      const char* key);

  /// Errors: kInvalidArgument naming the first key that was not taken.
  [[nodiscard]] absl::Status RefuseOthers() const;

  [[nodiscard]] absl::Status Missing(const char* key) const;
  [[nodiscard]] const YAML::Node& map() const { return map_; }

 private:
  const YAML::Node map_;
  std::vector<std::string> taken_;
};

/// Reads conditions of an item: `rule_conditions`, `rule_cond_op`, `rule_cond_not`,
/// `rule_cond_expr` and the like for detection items and field names.
[[nodiscard]] absl::Status ReadConditionGroups(KeyReader& keys, ProcessingItem& item);

/// Reads the transformation of `item.type`. Errors: kInvalidArgument, kUnimplemented.
[[nodiscard]] absl::StatusOr<Transformation> ReadTransformation(const std::string& type,
                                                                KeyReader& keys);
/// Parts of ReadTransformation: those of fields and rules, and those of values. Nothing if the type
/// is none of them.
[[nodiscard]] absl::StatusOr<std::optional<Transformation>> ReadFieldTransformation(
    const std::string& type, KeyReader& keys);
[[nodiscard]] absl::StatusOr<std::optional<Transformation>> ReadValueTransformation(
    const std::string& type, KeyReader& keys);

/// Calls `change` for every node of the rule's selections that is an item for which the conditions
/// of `item` hold. `change` may put a selection of several items in its place; it returns whether
/// it changed anything. Correlations have no items.
using ItemChange = std::function<absl::StatusOr<bool>(Selection& node)>;
[[nodiscard]] absl::Status ChangeItems(const ProcessingItem& item, const PipelineSubject& subject,
                                       PipelineState& state, const ItemChange& change);

/// Reads a list of items; `number` of the first is 1. Errors name the item.
[[nodiscard]] absl::StatusOr<std::vector<ProcessingItem>> ReadProcessingItems(
    const YAML::Node& list);

}  // namespace weir::sigma
