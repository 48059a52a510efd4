#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "runtime/metrics/metric_report.h"
#include "taskmanager/metrics_collector.h"

namespace weir {

namespace proto {
class MetricsReport;
class MetricValues;
class TaskManagerMessage;
}  // namespace proto

/// Writes collected metrics as messages for the JobManager: names once, as long as they are in use,
/// and values when they have been measured anew. One per connection: both sides begin with nothing
/// known. Threads: one at a time.
class MetricsEncoder {
 public:
  /// Calls `send` with each part of the report, in order; a part is kept near `part_bytes`.
  void Encode(const CollectedMetrics& collected,
              const std::function<void(const proto::TaskManagerMessage&)>& send,
              size_t part_bytes = size_t{256} << 10);
  /// The connection is a new one.
  void Reset();

 private:
  struct Known {
    uint64_t id = 0;
    bool used = false;  // By what was collected last.
  };

  // Writes the values, and the names to `report` if they are new; returns about how many bytes.
  size_t Write(const MetricReport& metrics, proto::MetricsReport* report,
               proto::MetricValues* values);

  // Keeps the layouts alive, so that an address means one layout.
  std::map<std::shared_ptr<const MetricLayout>, Known> known_;
  uint64_t next_id_ = 1;
  uint64_t sent_round_ = 0;  // The JobManager has what was measured up to then.
};

}  // namespace weir
