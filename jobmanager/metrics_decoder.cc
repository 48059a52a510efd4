#include "jobmanager/metrics_decoder.h"

#include <utility>

#include "jobmanager/proto_ids.h"
#include "proto/control_plane.pb.h"

namespace weir {

MetricReport MetricsDecoder::Read(const proto::MetricValues& values) {
  MetricReport report;
  const auto known = known_.find(values.names());
  if (known == known_.end() ||
      known->second->names.size() != static_cast<size_t>(values.values_size())) {
    ++num_malformed_;
    return report;
  }
  report.layout = known->second;
  report.values.assign(values.values().begin(), values.values().end());
  return report;
}

std::vector<MetricsDecoder::Scope> MetricsDecoder::Decode(const proto::MetricsReport& part) {
  for (const proto::MetricNames& names : part.names()) {
    auto layout = std::make_shared<MetricLayout>();
    layout->names.assign(names.names().begin(), names.names().end());
    known_[names.id()] = std::move(layout);
  }
  if (part.has_process()) {
    if (MetricReport process = Read(part.process()); process.layout != nullptr) {
      process_ = std::move(process);
    }
  }
  std::vector<Scope> scopes;
  const auto add = [&](const auto& scope) {
    MetricReport report = Read(scope.metrics());
    if (report.layout == nullptr) return;
    scopes.push_back({IdFromBytes<JobId>(scope.job_id()),
                      IdFromBytes<ExecutionAttemptId>(scope.attempt()), std::move(report)});
  };
  for (const proto::SubtaskMetrics& subtask : part.subtasks()) add(subtask);
  for (const proto::CoordinatorMetrics& coordinator : part.coordinators()) add(coordinator);
  for (const uint64_t names : part.forgotten()) known_.erase(names);
  return scopes;
}

}  // namespace weir
