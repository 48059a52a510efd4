#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "runtime/graph/ids.h"
#include "runtime/record/event_time.h"

namespace weir::internal {

/// What a source asks of its alignment group.
struct AlignmentOptions {
  std::string group;
  absl::Duration max_drift;
  absl::Duration update_interval;
  /// Sources of the job that name the group, this one included.
  uint32_t num_sources = 1;
};

/// How far the readers of one source may come: the slowest watermark of all subtasks of all sources
/// of its group, and the drift. Held by the source's coordinator. A watermark of Max means that
/// nothing there holds the others back. Threads: one at a time.
class WatermarkAlignment {
 public:
  WatermarkAlignment(AlignmentOptions options, uint32_t parallelism)
      : options_(std::move(options)), subtasks_(parallelism, EventTime::Min()) {}

  void OnReport(uint32_t subtask, EventTime watermark) {
    if (subtask < subtasks_.size()) subtasks_[subtask] = watermark;
  }
  void OnOtherSource(OperatorId source, EventTime lowest) { others_[source] = lowest; }

  /// The slowest subtask of this source; Min until all have reported.
  [[nodiscard]] EventTime lowest() const {
    return *std::min_element(subtasks_.begin(), subtasks_.end());
  }
  /// How far splits may come; Min until all of the group is known, Max if nothing holds them back.
  [[nodiscard]] EventTime max_watermark() const {
    if (others_.size() + 1 < options_.num_sources) return EventTime::Min();
    EventTime slowest = lowest();
    for (const auto& [source, watermark] : others_) slowest = std::min(slowest, watermark);
    if (slowest == EventTime::Min()) return slowest;
    return slowest + absl::ToInt64Milliseconds(options_.max_drift);
  }

 private:
  const AlignmentOptions options_;
  std::vector<EventTime> subtasks_;
  std::map<OperatorId, EventTime> others_;
};

}  // namespace weir::internal
