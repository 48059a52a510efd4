#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "jobs/sigma/correlation/correlation_group.h"
#include "jobs/sigma/engine/correlation_rule.h"

namespace weir::sigma {

/// Whether `value` is within all bounds.
[[nodiscard]] bool HoldsAll(const std::vector<CorrelationBound>& bounds, double value);

/// Evaluates a boolean condition. `matched[i]`: rules[i] counts as matched where the condition asks
/// for it; `seen[i]`: where it asks for its absence.
[[nodiscard]] bool HoldsFor(const CorrelationExpression& expression,
                            const std::vector<bool>& matched, const std::vector<bool>& seen);

/// Returns whether `expression` asks for the absence of a rule.
[[nodiscard]] bool HasNegation(const CorrelationExpression& expression);

/// Returns the percentile of `numbers`, which is sorted and not empty; between two numbers it is
/// interpolated.
[[nodiscard]] double PercentileOf(const std::vector<double>& numbers, double percentile);

/// A value and what percentage of all matches have values that are as rare as it, or rarer.
struct ValueShare {
  std::string value;
  double percent = 0;
};

/// Returns the shares of all values, rarest first, equally rare ones by value.
[[nodiscard]] std::vector<ValueShare> SharesOf(const CorrelatedMatch* begin,
                                               const CorrelatedMatch* end);

/// Returns how many rules of the matches, which are sorted by time and then by rule, can be met one
/// after the other in the order of their indexes; those of one time count as in order.
[[nodiscard]] size_t LongestOrderedChain(const CorrelatedMatch* begin, const CorrelatedMatch* end,
                                         size_t num_rules);

/// Returns the rules of such chains, a bit for each: every set that no other one contains.
/// `num_rules` is at most kMaxOrderedRules.
[[nodiscard]] std::vector<uint64_t> OrderedRuleSets(const CorrelatedMatch* begin,
                                                    const CorrelatedMatch* end, size_t num_rules);

/// The most rules that a boolean condition of temporal_ordered may name.
inline constexpr size_t kMaxOrderedRules = 16;

}  // namespace weir::sigma
