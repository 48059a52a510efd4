#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "jobs/sigma/event_tagger.h"

namespace weir::sigma {

/// What happened to the events of one key within one window. Plain data, part of the job's state.
struct WindowStatistics {
  static constexpr size_t kMaxMessages = 10;

  int64_t start_ms = 0;  ///< When the first event came.
  uint64_t num_events = 0;
  uint64_t num_matched = 0;
  uint64_t num_filtered = 0;
  uint64_t num_event_parsing_errors = 0;   ///< Events that are no JSON objects.
  uint64_t num_schema_parsing_errors = 0;  ///< Events on which the parser failed.
  int64_t matching_nanos = 0;
  std::map<std::string, uint64_t> matches_by_rule;
  std::vector<std::string> messages;  ///< Of errors, the first ones.

  /// Counts an event that was matched.
  void Add(const TagResult& result);
  void AddError(std::string_view message);
  friend bool operator==(const WindowStatistics&, const WindowStatistics&) = default;
};

/// What a message of statistics says of where it comes from.
struct MetricsOrigin {
  std::string job_id;
  std::string input_topics;
  std::string output_topic;
  std::string hostname;
  uint32_t subtask = 0;
  uint32_t parallelism = 1;
};

/// When a window ended, and what was done then.
struct WindowEnd {
  absl::Time now;
  absl::Time timer_began;  ///< When the work on a buffered window began; else as `now`.
  uint64_t num_buffered_events = 0;
  uint64_t num_buffered_bytes = 0;
  uint64_t num_rules = 0;
  uint64_t num_rule_errors = 0;  ///< Since the message before.
};

/// Appends the message of the metrics topic about one window, as DetectFlow's backend reads it.
void AppendMetricsMessage(const MetricsOrigin& origin, const WindowStatistics& statistics,
                          const WindowEnd& end, std::string* json);

}  // namespace weir::sigma
