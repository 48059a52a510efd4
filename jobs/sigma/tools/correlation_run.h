#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "jobs/sigma/correlation/correlation_input.h"
#include "jobs/sigma/correlation/correlation_set.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/rule.h"

namespace weir::sigma {

/// Runs correlations over the matches of events that come in any order, once all are there: they
/// are put in order of event time first. Holds the matches of rules that correlations name.
class CorrelationRun {
 public:
  /// Called for each firing of a correlation that is not silent.
  using OnFiring =
      std::function<void(const CorrelationRule& rule, const std::vector<std::string>& group_values,
                         const CorrelationFiring& firing)>;

  /// `correlations` must outlive it.
  explicit CorrelationRun(const CorrelationSet& correlations) : correlations_(correlations) {}

  /// Whether anything is to be done with matches of `rule`.
  [[nodiscard]] bool Reads(const Rule& rule) const {
    return !correlations_.ReadersOf(rule.id).empty();
  }
  /// Takes a match; `event` tells where it is. Returns false, and leaves it out, if the event has
  /// no time.
  bool Add(const Rule& rule, const EventFields& fields, const std::string& event);

  /// Runs all of them: level by level, each in order of time.
  void Finish(const OnFiring& on_firing);

 private:
  void RunLevel(uint32_t level, const OnFiring& on_firing);

  const CorrelationSet& correlations_;
  std::vector<CorrelationInput> inputs_;
};

/// Returns when an event was, in milliseconds since 1970, by the usual fields; nothing if none of
/// them tells.
[[nodiscard]] std::optional<int64_t> TimeOf(const EventFields& fields);

}  // namespace weir::sigma
