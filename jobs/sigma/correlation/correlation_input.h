#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/sigma/correlation/correlation_group.h"
#include "jobs/sigma/correlation/correlation_set.h"
#include "jobs/sigma/engine/event_fields.h"

namespace weir::sigma {

/// A match on its way to one group of one correlation.
struct CorrelationInput {
  std::string group{};        ///< The key: correlation and group, see GroupKey.
  std::string correlation{};  ///< Its id.
  uint32_t level = 0;
  uint64_t definition = 0;
  std::vector<std::string> group_values{};  ///< In the order of CorrelationRule::group_by.
  CorrelatedMatch match{};
};

/// Returns the values of a field of an event; empty if it has none.
using FieldValues = std::function<std::vector<std::string>(std::string_view field)>;

/// The values of an event's fields as texts, each once.
[[nodiscard]] FieldValues ValuesOf(const EventFields& event);

/// Appends what the readers of `id` are given of a match of it: one input for each group of each. A
/// match without a value for a group's field is in none; a field with several values puts it into
/// several groups (at most kMaxGroupsOfMatch), and counts with each of them. Value types leave out
/// matches without a value, and those that calculate, matches whose value is no number.
void AppendInputs(const CorrelationSet& correlations, std::string_view id,
                  const FieldValues& values, int64_t time_ms, const std::string& event,
                  std::vector<CorrelationInput>* inputs);

inline constexpr size_t kMaxGroupsOfMatch = 64;

/// What a correlation that fired gives to those that read it: the fields by which it groups.
[[nodiscard]] FieldValues ValuesOfFiring(const CorrelationRule& rule,
                                         const std::vector<std::string>& group_values);

/// Appends a firing as JSON: type, group, times, what was compared, rules and events.
void AppendFiring(const CorrelationRule& rule, const std::vector<std::string>& group_values,
                  const CorrelationFiring& firing, std::string* json);

/// Appends `{"correlation":{…}}`, to which AppendTaggedEvent adds the detection.
void AppendFiringJson(const CorrelationRule& rule, const std::vector<std::string>& group_values,
                      const CorrelationFiring& firing, std::string* json);

/// Returns the correlation as the detection that it makes: id, title, level and techniques.
[[nodiscard]] Rule DetectionOf(const CorrelationRule& rule);

}  // namespace weir::sigma
