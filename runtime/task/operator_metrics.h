#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "runtime/base/ids.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/event_time.h"

namespace weir {

/// What a task knows of one of its operators at some moment: what the chain counts, and the
/// operator's own group. Valid as long as the task.
struct OperatorMetrics {
  static constexpr int64_t kNoLag = std::numeric_limits<int64_t>::min();

  OperatorId id;
  std::string_view name;
  /// It reads from outside: what it took in is what it emitted.
  bool is_source = false;
  uint64_t num_records_in = 0;
  uint64_t num_records_out = 0;
  /// EventTime::Min() before the first.
  EventTime input_watermark = EventTime::Min();
  EventTime output_watermark = EventTime::Min();
  /// When it last emitted a record, on the monotonic clock; 0 before.
  int64_t emit_nanos = 0;
  /// Of a source: how far behind the clock its newest record was when it was emitted.
  int64_t emit_event_time_lag_ms = kNoLag;
  const MetricGroup* group = nullptr;
};

}  // namespace weir
