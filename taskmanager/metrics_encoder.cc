#include "taskmanager/metrics_encoder.h"

#include <utility>

#include "proto/control_plane.pb.h"
#include "taskmanager/wire_ids.h"

namespace weir {

void MetricsEncoder::Reset() {
  known_.clear();
  sent_round_ = 0;
}

size_t MetricsEncoder::Write(const MetricReport& metrics, proto::MetricsReport* report,
                             proto::MetricValues* values) {
  size_t bytes = 64 + metrics.values.size() * sizeof(double);
  const auto [known, added] = known_.try_emplace(metrics.layout);
  known->second.used = true;
  if (added) {
    known->second.id = next_id_++;
    proto::MetricNames* const names = report->add_names();
    names->set_id(known->second.id);
    for (const std::string& name : metrics.layout->names) {
      names->add_names(name);
      bytes += name.size() + 2;
    }
  }
  values->set_names(known->second.id);
  values->mutable_values()->Add(metrics.values.begin(), metrics.values.end());
  return bytes;
}

void MetricsEncoder::Encode(const CollectedMetrics& collected,
                            const std::function<void(const proto::TaskManagerMessage&)>& send,
                            size_t part_bytes) {
  for (auto& [layout, known] : known_) known.used = false;
  proto::TaskManagerMessage message;
  proto::MetricsReport* part = message.mutable_metrics();
  size_t bytes = Write(collected.process, part, part->mutable_process());
  const auto make_room = [&] {
    if (bytes < part_bytes) return;
    send(message);
    message.Clear();
    part = message.mutable_metrics();
    bytes = 0;
  };
  // Names stay known as long as anything has them, said again or not.
  const auto is_news = [this](const CollectedMetrics::Scope& scope) {
    if (const auto known = known_.find(scope.report.layout); known != known_.end()) {
      known->second.used = true;
    }
    return scope.round > sent_round_;
  };
  for (const CollectedMetrics::Scope& scope : collected.subtasks) {
    if (!is_news(scope)) continue;
    make_room();
    proto::SubtaskMetrics* const subtask = part->add_subtasks();
    subtask->set_job_id(ToWireId(scope.job));
    subtask->set_attempt(ToWireId(scope.attempt));
    bytes += Write(scope.report, part, subtask->mutable_metrics());
  }
  for (const CollectedMetrics::Scope& scope : collected.coordinators) {
    if (!is_news(scope)) continue;
    make_room();
    proto::CoordinatorMetrics* const coordinator = part->add_coordinators();
    coordinator->set_job_id(ToWireId(scope.job));
    coordinator->set_attempt(ToWireId(scope.attempt));
    bytes += Write(scope.report, part, coordinator->mutable_metrics());
  }
  for (const auto& [layout, known] : known_) {
    if (!known.used) part->add_forgotten(known.id);
  }
  send(message);
  std::erase_if(known_, [](const auto& entry) { return !entry.second.used; });
  sent_round_ = collected.round;
}

}  // namespace weir
