#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/metrics/metric_report.h"

namespace weir {

namespace proto {
class MetricNames;
class MetricsReport;
class MetricValues;
}  // namespace proto

/// Reads what a TaskManager's MetricsEncoder wrote: one per connection. Threads: one at a time.
class MetricsDecoder {
 public:
  struct Scope {
    JobId job;
    ExecutionAttemptId attempt;  // The subtask's, or the coordinator's.
    MetricReport report;
  };

  /// Takes in one part of a report. Returns the jobs' scopes in it; what does not fit the names it
  /// refers to is left out and counted. The reports have names but nothing for Prometheus.
  [[nodiscard]] std::vector<Scope> Decode(const proto::MetricsReport& part);
  /// The process's own metrics; no layout before the first.
  [[nodiscard]] const MetricReport& process() const { return process_; }
  [[nodiscard]] uint64_t num_malformed() const { return num_malformed_; }

 private:
  // Returns no layout if the values do not fit.
  MetricReport Read(const proto::MetricValues& values);

  std::map<uint64_t, std::shared_ptr<const MetricLayout>> known_;
  MetricReport process_;
  uint64_t num_malformed_ = 0;
};

}  // namespace weir
