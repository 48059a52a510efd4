#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/graph/job_args.h"
#include "runtime/graph/operator_factory.h"
#include "runtime/graph/stream_graph.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/collector.h"
#include "runtime/task/coordinator.h"
#include "runtime/task/operator.h"

namespace weir::numbers_job {

/// Emits 0, 1, 2 … up to what its coordinator allows so far: events are numbers in decimal. Says
/// "hello" to the coordinator when it opens. "end" ends it, "fail" fails it.
class NumbersSource final : public SourceOperator {
 public:
  absl::Status Open(OperatorContext& context, Output& output,
                    std::vector<OperatorSubtaskState>) override {
    context_ = &context;
    collector_.Bind(&output.port(0));
    context.SendToCoordinator("hello");
    return absl::OkStatus();
  }
  absl::StatusOr<PollResult> Poll(Output& output) override {
    while (next_ < limit_ && !output.Full()) {
      collector_.Collect(next_, EventTime::FromMillis(next_));
      ++next_;
    }
    if (next_ < limit_) return PollResult::kMore;
    return ended_ ? PollResult::kEnd : PollResult::kNothing;
  }
  absl::Status HandleCoordinatorEvent(std::string_view event) override {
    if (event == "fail") return absl::InternalError("the source was told to fail");
    if (event == "end") {
      ended_ = true;
    } else {
      limit_ += std::stoll(std::string(event));
    }
    context_->handle()->Wake();
    return absl::OkStatus();
  }

 private:
  OperatorContext* context_ = nullptr;
  Collector<int64_t> collector_;
  int64_t next_ = 0;
  int64_t limit_ = 0;
  bool ended_ = false;
};

/// Takes what comes.
class NullSink final : public StreamOperator {
 public:
  absl::Status Open(OperatorContext&, Output&, std::vector<OperatorSubtaskState>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    cursor.row = cursor.batch->size();
    return Progress::kDone;
  }
};

/// Allows each subtask that says hello `first` numbers; passes any other event on to where it came
/// from.
class NumbersCoordinator final : public OperatorCoordinator {
 public:
  explicit NumbersCoordinator(int64_t first) : first_(first) {}
  absl::Status Start(CoordinatorContext& context, const std::string*) override {
    context_ = &context;
    return absl::OkStatus();
  }
  absl::Status HandleEvent(uint32_t subtask, std::string_view event) override {
    context_->SendEvent(subtask, event == "hello" ? std::to_string(first_) : std::string(event));
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> Snapshot(CheckpointId checkpoint) override {
    return "snapshot " + std::to_string(checkpoint.value());
  }
  absl::Status NotifyCheckpointComplete(CheckpointId) override { return absl::OkStatus(); }

 private:
  const int64_t first_;
  CoordinatorContext* context_ = nullptr;
};

template <class T>
class FactoryOf final : public OperatorFactory {
 public:
  std::unique_ptr<StreamOperator> Create() const override { return std::make_unique<T>(); }
};

class NumbersCoordinatorFactory final : public CoordinatorFactory {
 public:
  explicit NumbersCoordinatorFactory(int64_t first) : first_(first) {}
  std::unique_ptr<OperatorCoordinator> Create() const override {
    return std::make_unique<NumbersCoordinator>(first_);
  }

 private:
  const int64_t first_;
};

/// numbers (with coordinator) → sink, over a rebalancing edge. `--first N`.
inline absl::Status Build(StreamGraph& graph, const JobArgs& args) {
  const absl::StatusOr<int64_t> first = args.GetInt("first", 1000);
  if (!first.ok()) return first.status();
  StreamNode source;
  source.name = "numbers";
  source.uid = "numbers";
  source.num_inputs = 0;
  source.factory = std::make_shared<FactoryOf<NumbersSource>>();
  source.coordinator = std::make_shared<NumbersCoordinatorFactory>(*first);
  source.outputs.push_back({"", std::make_shared<TypedBatchType<int64_t>>()});
  StreamNode sink;
  sink.name = "sink";
  sink.uid = "sink";
  sink.factory = std::make_shared<FactoryOf<NullSink>>();
  StreamEdge edge;
  edge.source = graph.AddNode(std::move(source));
  edge.target = graph.AddNode(std::move(sink));
  edge.partitioning.strategy = ShipStrategy::kRebalance;
  graph.AddEdge(std::move(edge));
  return absl::OkStatus();
}

}  // namespace weir::numbers_job
