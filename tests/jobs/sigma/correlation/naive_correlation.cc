#include "tests/jobs/sigma/correlation/naive_correlation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>

namespace weir::sigma {
namespace {

using Matches = std::vector<CorrelatedMatch>;
using Kind = CorrelationExpression::Kind;

bool Mentions(const CorrelationExpression& expression, Kind kind) {
  bool found = expression.kind == kind;
  for (const CorrelationExpression& child : expression.children) {
    found = found || Mentions(child, kind);
  }
  return found;
}

bool HasUpperBound(const CorrelationRule& rule) {
  for (const CorrelationBound& bound : rule.condition.bounds) {
    if (bound.op != CorrelationBound::Operator::kGreater &&
        bound.op != CorrelationBound::Operator::kGreaterOrEqual) {
      return true;
    }
  }
  return false;
}

bool NeedsWholeWindow(const CorrelationRule& rule) {
  if (rule.condition.expression) return Mentions(*rule.condition.expression, Kind::kNot);
  const std::set<CorrelationType> calculating = {
      CorrelationType::kValueAvg, CorrelationType::kValueMedian, CorrelationType::kValuePercentile};
  return calculating.contains(rule.type) || HasUpperBound(rule);
}

bool Within(const CorrelationRule& rule, double value) {
  for (const CorrelationBound& bound : rule.condition.bounds) {
    if (!bound.Holds(value)) return false;
  }
  return true;
}

double Percentile(Matches matches, double percentile) {
  std::sort(matches.begin(), matches.end(),
            [](const auto& a, const auto& b) { return a.number < b.number; });
  const double place = percentile * static_cast<double>(matches.size() - 1) / 100;
  const double low = matches[static_cast<size_t>(std::floor(place))].number;
  const double high = matches[static_cast<size_t>(std::ceil(place))].number;
  return low + (high - low) * (place - std::floor(place));
}

// Every way to take matches of rising rules one after the other, as sets of rules.
void Chains(const Matches& matches, int64_t after_ms, size_t next_rule, std::set<size_t>* chain,
            const std::function<void(const std::set<size_t>&)>& visit) {
  visit(*chain);
  for (const CorrelatedMatch& match : matches) {
    if (match.rule < next_rule || match.time_ms < after_ms) continue;
    chain->insert(match.rule);
    Chains(matches, match.time_ms, match.rule + 1, chain, visit);
    chain->erase(match.rule);
  }
}

bool Holds(const CorrelationExpression& expression, const std::set<size_t>& chain,
           const std::set<size_t>& seen, bool negated) {
  if (expression.kind == Kind::kRule) return (negated ? seen : chain).contains(expression.rule);
  if (expression.kind == Kind::kNot) {
    return !Holds(expression.children[0], chain, seen, !negated);
  }
  size_t holding = 0;
  for (const CorrelationExpression& child : expression.children) {
    if (Holds(child, chain, seen, negated)) ++holding;
  }
  return expression.kind == Kind::kOr ? holding > 0 : holding == expression.children.size();
}

// What the matches of one window come to, if the condition holds.
std::optional<double> Rules(const CorrelationRule& rule, const Matches& window) {
  std::set<size_t> seen;
  for (const CorrelatedMatch& match : window) seen.insert(match.rule);
  const bool ordered = rule.type == CorrelationType::kTemporalOrdered;
  if (!ordered) {
    const bool holds = rule.condition.expression
                           ? Holds(*rule.condition.expression, seen, seen, false)
                           : Within(rule, static_cast<double>(seen.size()));
    return holds ? std::optional(static_cast<double>(seen.size())) : std::nullopt;
  }
  size_t longest = 0;
  bool holds = false;
  std::set<size_t> chain;
  Chains(window, INT64_MIN, 0, &chain, [&](const std::set<size_t>& one) {
    longest = std::max(longest, one.size());
    if (rule.condition.expression) {
      holds = holds || Holds(*rule.condition.expression, one, seen, false);
    }
  });
  if (rule.condition.expression) {
    return holds ? std::optional(static_cast<double>(seen.size())) : std::nullopt;
  }
  if (!Within(rule, static_cast<double>(longest))) return std::nullopt;
  return static_cast<double>(longest);
}

std::optional<double> RarestShare(const CorrelationRule& rule, const Matches& window) {
  std::map<std::string, double> counts;
  for (const CorrelatedMatch& match : window) ++counts[match.value];
  std::optional<double> least;
  for (const auto& [value, count] : counts) {
    double as_rare = 0;
    for (const auto& [other, other_count] : counts) {
      if (other_count <= count) as_rare += other_count;
    }
    const double percent = 100.0 * as_rare / static_cast<double>(window.size());
    if (Within(rule, percent)) least = std::min(least.value_or(percent), percent);
  }
  return least;
}

std::optional<double> Evaluate(const CorrelationRule& rule, const Matches& window) {
  if (window.empty()) return std::nullopt;
  double value = 0;
  std::set<std::string> values;
  switch (rule.type) {
    case CorrelationType::kEventCount:
      value = static_cast<double>(window.size());
      break;
    case CorrelationType::kValueCount:
      for (const CorrelatedMatch& match : window) values.insert(match.value);
      value = static_cast<double>(values.size());
      break;
    case CorrelationType::kTemporal:
    case CorrelationType::kTemporalOrdered:
      return Rules(rule, window);
    case CorrelationType::kValueSum:
    case CorrelationType::kValueAvg:
      for (const CorrelatedMatch& match : window) value += match.number;
      if (rule.type == CorrelationType::kValueAvg) value /= static_cast<double>(window.size());
      break;
    case CorrelationType::kValueMedian:
      value = Percentile(window, 50);
      break;
    case CorrelationType::kValuePercentile:
      if (!rule.condition.percentile) return RarestShare(rule, window);
      value = Percentile(window, *rule.condition.percentile);
      break;
  }
  return Within(rule, value) ? std::optional(value) : std::nullopt;
}

Matches Between(const Matches& matches, int64_t first_ms, int64_t last_ms) {
  Matches window;
  for (const CorrelatedMatch& match : matches) {
    if (match.time_ms >= first_ms && match.time_ms <= last_ms) window.push_back(match);
  }
  return window;
}

}  // namespace

std::vector<NaiveFiring> CorrelateNaively(const CorrelationRule& rule, Matches matches) {
  const int64_t span_ms = absl::ToInt64Milliseconds(rule.timespan);
  std::set<int64_t> times;
  for (const CorrelatedMatch& match : matches) times.insert(match.time_ms);
  std::vector<NaiveFiring> firings;
  if (NeedsWholeWindow(rule)) {
    for (auto begin = times.begin(); begin != times.end();
         begin = times.upper_bound(*begin + span_ms)) {
      const auto value = Evaluate(rule, Between(matches, *begin, *begin + span_ms));
      if (value) firings.push_back({*begin + span_ms, *value});
    }
    return firings;
  }
  for (const int64_t time_ms : times) {
    if (!firings.empty() && time_ms <= firings.back().time_ms + span_ms) continue;
    const auto value = Evaluate(rule, Between(matches, time_ms - span_ms, time_ms));
    if (value) firings.push_back({time_ms, *value});
  }
  return firings;
}

}  // namespace weir::sigma
