#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "jobs/sigma/correlation/correlation_group.h"
#include "jobs/sigma/engine/correlation_rule.h"

namespace weir::sigma {

/// Decides when a correlation fires for a group, in event time.
///
/// Conditions of lower bounds (`gte`, `gt`) on event_count, value_count, value_sum, temporal and
/// temporal_ordered slide: at each match they look at the matches of the time span that ends there,
/// both ends included, and fire at the match that fulfils them. All others (upper bounds, equality,
/// value_avg, value_median, value_percentile, `not` in an expression) can be told only at the end
/// of a window: the first match opens one that is as long as the time span, both ends included.
/// Either way a group fires at most once in a time span: after a match at which it fired, it is
/// quiet for one.
///
/// Matches take effect when event time reaches them, whatever the order they come in; those that
/// come later than that count with what is still kept. Memory of a group: of event_count as many
/// matches as the bound, of value_count as many values, of temporal one match of each rule, else
/// those of one time span.
///
/// Place: used by the operator Correlate and by `weir sigma match`. Knows no streams. Threads: may
/// be shared.
class CorrelationEvaluator {
 public:
  /// Matches are kept for `lateness` longer than in-order ones need.
  explicit CorrelationEvaluator(std::shared_ptr<const CorrelationRule> rule,
                                absl::Duration lateness = absl::ZeroDuration());

  [[nodiscard]] const CorrelationRule& rule() const { return *rule_; }
  /// Whether it fires at the end of windows only.
  [[nodiscard]] bool fires_at_end() const { return at_end_; }

  /// Moves the group's event time to `now_ms`: matches up to it are taken in, windows that end
  /// there or before are closed. Appends what fires, by time.
  void Advance(int64_t now_ms, CorrelationGroup* group,
               std::vector<CorrelationFiring>* firings) const;

  /// When event time has come here, and nothing came in between, nothing of the group matters any
  /// more.
  [[nodiscard]] int64_t ExpiresAt(const CorrelationGroup& group) const;

 private:
  struct Outcome;

  void TakeIn(std::vector<CorrelatedMatch> matches, CorrelationGroup* group,
              std::vector<CorrelationFiring>* firings) const;
  void TakeIntoWindow(std::vector<CorrelatedMatch> matches, CorrelationGroup* group) const;
  void CloseWindow(CorrelationGroup* group, std::vector<CorrelationFiring>* firings) const;
  void Keep(CorrelatedMatch match, CorrelationGroup* group) const;
  void Forget(int64_t before_ms, CorrelationGroup* group) const;
  [[nodiscard]] std::optional<CorrelationFiring> EvaluateAt(int64_t end_ms,
                                                            CorrelationGroup* group) const;
  [[nodiscard]] Outcome Measure(const CorrelatedMatch* begin, const CorrelatedMatch* end,
                                uint64_t num_matches) const;
  [[nodiscard]] Outcome MeasureRules(const CorrelatedMatch* begin,
                                     const CorrelatedMatch* end) const;
  [[nodiscard]] Outcome MeasureShares(const CorrelatedMatch* begin,
                                      const CorrelatedMatch* end) const;
  [[nodiscard]] double SumAt(int64_t end_ms, CorrelationGroup* group) const;

  const std::shared_ptr<const CorrelationRule> rule_;
  const int64_t span_ms_;
  const int64_t lateness_ms_;
  const bool at_end_;
  const size_t most_kept_;  // Of event_count and value_count; else no bound.
};

}  // namespace weir::sigma
