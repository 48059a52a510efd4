#include "jobs/sigma/engine/rule.h"

#include <utility>

#include "jobs/sigma/engine/internal/condition.h"
#include "jobs/sigma/engine/internal/documents.h"
#include "jobs/sigma/engine/internal/lowering.h"
#include "jobs/sigma/engine/internal/rule_limits.h"
#include "jobs/sigma/engine/internal/text_fold.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule_document.h"
#include "jobs/sigma/engine/rule_filter.h"
#include "runtime/base/status_macros.h"
#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// Fills the placeholders for which the caller gave values; others stay.
absl::Status FillPlaceholders(DetectionValue& value,
                              const std::map<std::string, std::vector<std::string>>& placeholders) {
  for (DetectionValue& one : value.alternatives) {
    RETURN_IF_ERROR(FillPlaceholders(one, placeholders));
  }
  if (!value.pattern.HasPlaceholder()) return absl::OkStatus();
  const bool as_written = value.kind != DetectionValue::Kind::kString;
  ASSIGN_OR_RETURN(
      std::vector<Pattern> filled,
      value.pattern.ReplacePlaceholders(
          [&](const std::string& name) -> std::optional<std::vector<Pattern>> {
            const auto found = placeholders.find(name);
            if (found == placeholders.end()) return std::nullopt;
            std::vector<Pattern> patterns;
            for (const std::string& text : found->second) {
              patterns.push_back(as_written ? Pattern::Literal(text) : Pattern::Parse(text));
            }
            return patterns;
          }));
  // A list without values fills nothing: the rule is refused later.
  if (filled.empty()) return absl::OkStatus();
  DetectionValue any;
  any.kind = DetectionValue::Kind::kAnyOf;
  for (Pattern& pattern : filled) {
    any.alternatives.push_back(value);
    any.alternatives.back().pattern = std::move(pattern);
  }
  value = any.alternatives.size() == 1 ? std::move(any.alternatives.front()) : std::move(any);
  return absl::OkStatus();
}

absl::Status FillPlaceholders(RuleDocument& document,
                              const std::map<std::string, std::vector<std::string>>& placeholders) {
  absl::Status status = absl::OkStatus();
  size_t size_bytes = 0;
  const auto fill = [&](DetectionItem& item) {
    for (DetectionValue& value : item.values) {
      if (status.ok()) status = FillPlaceholders(value, placeholders);
      if (status.ok()) size_bytes += SizeOf(value);
      if (status.ok()) status = CheckValueBytes(size_bytes, "modifier=expand");
      if (!status.ok()) {
        status = AddContext(status, StrCat(" field=", item.key), item.place);
        return;
      }
    }
  };
  ForEachSelection(document, [&](Selection& selection) {
    ForEachItem(selection, [&](DetectionItem& item) {
      if (status.ok()) fill(item);
    });
  });
  return status;
}

absl::StatusOr<Selections> LowerSelections(const std::vector<NamedSelection>& named,
                                           std::vector<RuleSelection>& kept) {
  Selections selections;
  for (const NamedSelection& one : named) {
    absl::StatusOr<std::optional<Expression>> expression = LowerSelection(one.selection);
    if (!expression.ok()) {
      return AddContext(expression.status(), StrCat(" selection=", one.name), one.place);
    }
    if (*expression) kept.push_back({one.name, **expression});
    selections[one.name] = *std::move(expression);
  }
  return selections;
}

absl::StatusOr<std::optional<Expression>> LowerCondition(const ConditionText& condition,
                                                         const Selections& selections,
                                                         size_t* nodes_left) {
  absl::StatusOr<std::optional<Expression>> expression =
      ParseCondition(condition.text, selections, nodes_left);
  if (expression.ok()) return expression;
  return AddContext(expression.status(), StrCat(" condition=", condition.text), condition.place);
}

// Whether a formula holds for an event that fulfils none of its tests.
bool HoldsForNothing(const Expression& expression) {
  size_t holding = 0;
  for (const Expression& child : expression.children) holding += HoldsForNothing(child) ? 1 : 0;
  switch (expression.kind) {
    case Expression::Kind::kTest:
      return false;
    case Expression::Kind::kAnd:
      return holding == expression.children.size();
    case Expression::Kind::kOr:
      return holding > 0;
    case Expression::Kind::kNot:
      return holding == 0;
    case Expression::Kind::kAtLeast:
      return holding >= expression.count;
  }
  return false;
}

// The condition of a filter over its selections as a whole, each of which stands for one test.
absl::StatusOr<bool> DescribesWhatRemains(const Guard& guard) {
  ASSIGN_OR_RETURN(const std::optional<Expression> shape,
                   ConditionShape(guard.condition, guard.selections));
  return shape && HoldsForNothing(*shape);
}

