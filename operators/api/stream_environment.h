#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
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
  explicit StreamEnvironment(StreamGraph* graph);

  void SetJobName(std::string name);

  /// Adds a source (a Source<T>, by value) whose records get times and watermarks by `strategy`.
  template <class SourceType, class T = typename SourceType::Record>
    requires std::derived_from<SourceType, Source<T>>
  DataStream<T> FromSource(SourceType source, WatermarkStrategy<T> strategy, std::string name,
                           CallSite at = CallSite::current()) {
    std::shared_ptr<const Source<T>> shared = std::make_shared<const SourceType>(std::move(source));
    std::shared_ptr<const CoordinatorFactory> coordinator =
        MakeCoordinator(shared, strategy.alignment());
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    auto factory = internal::MakeOperatorFactory([shared = std::move(shared),
                                                  strategy = std::move(strategy), side_outputs] {
      return std::make_unique<internal::SourceReaderOperator<T>>(shared, strategy, side_outputs);
    });
    return DataStream<T>(internal::AddSource(graph_, at, std::move(name),
                                             internal::BatchTypeOf<T>(), std::move(coordinator),
                                             std::move(factory), std::move(side_outputs)));
  }

  /// Makes every operator a task of its own: for finding out which one is slow.
  void DisableOperatorChaining() { graph_->set_chaining_enabled(false); }

  /// Sets a configuration key for this job, e.g. "execution.checkpointing.interval" to "10 s".
  void SetOption(std::string key, std::string value);
  void EnableCheckpointing(absl::Duration interval);

 private:
  [[nodiscard]] std::shared_ptr<const CoordinatorFactory> MakeCoordinator(
      std::shared_ptr<const SourceBase> source, const WatermarkAlignmentSettings& alignment);

  StreamGraph* graph_;
  std::shared_ptr<internal::AlignmentGroups> alignment_groups_;
};

}  // namespace weir
