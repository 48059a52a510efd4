#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "operators/process/element_operators.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Hands whole batches to a function: Body(values, times, collector), with a time for each value.
/// What it emits is bounded by what the function makes of one batch.
template <class In, class Out, class Body>
class BatchOperator final : public StreamOperator {
 public:
  explicit BatchOperator(Body body) : body_(std::move(body)) {}

  absl::Status Open(OperatorContext&, Output& output, std::vector<OperatorSubtaskState>) override {
    collector_.Bind(&output.port(0));
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    const std::span<const In> values = BatchValues<In>(*cursor.batch);
    std::span<const EventTime> times = cursor.batch->event_times();
    if (times.empty()) {
      if (no_times_.size() < values.size()) no_times_.resize(values.size(), EventTime::Min());
      times = std::span(no_times_).first(values.size());
    }
    body_(values, times, collector_);
    cursor.row = values.size();
    return Progress::kDone;
  }

 private:
  Body body_;
  Collector<Out> collector_;
  std::vector<EventTime> no_times_;  // For batches without times.
};

template <class In, class Out, class Body>
std::shared_ptr<const OperatorFactory> MakeBatchOperator(Body body) {
  return MakeOperatorFactory(
      [body = std::move(body)] { return std::make_unique<BatchOperator<In, Out, Body>>(body); });
}

}  // namespace weir::internal