absl::StatusOr<std::optional<Expression>> LowerGuard(const Guard& guard,
                                                     std::vector<RuleSelection>& kept,
                                                     size_t* nodes_left) {
  ASSIGN_OR_RETURN(const Selections selections, LowerSelections(guard.selections, kept));
  ASSIGN_OR_RETURN(std::optional<Expression> condition,
                   LowerCondition(guard.condition, selections, nodes_left));
  if (!condition) return condition;
  bool required = guard.kind == Guard::Kind::kRequire;
  if (guard.kind == Guard::Kind::kFilter) {
    ASSIGN_OR_RETURN(required, DescribesWhatRemains(guard));
  }
  if (required) return condition;
  return std::optional<Expression>(Negation(*std::move(condition)));
}

absl::Status LowerRule(const RuleDocument& document, Rule& rule) {
  ASSIGN_OR_RETURN(const Selections selections,
                   LowerSelections(document.selections, rule.selections));
  std::vector<Expression> alternatives;
  size_t nodes_left = kMostConditionNodes;
  for (const ConditionText& text : document.conditions) {
    ASSIGN_OR_RETURN(std::optional<Expression> condition,
                     LowerCondition(text, selections, &nodes_left));
    if (condition) alternatives.push_back(*std::move(condition));
    if (!rule.condition_text.empty()) rule.condition_text += " or ";
    rule.condition_text += text.text;
  }
  std::vector<Expression> all;
  if (!alternatives.empty()) {
    all.push_back(JoinExpressions(Expression::Kind::kOr, std::move(alternatives)));
  }
  for (const Guard& guard : document.guards) {
    absl::StatusOr<std::optional<Expression>> expression =
        LowerGuard(guard, rule.selections, &nodes_left);
    if (!expression.ok()) {
      return AddContext(expression.status(), StrCat(" added_by=", guard.origin));
    }
    if (*expression) all.push_back(**std::move(expression));
  }
  if (all.empty()) {
    return absl::InvalidArgumentError(
        "nothing is left of the rule: the pipeline dropped all its detection items");
  }
  rule.condition = JoinExpressions(Expression::Kind::kAnd, std::move(all));
  return absl::OkStatus();
}

bool Fits(std::string_view rule_part, std::string_view event_part) {
  return rule_part.empty() || FoldCase(rule_part) == FoldCase(event_part);
}

absl::StatusOr<Rule> FinishDocument(absl::StatusOr<Document> document, const RuleOptions& options) {
  if (!document.ok()) return document.status();
  if (auto* const rule = std::get_if<RuleDocument>(&*document)) {
    return FinishRule(std::move(*rule), options);
  }
  const bool correlation = std::holds_alternative<CorrelationRule>(*document);
  return absl::UnimplementedError(
      correlation ? "correlation rules are not supported here: they have a meaning only together "
                    "with the rules they name; load them from files"
                  : "filter documents are not supported here: they have a meaning only together "
                    "with the rules they name; load them from files");
}

}  // namespace

bool LogSource::Accepts(const LogSource& event_source) const {
  return Fits(product, event_source.product) && Fits(category, event_source.category) &&
         Fits(service, event_source.service);
}

absl::StatusOr<Rule> FinishRule(RuleDocument document, const RuleOptions& options) {
  const std::string context = StrCat(" rule=", document.head.id);
  for (const std::shared_ptr<const RuleFilter>& filter : options.filters) {
    if (filter->AppliesTo(document.head)) document.guards.push_back(filter->ToGuard());
  }
  if (options.pipeline != nullptr) {
    const absl::Status status = options.pipeline->Apply(document);
    if (!status.ok()) return AddContext(status, context, document.head.place);
  }
  if (!options.placeholders.empty()) {
    const absl::Status status = FillPlaceholders(document, options.placeholders);
    if (!status.ok()) return AddContext(status, context, document.head.place);
  }
  Rule rule = std::move(document.head);
  const absl::Status status = LowerRule(document, rule);
  if (!status.ok()) return AddContext(status, context, rule.place);
  return rule;
}

std::vector<absl::StatusOr<Rule>> ParseRules(std::string_view yaml, const RuleOptions& options) {
  std::vector<absl::StatusOr<Rule>> rules;
  for (absl::StatusOr<Document>& document : ReadDocuments(yaml, options)) {
    rules.push_back(FinishDocument(std::move(document), options));
  }
  if (rules.empty()) {
    rules.push_back(absl::InvalidArgumentError("the rule's text holds no document"));
  }
  return rules;
}

absl::StatusOr<Rule> ParseRule(std::string_view yaml, const RuleOptions& options) {
  std::vector<absl::StatusOr<Rule>> rules = ParseRules(yaml, options);
  if (rules.size() == 1) return std::move(rules.front());
  return absl::InvalidArgumentError(StrCat(
      "the text must hold one rule; send each document on its own: documents=", rules.size()));
}

}  // namespace weir::sigma
