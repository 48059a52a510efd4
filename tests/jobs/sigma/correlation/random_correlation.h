#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "jobs/sigma/correlation/correlation_group.h"
#include "jobs/sigma/engine/correlation_rule.h"
#include "runtime/base/strings.h"
#include "tests/jobs/sigma/correlation/naive_correlation.h"

namespace weir::sigma {

/// Random correlations and matches for property tests. Times are within some time spans, so that
/// borders are met often.

inline constexpr int64_t kDisorderMillis = 8;

inline uint64_t Below(std::mt19937_64& random, uint64_t bound) { return random() % bound; }

inline CorrelationExpression RandomExpression(std::mt19937_64& random, size_t num_rules,
                                              int depth) {
  using Kind = CorrelationExpression::Kind;
  CorrelationExpression expression;
  const uint64_t choice = depth == 0 ? 0 : Below(random, 5);
  if (choice <= 1) {
    expression.rule = Below(random, num_rules);
    return expression;
  }
  expression.kind = choice == 2 ? Kind::kAnd : choice == 3 ? Kind::kOr : Kind::kNot;
  const size_t count = expression.kind == Kind::kNot ? 1 : 2;
  for (size_t i = 0; i < count; ++i) {
    expression.children.push_back(RandomExpression(random, num_rules, depth - 1));
  }
  return expression;
}

/// `group_by` stays empty: matches are of one group.
inline CorrelationRule RandomCorrelation(std::mt19937_64& random) {
  using Operator = CorrelationBound::Operator;
  CorrelationRule rule;
  rule.type = static_cast<CorrelationType>(Below(random, 8));
  rule.timespan = absl::Milliseconds(1 + Below(random, 20));
  const bool temporal =
      rule.type == CorrelationType::kTemporal || rule.type == CorrelationType::kTemporalOrdered;
  rule.rules.resize(temporal ? 1 + Below(random, 4) : 1 + Below(random, 2));
  if (temporal && Below(random, 2) == 0) {
    rule.condition.expression = RandomExpression(random, rule.rules.size(), 3);
    return rule;
  }
  const bool percentage = rule.type == CorrelationType::kValuePercentile && Below(random, 2) == 0;
  if (rule.type == CorrelationType::kValuePercentile && !percentage) {
    rule.condition.percentile = static_cast<double>(Below(random, 101));
  }
  const uint64_t num_bounds = 1 + Below(random, 2);
  for (uint64_t i = 0; i < num_bounds; ++i) {
    // Mostly lower bounds, as in life.
    const auto op =
        Below(random, 3) > 0 ? Operator::kGreaterOrEqual : static_cast<Operator>(Below(random, 6));
    rule.condition.bounds.push_back({op, static_cast<double>(Below(random, percentage ? 100 : 6))});
  }
  return rule;
}

inline std::vector<CorrelatedMatch> RandomMatches(const CorrelationRule& rule,
                                                  std::mt19937_64& random) {
  // The reference tries every chain of an ordered correlation.
  const bool ordered = rule.type == CorrelationType::kTemporalOrdered;
  std::vector<CorrelatedMatch> matches(Below(random, ordered ? 12 : 40));
  const uint64_t length = 20 + Below(random, 100);
  for (CorrelatedMatch& match : matches) {
    match.time_ms = 100 + static_cast<int64_t>(Below(random, length));
    match.rule = static_cast<uint32_t>(Below(random, rule.rules.size()));
    match.number = static_cast<double>(Below(random, 8)) - 2;
    match.value = StrCat("v", Below(random, 5));
  }
  std::sort(matches.begin(), matches.end(),
            [](const auto& a, const auto& b) { return a.time_ms < b.time_ms; });
  return matches;
}

/// No match comes more than kDisorderMillis behind the latest one.
inline std::vector<CorrelatedMatch> OutOfOrder(std::vector<CorrelatedMatch> matches,
                                               std::mt19937_64& random) {
  std::vector<std::pair<int64_t, size_t>> places;
  for (size_t i = 0; i < matches.size(); ++i) {
    places.emplace_back(matches[i].time_ms + static_cast<int64_t>(Below(random, kDisorderMillis)),
                        i);
  }
  std::sort(places.begin(), places.end());
  std::vector<CorrelatedMatch> moved;
  for (const auto& [place, index] : places) moved.push_back(matches[index]);
  return moved;
}

/// The evaluator keeps, and so counts, no more than a bound asks for.
inline std::vector<NaiveFiring> Comparable(const CorrelationRule& rule,
                                           std::vector<NaiveFiring> firings) {
  const bool counts =
      rule.type == CorrelationType::kEventCount || rule.type == CorrelationType::kValueCount;
  for (NaiveFiring& firing : firings) {
    if (counts) firing.value = 0;
    firing.value = std::round(firing.value * 1e6);
  }
  return firings;
}

inline std::string Describe(const CorrelationRule& rule,
                            const std::vector<CorrelatedMatch>& matches) {
  std::string text =
      StrCat(CorrelationTypeName(rule.type), " span=", absl::ToInt64Milliseconds(rule.timespan),
             " rules=", rule.rules.size());
  for (const CorrelationBound& bound : rule.condition.bounds) {
    StrAppend(&text, " op", static_cast<int>(bound.op), " ", bound.limit);
  }
  for (const CorrelatedMatch& match : matches) {
    StrAppend(&text, "\n  ", match.time_ms, " rule ", match.rule, " ", match.value, " ",
              match.number);
  }
  return text;
}

}  // namespace weir::sigma
