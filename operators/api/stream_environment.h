#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "operators/api/broadcast_join.h"
#include "operators/api/data_stream.h"
#include "operators/api/keyed_stream.h"
#include "operators/api/source.h"
#include "operators/api/watermark_strategy.h"
#include "operators/api/window_join.h"
#include "runtime/graph/job_args.h"
#include "runtime/graph/stream_graph.h"

namespace weir {

/// Where a job's Build begins: makes sources and sets what the job wants for itself.
///
/// Build runs once where the job is submitted and once on each TaskManager, and must describe the
/// same graph each time: it takes everything from its JobArgs, and sees no clock, no folder and no
/// parallelism.
class StreamEnvironment {
 public:
  explicit StreamEnvironment(StreamGraph* graph) : graph_(graph) {}

  void SetJobName(std::string name) { graph_->set_job_name(std::move(name)); }

  /// Adds a source (a Source<T>, by value) whose records get times and watermarks by `strategy`.
  template <class SourceType, class T = typename SourceType::Record>
    requires std::derived_from<SourceType, Source<T>>
  DataStream<T> FromSource(SourceType source, WatermarkStrategy<T> strategy, std::string name) {
    std::shared_ptr<const Source<T>> shared = std::make_shared<const SourceType>(std::move(source));
    StreamNode node;
    node.name = std::move(name);
    node.num_inputs = 0;
    node.outputs.push_back({"", internal::BatchTypeOf<T>()});
    if (!strategy.alignment().group.empty()) ++(*alignment_groups_)[strategy.alignment().group];
    node.coordinator = std::make_shared<internal::SourceCoordinatorFactory<T>>(
        shared, strategy.alignment(), alignment_groups_);
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    node.factory = internal::MakeOperatorFactory([shared, strategy = std::move(strategy),
                                                  side_outputs] {
      return std::make_unique<internal::SourceReaderOperator<T>>(shared, strategy, side_outputs);
    });
    internal::StreamOrigin origin;
    origin.graph = graph_;
    origin.side_outputs = std::move(side_outputs);
    origin.ports = {{graph_->AddNode(std::move(node)), 0}};
    return DataStream<T>(std::move(origin));
  }

  /// Makes every operator a task of its own: for finding out which one is slow.
  void DisableOperatorChaining() { graph_->set_chaining_enabled(false); }

  /// Sets a configuration key for this job, e.g. "execution.checkpointing.interval" to "10 s".
  void SetOption(std::string key, std::string value) {
    graph_->settings()[std::move(key)] = std::move(value);
  }
  void EnableCheckpointing(absl::Duration interval) {
    SetOption("execution.checkpointing.interval",
              absl::StrFormat("%d ms", absl::ToInt64Milliseconds(interval)));
  }

 private:
  StreamGraph* graph_;
  std::shared_ptr<internal::AlignmentGroups> alignment_groups_ =
      std::make_shared<internal::AlignmentGroups>();
};

}  // namespace weir
