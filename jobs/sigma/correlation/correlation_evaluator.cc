#include "jobs/sigma/correlation/correlation_evaluator.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

#include "jobs/sigma/correlation/correlation_measures.h"

namespace weir::sigma {

namespace {

using Type = CorrelationType;
using Operator = CorrelationBound::Operator;

bool IsLowerBound(const CorrelationBound& bound) {
  return bound.op == Operator::kGreater || bound.op == Operator::kGreaterOrEqual;
}

bool FiresAtEnd(const CorrelationRule& rule) {
  const CorrelationCondition& condition = rule.condition;
  if (condition.expression.has_value()) return HasNegation(*condition.expression);
  switch (rule.type) {
    case Type::kValueAvg:
    case Type::kValueMedian:
    case Type::kValuePercentile:
      return true;
    default:
      return !std::all_of(condition.bounds.begin(), condition.bounds.end(), IsLowerBound);
  }
}

// How many matches, or values, fulfil the bounds; no more need be kept.
size_t MostKept(const CorrelationRule& rule) {
  double most = 1;
  for (const CorrelationBound& bound : rule.condition.bounds) {
    const double needed =
        bound.op == Operator::kGreater ? std::floor(bound.limit) + 1 : std::ceil(bound.limit);
    most = std::max(most, needed);
  }
  return most > 1e15 ? SIZE_MAX : static_cast<size_t>(most);
}

bool ComesBefore(const CorrelatedMatch& a, const CorrelatedMatch& b) {
  return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.rule < b.rule;
}

size_t NumDistinctValues(const CorrelatedMatch* begin, const CorrelatedMatch* end) {
  std::set<std::string_view> values;
  for (const CorrelatedMatch* match = begin; match != end; ++match) values.insert(match->value);
  return values.size();
}

std::vector<double> SortedNumbers(const CorrelatedMatch* begin, const CorrelatedMatch* end) {
  std::vector<double> numbers;
  for (const CorrelatedMatch* match = begin; match != end; ++match) {
    numbers.push_back(match->number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

int64_t SaturatedAdd(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return b > 0 ? INT64_MAX : INT64_MIN;
  return sum;
}

}  // namespace

// What a condition comes to.
struct CorrelationEvaluator::Outcome {
  bool holds = false;
  double value = 0;
  std::vector<std::string> values = {};
};

CorrelationEvaluator::CorrelationEvaluator(std::shared_ptr<const CorrelationRule> rule,
                                           absl::Duration lateness)
    : rule_(std::move(rule)),
      span_ms_(absl::ToInt64Milliseconds(rule_->timespan)),
      lateness_ms_(absl::ToInt64Milliseconds(lateness)),
      at_end_(FiresAtEnd(*rule_)),
      most_kept_(MostKept(*rule_)) {}

void CorrelationEvaluator::Advance(int64_t now_ms, CorrelationGroup* group,
                                   std::vector<CorrelationFiring>* firings) const {
  std::vector<CorrelatedMatch>& waiting = group->waiting;
  std::sort(waiting.begin(), waiting.end(), ComesBefore);
  auto next = waiting.begin();
  while (next != waiting.end() && next->time_ms <= now_ms) {
    const int64_t time_ms = next->time_ms;
    // All of one time together, so that it does not matter in which order they came.
    const auto end = std::find_if(
        next, waiting.end(), [&](const CorrelatedMatch& match) { return match.time_ms > time_ms; });
    std::vector<CorrelatedMatch> matches(std::make_move_iterator(next),
                                         std::make_move_iterator(end));
    if (at_end_) {
      if (group->window_end_ms < time_ms) CloseWindow(group, firings);
      TakeIntoWindow(std::move(matches), group);
    } else {
      TakeIn(std::move(matches), group, firings);
    }
    next = end;
  }
  waiting.erase(waiting.begin(), next);
  if (at_end_) {
    if (group->window_end_ms <= now_ms) CloseWindow(group, firings);
  } else {
    Forget(SaturatedAdd(now_ms, -span_ms_ - lateness_ms_), group);
  }
}

int64_t CorrelationEvaluator::ExpiresAt(const CorrelationGroup& group) const {
  int64_t latest = std::max(group.quiet_until_ms, group.window_end_ms);
  for (const std::vector<CorrelatedMatch>* matches : {&group.waiting, &group.kept}) {
    for (const CorrelatedMatch& match : *matches) {
      latest = std::max(latest, SaturatedAdd(match.time_ms, span_ms_));
    }
  }
  return SaturatedAdd(latest, lateness_ms_ + 1);
}

// ---- Sliding ----

void CorrelationEvaluator::TakeIn(std::vector<CorrelatedMatch> matches, CorrelationGroup* group,
                                  std::vector<CorrelationFiring>* firings) const {
  const int64_t time_ms = matches.front().time_ms;
  for (CorrelatedMatch& match : matches) Keep(std::move(match), group);
  // A match that comes late may complete what ended at later ones.
  std::vector<int64_t> ends = {time_ms};
  for (const CorrelatedMatch& match : group->kept) {
    if (match.time_ms > ends.back() && match.time_ms <= SaturatedAdd(time_ms, span_ms_)) {
      ends.push_back(match.time_ms);
    }
  }
  for (const int64_t end_ms : ends) {
    if (end_ms <= group->quiet_until_ms) continue;
    std::optional<CorrelationFiring> firing = EvaluateAt(end_ms, group);
    if (!firing.has_value()) continue;
    group->quiet_until_ms = SaturatedAdd(end_ms, span_ms_);
    firings->push_back(*std::move(firing));
  }
}

void CorrelationEvaluator::Keep(CorrelatedMatch match, CorrelationGroup* group) const {
  std::vector<CorrelatedMatch>& kept = group->kept;
  const bool in_order = kept.empty() || !ComesBefore(match, kept.back());
  if (rule_->type == Type::kTemporalOrdered && in_order && !kept.empty() &&
      kept.back().rule == match.rule) {
    // Nothing of another rule came in between, so the later one does all that the earlier one did.
    kept.back() = std::move(match);
    return;
  }
  if (rule_->type == Type::kValueCount || rule_->type == Type::kTemporal) {
    const bool by_value = rule_->type == Type::kValueCount;
    const auto same = std::find_if(kept.begin(), kept.end(), [&](const CorrelatedMatch& other) {
      return by_value ? other.value == match.value : other.rule == match.rule;
    });
    if (same != kept.end()) {
      if (ComesBefore(match, *same)) return;
      kept.erase(same);
    }
  }
  const auto place = std::upper_bound(kept.begin(), kept.end(), match, ComesBefore);
  if (rule_->type == Type::kValueSum && place != kept.end()) {
    group->window_begin = 0;  // The sum is to be made anew.
    group->sum = 0;
    group->num_matches = 0;
  }
  kept.insert(place, std::move(match));
  const bool bounded = rule_->type == Type::kEventCount || rule_->type == Type::kValueCount;
  if (bounded && kept.size() > most_kept_) kept.erase(kept.begin());
}

void CorrelationEvaluator::Forget(int64_t before_ms, CorrelationGroup* group) const {
  std::vector<CorrelatedMatch>& kept = group->kept;
  const auto end = std::find_if(kept.begin(), kept.end(), [&](const CorrelatedMatch& match) {
    return match.time_ms >= before_ms;
  });
  const auto count = static_cast<uint64_t>(end - kept.begin());
  if (rule_->type == Type::kValueSum) {
    for (uint64_t i = group->window_begin; i < std::min(count, group->num_matches); ++i) {
      group->sum -= kept[i].number;
    }
    group->window_begin = group->window_begin > count ? group->window_begin - count : 0;
    group->num_matches = group->num_matches > count ? group->num_matches - count : 0;
  }
  kept.erase(kept.begin(), end);
}

// num_matches is where the summed part ends.
double CorrelationEvaluator::SumAt(int64_t end_ms, CorrelationGroup* group) const {
  const std::vector<CorrelatedMatch>& kept = group->kept;
  const int64_t begin_ms = SaturatedAdd(end_ms, -span_ms_);
  while (group->num_matches < kept.size() && kept[group->num_matches].time_ms <= end_ms) {
    group->sum += kept[group->num_matches++].number;
  }
  while (group->window_begin < group->num_matches && kept[group->window_begin].time_ms < begin_ms) {
    group->sum -= kept[group->window_begin++].number;
  }
  return group->sum;
}

std::optional<CorrelationFiring> CorrelationEvaluator::EvaluateAt(int64_t end_ms,
                                                                  CorrelationGroup* group) const {
  const std::vector<CorrelatedMatch>& kept = group->kept;
  const int64_t begin_ms = SaturatedAdd(end_ms, -span_ms_);
  const auto begin = std::partition_point(
      kept.begin(), kept.end(), [&](const CorrelatedMatch& one) { return one.time_ms < begin_ms; });
  const auto end = std::partition_point(
      begin, kept.end(), [&](const CorrelatedMatch& one) { return one.time_ms <= end_ms; });
  if (begin == end) return std::nullopt;
  const CorrelatedMatch* const first = kept.data() + (begin - kept.begin());
  const CorrelatedMatch* const last = kept.data() + (end - kept.begin());
  Outcome outcome;
  if (rule_->type == Type::kValueSum) {
    outcome.value = SumAt(end_ms, group);
    outcome.holds = HoldsAll(rule_->condition.bounds, outcome.value);
  } else {
    outcome = Measure(first, last, static_cast<uint64_t>(last - first));
  }
  if (!outcome.holds) return std::nullopt;
  CorrelationFiring firing{end_ms, first->time_ms, (last - 1)->time_ms, outcome.value,
                           std::move(outcome.values)};
  const size_t count = std::min(CorrelationFiring::kMaxEvents, static_cast<size_t>(last - first));
  for (const CorrelatedMatch* match = last - count; match != last; ++match) {
    firing.events.push_back(match->event);
  }
  return firing;
}

// ---- Windows that are looked at when they end ----

void CorrelationEvaluator::TakeIntoWindow(std::vector<CorrelatedMatch> matches,
                                          CorrelationGroup* group) const {
  const int64_t time_ms = matches.front().time_ms;
  if (group->window_end_ms == CorrelationGroup::kNever) {
    group->window_end_ms = SaturatedAdd(time_ms, span_ms_);
    group->num_matches = 0;
  }
  std::vector<CorrelatedMatch>& kept = group->kept;
  for (CorrelatedMatch& match : matches) {
    ++group->num_matches;
    const auto place = std::upper_bound(kept.begin(), kept.end(), match, ComesBefore);
    kept.insert(place, std::move(match));
  }
  // Of a plain count the first and the last matches are enough.
  const size_t most = CorrelationFiring::kMaxEvents + 1;
  if (rule_->type == Type::kEventCount && kept.size() > most) {
    kept.erase(kept.begin() + 1, kept.end() - static_cast<ptrdiff_t>(most - 1));
  }
}

void CorrelationEvaluator::CloseWindow(CorrelationGroup* group,
                                       std::vector<CorrelationFiring>* firings) const {
  if (group->window_end_ms == CorrelationGroup::kNever) return;
  const std::vector<CorrelatedMatch> kept = std::exchange(group->kept, {});
  const int64_t end_ms = std::exchange(group->window_end_ms, CorrelationGroup::kNever);
  Outcome outcome = Measure(kept.data(), kept.data() + kept.size(), group->num_matches);
  group->num_matches = 0;
  if (!outcome.holds) return;
  CorrelationFiring firing{end_ms, kept.front().time_ms, kept.back().time_ms, outcome.value,
                           std::move(outcome.values)};
  const size_t count = std::min(CorrelationFiring::kMaxEvents, kept.size());
  for (size_t i = kept.size() - count; i < kept.size(); ++i) firing.events.push_back(kept[i].event);
  firings->push_back(std::move(firing));
}

// ---- Conditions ----

CorrelationEvaluator::Outcome CorrelationEvaluator::Measure(const CorrelatedMatch* begin,
                                                            const CorrelatedMatch* end,
                                                            uint64_t num_matches) const {
  Outcome outcome;
  switch (rule_->type) {
    case Type::kEventCount:
      outcome.value = static_cast<double>(num_matches);
      break;
    case Type::kValueCount:
      outcome.value = static_cast<double>(NumDistinctValues(begin, end));
      break;
    case Type::kTemporal:
    case Type::kTemporalOrdered:
      return MeasureRules(begin, end);
    case Type::kValuePercentile:
      if (!rule_->condition.percentile.has_value()) return MeasureShares(begin, end);
      outcome.value = PercentileOf(SortedNumbers(begin, end), *rule_->condition.percentile);
      break;
    case Type::kValueMedian:
      outcome.value = PercentileOf(SortedNumbers(begin, end), 50);
      break;
    case Type::kValueSum:
    case Type::kValueAvg:
      for (const CorrelatedMatch* match = begin; match != end; ++match) {
        outcome.value += match->number;
      }
      if (rule_->type == Type::kValueAvg) outcome.value /= static_cast<double>(end - begin);
      break;
  }
  outcome.holds = HoldsAll(rule_->condition.bounds, outcome.value);
  return outcome;
}

CorrelationEvaluator::Outcome CorrelationEvaluator::MeasureShares(
    const CorrelatedMatch* begin, const CorrelatedMatch* end) const {
  Outcome outcome;
  for (ValueShare& share : SharesOf(begin, end)) {
    if (!HoldsAll(rule_->condition.bounds, share.percent)) continue;
    if (!outcome.holds) outcome.value = share.percent;
    outcome.holds = true;
    outcome.values.push_back(std::move(share.value));
  }
  return outcome;
}

CorrelationEvaluator::Outcome CorrelationEvaluator::MeasureRules(const CorrelatedMatch* begin,
                                                                 const CorrelatedMatch* end) const {
  const CorrelationCondition& condition = rule_->condition;
  const size_t num_rules = rule_->rules.size();
  std::vector<bool> seen(num_rules);
  for (const CorrelatedMatch* match = begin; match != end; ++match) seen[match->rule] = true;
  Outcome outcome;
  outcome.value = static_cast<double>(std::count(seen.begin(), seen.end(), true));
  const bool ordered = rule_->type == Type::kTemporalOrdered;
  if (!condition.expression.has_value()) {
    if (ordered) outcome.value = static_cast<double>(LongestOrderedChain(begin, end, num_rules));
    outcome.holds = HoldsAll(condition.bounds, outcome.value);
    return outcome;
  }
  if (!ordered) {
    outcome.holds = HoldsFor(*condition.expression, seen, seen);
    return outcome;
  }
  for (const uint64_t set : OrderedRuleSets(begin, end, num_rules)) {
    std::vector<bool> matched(num_rules);
    for (size_t i = 0; i < num_rules; ++i) matched[i] = ((set >> i) & 1) != 0;
    outcome.holds = outcome.holds || HoldsFor(*condition.expression, matched, seen);
  }
  return outcome;
}

}  // namespace weir::sigma
