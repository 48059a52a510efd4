#pragma once

#include <string>
#include <vector>

#include "runtime/task/task.h"

namespace weir {

/// A task of a source and a window whose numbers the test sets.
class FakeTask final : public Task {
 public:
  FakeTask() : attempt_(RandomId<ExecutionAttemptId>()) {
    source.name = "Source: gen";
    source.is_source = true;
    source.id = OperatorId(1, 2);
    source.group = &source_group;
    window.name = "win";
    window.id = OperatorId(3, 4);
    window.group = &window_group;
  }
  void Start() override {}
  void Cancel() override {}
  void TriggerCheckpoint(CheckpointBarrier) override {}
  void NotifyCheckpointComplete(CheckpointId) override {}
  void NotifyCheckpointAborted(CheckpointId) override {}
  void AbandonAlignment(CheckpointId) override {}
  void HandleCoordinatorEvent(OperatorId, std::string) override {}
  [[nodiscard]] TaskMetricsSnapshot metrics() const override { return snapshot; }
  [[nodiscard]] std::vector<OperatorMetrics> operator_metrics() const override {
    return {source, window};
  }
  [[nodiscard]] QueueUsage input_usage() const override { return {3, 512, 1024}; }
  [[nodiscard]] QueueUsage output_usage() const override { return {1, 256, 1024}; }
  [[nodiscard]] size_t num_queued_mails() const override { return 2; }
  [[nodiscard]] HistogramSnapshot mail_latency_ms() const override { return {}; }
  [[nodiscard]] ExecutionAttemptId attempt() const override { return attempt_; }

  TaskMetricsSnapshot snapshot;
  OperatorMetrics source;
  OperatorMetrics window;
  MetricGroup source_group;
  MetricGroup window_group;

 private:
  const ExecutionAttemptId attempt_;
};

}  // namespace weir
