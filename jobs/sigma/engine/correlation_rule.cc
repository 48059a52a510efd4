#include "jobs/sigma/engine/correlation_rule.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "runtime/base/strings.h"

namespace weir::sigma {
namespace {

// What an id or a name may stand for.
struct Target {
  std::string id;
  std::optional<size_t> correlation;  // Index, if it is one.
};

// Resolves references depth first, so that a correlation comes behind those that it names.
class Resolver {
 public:
  Resolver(std::vector<CorrelationRule> correlations,
           const std::vector<std::shared_ptr<const Rule>>& rules)
      : correlations_(std::move(correlations)), states_(correlations_.size()) {
    for (const auto& rule : rules) AddTarget(rule->id, rule->name, std::nullopt);
    for (size_t i = 0; i < correlations_.size(); ++i) {
      AddTarget(correlations_[i].id, correlations_[i].name, i);
    }
  }

  ResolvedCorrelations Resolve() {
    for (size_t i = 0; i < correlations_.size(); ++i) Visit(i);
    for (const std::string& id : named_) {
      if (!generating_.contains(id)) result_.silent_rules.push_back(id);
    }
    return std::move(result_);
  }

 private:
  enum class State : uint8_t { kNew, kInProgress, kResolved, kFailed };

  void AddTarget(const std::string& id, const std::string& name,
                 std::optional<size_t> correlation) {
    targets_[id].push_back({id, correlation});
    if (!name.empty() && name != id) targets_[name].push_back({id, correlation});
  }

  absl::Status Fail(const CorrelationRule& rule, const CorrelationReference& reference,
                    std::string_view reason) const {
    return ErrorAt(reference.place,
                   StrCat(reason, ": reference=", reference.reference, " correlation=", rule.id));
  }

  absl::Status ResolveReference(const CorrelationRule& rule, CorrelationReference& reference) {
    const auto found = targets_.find(reference.reference);
    if (found == targets_.end()) {
      std::vector<std::string_view> known;
      for (const auto& [name, targets] : targets_) known.push_back(name);
      const std::string_view nearest = NearestMatch(reference.reference, known);
      return Fail(rule, reference,
                  StrCat("no rule has this id or name; load the rule together with the correlation",
                         nearest.empty() ? "" : StrCat(", or did you mean `", nearest, "`?")));
    }
    if (found->second.size() > 1) {
      return Fail(rule, reference,
                  "several rules have this id or name; give them names of their own");
    }
    const Target& target = found->second.front();
    reference.id = target.id;
    reference.is_correlation = target.correlation.has_value();
    if (!target.correlation) return absl::OkStatus();
    if (states_[*target.correlation] == State::kInProgress) {
      return Fail(rule, reference, "correlations name each other in a circle; break it");
    }
    Visit(*target.correlation);
    if (states_[*target.correlation] == State::kFailed) {
      return Fail(rule, reference, "the correlation named cannot be used itself");
    }
    return absl::OkStatus();
  }

  void Visit(size_t index) {
    if (states_[index] != State::kNew) return;
    states_[index] = State::kInProgress;
    CorrelationRule& rule = correlations_[index];
    for (CorrelationReference& reference : rule.rules) {
      const absl::Status status = ResolveReference(rule, reference);
      if (status.ok()) continue;
      states_[index] = State::kFailed;
      result_.failures.push_back({index, status});
      return;
    }
    states_[index] = State::kResolved;
    for (const CorrelationReference& reference : rule.rules) {
      named_.insert(reference.id);
      if (rule.generate) generating_.insert(reference.id);
    }
    result_.correlations.push_back(std::make_shared<const CorrelationRule>(std::move(rule)));
  }

  std::vector<CorrelationRule> correlations_;
  std::vector<State> states_;
  std::map<std::string, std::vector<Target>, std::less<>> targets_;
  std::set<std::string> named_;
  std::set<std::string> generating_;
  ResolvedCorrelations result_;
};

}  // namespace

std::string_view CorrelationTypeName(CorrelationType type) {
  switch (type) {
    case CorrelationType::kEventCount:
      return "event_count";
    case CorrelationType::kValueCount:
      return "value_count";
    case CorrelationType::kTemporal:
      return "temporal";
    case CorrelationType::kTemporalOrdered:
      return "temporal_ordered";
    case CorrelationType::kValueSum:
      return "value_sum";
    case CorrelationType::kValueAvg:
      return "value_avg";
    case CorrelationType::kValuePercentile:
      return "value_percentile";
    case CorrelationType::kValueMedian:
      return "value_median";
  }
  return "";
}

bool CorrelationBound::Holds(double value) const {
  switch (op) {
    case Operator::kLess:
      return value < limit;
    case Operator::kLessOrEqual:
      return value <= limit;
    case Operator::kGreater:
      return value > limit;
    case Operator::kGreaterOrEqual:
      return value >= limit;
    case Operator::kEqual:
      return value == limit;
    case Operator::kNotEqual:
      return value != limit;
  }
  return false;
}

std::string_view CorrelationRule::FieldOf(size_t rule, std::string_view field) const {
  const auto alias = std::find_if(aliases.begin(), aliases.end(),
                                  [&](const CorrelationAlias& one) { return one.name == field; });
  return alias == aliases.end() ? field : std::string_view(alias->fields[rule]);
}

ResolvedCorrelations ResolveCorrelations(std::vector<CorrelationRule> correlations,
                                         const std::vector<std::shared_ptr<const Rule>>& rules) {
  return Resolver(std::move(correlations), rules).Resolve();
}

}  // namespace weir::sigma
