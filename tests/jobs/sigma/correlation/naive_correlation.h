#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/sigma/correlation/correlation_group.h"
#include "jobs/sigma/engine/correlation_rule.h"

namespace weir::sigma {

/// What the reference says of one group: when it fires, and with which value.
struct NaiveFiring {
  int64_t time_ms = 0;
  double value = 0;

  friend bool operator==(const NaiveFiring&, const NaiveFiring&) = default;
};

/// Says when `rule` fires for a group by looking, at each point in time, at the whole list of its
/// matches, in whatever order they are. Plain and slow: what the evaluator is compared with.
[[nodiscard]] std::vector<NaiveFiring> CorrelateNaively(const CorrelationRule& rule,
                                                        std::vector<CorrelatedMatch> matches);

}  // namespace weir::sigma
