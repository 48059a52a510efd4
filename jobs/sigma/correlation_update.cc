#include "jobs/sigma/correlation_update.h"

#include <algorithm>
#include <set>
#include <utility>

#include "jobs/sigma/engine/rule_files.h"

namespace weir::sigma {
namespace {

RuleOptions OptionsOf(const StoredRule& rule) {
  RuleOptions options;
  options.id = rule.id;
  options.title = rule.title;
  options.level = rule.level;
  options.techniques = rule.techniques;
  return options;
}

std::shared_ptr<const Rule> Named(std::string id, std::string name) {
  Rule rule;
  rule.id = std::move(id);
  rule.name = std::move(name);
  return std::make_shared<const Rule>(std::move(rule));
}

/// Appends the correlations of a text.
void AppendCorrelations(const StoredRule& stored, std::vector<CorrelationDefinition>* definitions) {
  if (stored.text.empty()) return;
  for (absl::StatusOr<RuleFileDocument>& document : ReadRuleText(stored.text, OptionsOf(stored))) {
    if (!document.ok()) continue;
    auto* const correlation = std::get_if<CorrelationRule>(&*document);
    if (correlation == nullptr) continue;
    const uint64_t number = DefinitionNumber(stored.text, correlation->id);
    definitions->push_back({std::move(*correlation), number});
  }
}

}  // namespace

std::optional<CorrelationUpdate> ToCorrelationUpdate(
    const ControlUpdate& update, const std::shared_ptr<const Pipeline>& pipeline) {
  CorrelationUpdate result;
  result.key = update.key;
  switch (update.kind) {
    case ControlUpdate::Kind::kSetRule:
      break;
    case ControlUpdate::Kind::kDeleteRule:
      result.kind = CorrelationUpdate::Kind::kDelete;
      return result;
    case ControlUpdate::Kind::kSetCustomFields:
      result.kind = CorrelationUpdate::Kind::kSetCustomFields;
      result.custom_fields = update.custom_fields;
      return result;
    case ControlUpdate::Kind::kDeleteCustomFields:
      result.kind = CorrelationUpdate::Kind::kDeleteCustomFields;
      return result;
    default:
      return std::nullopt;
  }
  RuleOptions options = OptionsOf(update.rule);
  options.pipeline = pipeline;
  bool has_correlation = false;
  bool is_of_use = false;
  for (const absl::StatusOr<RuleFileDocument>& document : ReadRuleText(update.rule.text, options)) {
    if (!document.ok()) continue;
    is_of_use = true;
    if (std::holds_alternative<CorrelationRule>(*document)) has_correlation = true;
    const auto* const rule = std::get_if<Rule>(&*document);
    if (rule != nullptr) result.correlations.rules.push_back({rule->id, rule->name});
  }
  if (!is_of_use) return std::nullopt;
  result.correlations.rule = update.rule;
  if (!has_correlation) result.correlations.rule.text.clear();
  return result;
}

uint32_t LevelsOf(const std::vector<ControlUpdate>& rule_files) {
  std::vector<CorrelationDefinition> definitions;
  for (const ControlUpdate& update : rule_files) {
    // Most files are spared the reading.
    if (update.rule.text.find("correlation") == std::string::npos) continue;
    AppendCorrelations(update.rule, &definitions);
  }
  std::set<std::string> known;
  for (const CorrelationDefinition& one : definitions) {
    known.insert(one.rule.id);
    if (!one.rule.name.empty()) known.insert(one.rule.name);
  }
  std::vector<std::shared_ptr<const Rule>> rules;
  for (const CorrelationDefinition& one : definitions) {
    for (const CorrelationReference& reference : one.rule.rules) {
      if (known.insert(reference.reference).second) rules.push_back(Named(reference.reference, ""));
    }
  }
  return CorrelationSet(std::move(definitions), rules, UINT32_MAX, nullptr).num_levels();
}

CorrelationSet MakeCorrelationSet(const std::vector<const StoredCorrelations*>& texts,
                                  uint32_t num_levels) {
  std::vector<CorrelationDefinition> definitions;
  std::vector<std::shared_ptr<const Rule>> rules;
  for (const StoredCorrelations* const text : texts) {
    AppendCorrelations(text->rule, &definitions);
    for (const RuleName& rule : text->rules) rules.push_back(Named(rule.id, rule.name));
  }
  return CorrelationSet(std::move(definitions), rules, num_levels, nullptr);
}

}  // namespace weir::sigma
