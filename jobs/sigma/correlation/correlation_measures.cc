#include "jobs/sigma/correlation/correlation_measures.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "runtime/base/check.h"

namespace weir::sigma {
namespace {

bool Holds(const CorrelationExpression& expression, const std::vector<bool>& matched,
           const std::vector<bool>& seen, bool negated) {
  using Kind = CorrelationExpression::Kind;
  const auto child_holds = [&](const CorrelationExpression& child) {
    return Holds(child, matched, seen, negated);
  };
  switch (expression.kind) {
    case Kind::kRule:
      return negated ? seen[expression.rule] : matched[expression.rule];
    case Kind::kAnd:
      return std::all_of(expression.children.begin(), expression.children.end(), child_holds);
    case Kind::kOr:
      return std::any_of(expression.children.begin(), expression.children.end(), child_holds);
    case Kind::kNot:
      return !Holds(expression.children.front(), matched, seen, !negated);
  }
  return false;
}

}  // namespace

bool HoldsAll(const std::vector<CorrelationBound>& bounds, double value) {
  return std::all_of(bounds.begin(), bounds.end(),
                     [&](const CorrelationBound& bound) { return bound.Holds(value); });
}

bool HoldsFor(const CorrelationExpression& expression, const std::vector<bool>& matched,
              const std::vector<bool>& seen) {
  return Holds(expression, matched, seen, false);
}

bool HasNegation(const CorrelationExpression& expression) {
  return expression.kind == CorrelationExpression::Kind::kNot ||
         std::any_of(expression.children.begin(), expression.children.end(), HasNegation);
}

double PercentileOf(const std::vector<double>& numbers, double percentile) {
  DCHECK(!numbers.empty());
  const double position = percentile / 100 * static_cast<double>(numbers.size() - 1);
  const auto below = static_cast<size_t>(std::floor(position));
  const size_t above = std::min(below + 1, numbers.size() - 1);
  const double part = position - std::floor(position);
  return numbers[below] + part * (numbers[above] - numbers[below]);
}

std::vector<ValueShare> SharesOf(const CorrelatedMatch* begin, const CorrelatedMatch* end) {
  std::map<std::string_view, uint64_t> counts;
  for (const CorrelatedMatch* match = begin; match != end; ++match) ++counts[match->value];
  std::map<uint64_t, uint64_t> matches_of_count;  // How many matches have values of such a count.
  for (const auto& [value, count] : counts) matches_of_count[count] += count;
  std::vector<std::pair<uint64_t, std::string_view>> by_count;
  for (const auto& [value, count] : counts) by_count.emplace_back(count, value);
  std::sort(by_count.begin(), by_count.end());
  std::vector<ValueShare> shares;
  uint64_t as_rare = 0;
  uint64_t last_count = 0;
  for (const auto& [count, value] : by_count) {
    if (count != last_count) as_rare += matches_of_count[count];
    last_count = count;
    shares.push_back({std::string(value),
                      100.0 * static_cast<double>(as_rare) / static_cast<double>(end - begin)});
  }
  return shares;
}

size_t LongestOrderedChain(const CorrelatedMatch* begin, const CorrelatedMatch* end,
                           size_t num_rules) {
  std::vector<size_t> longest(num_rules, 0);  // Of the chains that end with this rule.
  for (const CorrelatedMatch* match = begin; match != end; ++match) {
    const auto rule = longest.begin() + match->rule;
    const auto before = std::max_element(longest.begin(), rule);
    *rule = std::max(*rule, before == rule ? size_t{1} : *before + 1);
  }
  return longest.empty() ? 0 : *std::max_element(longest.begin(), longest.end());
}

std::vector<uint64_t> OrderedRuleSets(const CorrelatedMatch* begin, const CorrelatedMatch* end,
                                      size_t num_rules) {
  CHECK(num_rules <= kMaxOrderedRules);
  std::set<uint64_t> sets = {0};
  for (const CorrelatedMatch* match = begin; match != end; ++match) {
    const uint64_t bit = uint64_t{1} << match->rule;
    std::vector<uint64_t> longer;
    for (const uint64_t set : sets) {
      // Matches of one time come in the order of their rules, so each may follow those before it.
      if (set < bit) longer.push_back(set | bit);
    }
    sets.insert(longer.begin(), longer.end());
  }
  std::vector<uint64_t> largest;
  for (const uint64_t set : sets) {
    const bool contained = std::any_of(sets.begin(), sets.end(), [&](uint64_t other) {
      return other != set && (other & set) == set;
    });
    if (!contained) largest.push_back(set);
  }
  return largest;
}

}  // namespace weir::sigma
