#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "runtime/base/ids.h"
#include "runtime/base/memory_budget.h"
#include "runtime/base/mutex.h"
#include "runtime/graph/ids.h"
#include "runtime/metrics/metric_report.h"
#include "runtime/metrics/process_statistics.h"
#include "runtime/metrics/rate_meter.h"
#include "runtime/network/network_counters.h"
#include "runtime/task/task.h"

namespace weir {

/// Everything measured on a TaskManager at one time. Immutable once shared.
struct CollectedMetrics {
  struct Scope {
    JobId job;
    ExecutionAttemptId attempt;  // The task's, or the coordinator's.
    MetricReport report;
    uint64_t round = 0;  // In which it was measured.
  };
  uint64_t round = 0;  // Counts the calls of Collect.
  MetricReport process;
  std::vector<Scope> subtasks;
  std::vector<Scope> coordinators;
};

/// What names a task in its metrics.
struct TaskIdentity {
  JobId job;
  std::string job_name;
  JobVertexId vertex;
  std::string vertex_name;
  uint32_t subtask = 0;
  ExecutionAttemptId attempt;
  uint32_t attempt_number = 0;
};

/// What a TaskManager measures of itself, besides its tasks. Borrowed.
struct ProcessSources {
  std::string task_manager_id;
  std::string host;
  const MemoryBudget* memory_budget = nullptr;
  const NetworkCounters* sent = nullptr;
  const NetworkCounters* received = nullptr;
};

/// Turns what tasks count into metrics by Flink's names, every few seconds, for the JobManager and
/// for Prometheus.
///
/// Place: one per TaskManager. Tasks only count; names, rates and quantiles are made here, so that
/// the hot path does not pay for them. Threads: all on one strand, but for Latest and
/// RenderPrometheus, which any thread may call.
class MetricsCollector {
 public:
  explicit MetricsCollector(ProcessSources sources);
  ~MetricsCollector();

  void AddTask(TaskIdentity identity, std::shared_ptr<const Task> task);
  void RemoveTask(ExecutionAttemptId attempt);
  /// `group` is kept alive.
  void AddCoordinator(JobId job, ExecutionAttemptId attempt, const std::string& operator_name,
                      std::shared_ptr<const MetricGroup> group);
  void RemoveCoordinator(ExecutionAttemptId attempt);

  /// Measures anew everything that may have changed: not the tasks that have done nothing for
  /// longer than rates look back, which are measured every ten seconds only. `now_nanos` is of the
  /// monotonic clock, `now` of the wall's.
  void Collect(int64_t now_nanos, absl::Time now);
  /// What Collect last made; never null.
  [[nodiscard]] std::shared_ptr<const CollectedMetrics> Latest() const;
  /// The same in Prometheus' text format.
  [[nodiscard]] std::string RenderPrometheus() const;

 private:
  struct TaskEntry;
  struct CoordinatorEntry;

  MetricReport ReportProcess(int64_t now_nanos);
  void ReportTask(TaskEntry& entry, int64_t now_nanos, absl::Time now);
  void ReportCoordinator(CoordinatorEntry& entry);
  // Returns a layout with the same names that is already in use, or this one.
  std::shared_ptr<const MetricLayout> Intern(std::shared_ptr<const MetricLayout> layout);
  void ForgetUnusedLayouts();

  const ProcessSources sources_;
  const std::string labels_;  // Of every metric.
  uint64_t round_ = 0;
  ProcessMetrics process_metrics_;
  MetricReport last_process_;
  absl::flat_hash_map<ExecutionAttemptId, std::unique_ptr<TaskEntry>> tasks_;
  absl::flat_hash_map<ExecutionAttemptId, std::unique_ptr<CoordinatorEntry>> coordinators_;
  std::unordered_multimap<uint64_t, std::shared_ptr<const MetricLayout>> layouts_;  // By hash.

  mutable Mutex mutex_;
  std::shared_ptr<const CollectedMetrics> latest_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
