#pragma once

#include <cstdint>

#include "runtime/task/task.h"

namespace weir {

/// Tells, from what a task counts, whether it has done anything to speak of since the last look, so
/// that thousands of idle tasks need not be reported again and again. Plain data.
class TaskActivity {
 public:
  /// Looks anew. Returns true the first time; if records, bytes, watermarks or splits have moved;
  /// or if the task was busy or back-pressured for more than one percent of the time in between.
  bool Update(const TaskMetricsSnapshot& metrics);

 private:
  // Of the last look.
  bool looked_ = false;
  uint64_t traffic_ = 0;
  uint64_t event_time_ = 0;
  absl::Duration active_;
  absl::Duration idle_;
};

}  // namespace weir
