#include "operators/api/stream_environment.h"

#include "operators/process/source_events.h"
#include "runtime/base/strings.h"

namespace weir {

StreamEnvironment::StreamEnvironment(StreamGraph* graph)
    : graph_(graph), alignment_groups_(std::make_shared<internal::AlignmentGroups>()) {}

void StreamEnvironment::SetJobName(std::string name) { graph_->set_job_name(std::move(name)); }

void StreamEnvironment::SetOption(std::string key, std::string value) {
  graph_->settings()[std::move(key)] = std::move(value);
}

void StreamEnvironment::EnableCheckpointing(absl::Duration interval) {
  SetOption("execution.checkpointing.interval", StrCat(absl::ToInt64Milliseconds(interval), " ms"));
}

std::shared_ptr<const CoordinatorFactory> StreamEnvironment::MakeCoordinator(
    std::shared_ptr<const SourceBase> source, const WatermarkAlignmentSettings& alignment) {
  if (!alignment.group.empty()) ++(*alignment_groups_)[alignment.group];
  return internal::MakeSourceCoordinatorFactory(std::move(source), alignment, alignment_groups_);
}

}  // namespace weir
