#include "jobs/sigma/tools/correlation_run.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "jobs/sigma/correlation/correlation_evaluator.h"
#include "jobs/sigma/correlation/event_clock.h"
#include "runtime/base/strings.h"

namespace weir::sigma {

std::optional<int64_t> TimeOf(const EventFields& fields) {
  for (const std::string& name : UsualTimeFields()) {
    const std::optional<EventFields::Field> field = fields.Find(name);
    if (!field.has_value() || field->values.empty()) continue;
    if (const auto time_ms = ParseEventTime(field->values.front().text)) return time_ms;
  }
  return std::nullopt;
}

bool CorrelationRun::Add(const Rule& rule, const EventFields& fields, const std::string& event) {
  const std::optional<int64_t> time_ms = TimeOf(fields);
  if (!time_ms.has_value()) return false;
  AppendInputs(correlations_, rule.id, ValuesOf(fields), *time_ms, event, &inputs_);
  return true;
}

void CorrelationRun::Finish(const OnFiring& on_firing) {
  for (uint32_t level = 0; level < correlations_.num_levels(); ++level) RunLevel(level, on_firing);
}

void CorrelationRun::RunLevel(uint32_t level, const OnFiring& on_firing) {
  std::map<std::string, CorrelationGroup> groups;
  std::vector<CorrelationInput> higher;
  for (CorrelationInput& input : inputs_) {
    if (input.level != level) {
      higher.push_back(std::move(input));
      continue;
    }
    CorrelationGroup& group = groups[input.group];
    group.correlation = std::move(input.correlation);
    group.group_values = std::move(input.group_values);
    group.waiting.push_back(std::move(input.match));
  }
  inputs_ = std::move(higher);
  std::vector<std::pair<CorrelationFiring, const CorrelationGroup*>> firings;
  for (auto& [key, group] : groups) {
    const CorrelationEvaluator evaluator(correlations_.Find(group.correlation)->rule);
    std::vector<CorrelationFiring> of_group;
    evaluator.Advance(INT64_MAX, &group, &of_group);
    for (CorrelationFiring& firing : of_group) firings.emplace_back(std::move(firing), &group);
  }
  std::stable_sort(firings.begin(), firings.end(),
                   [](const auto& a, const auto& b) { return a.first.time_ms < b.first.time_ms; });
  for (const auto& [firing, group] : firings) {
    const CorrelationRule& rule = *correlations_.Find(group->correlation)->rule;
    AppendInputs(correlations_, rule.id, ValuesOfFiring(rule, group->group_values), firing.time_ms,
                 StrCat("correlation/", rule.id), &inputs_);
    if (!correlations_.IsSilent(rule.id)) on_firing(rule, group->group_values, firing);
  }
}

}  // namespace weir::sigma
