#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/graph/operator_factory.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/collector.h"
#include "runtime/task/operator.h"

namespace weir::internal {

/// Makes operators by a copyable recipe.
template <class Make>
class OperatorFactoryOf final : public OperatorFactory {
 public:
  explicit OperatorFactoryOf(Make make) : make_(std::move(make)) {}
  [[nodiscard]] std::unique_ptr<StreamOperator> Create() const override { return make_(); }

 private:
  Make make_;
};

template <class Make>
std::shared_ptr<const OperatorFactory> MakeOperatorFactory(Make make) {
  return std::make_shared<OperatorFactoryOf<Make>>(std::move(make));
}

/// The loop over a batch that map, filter and flat-map operators share: `Body(record, collector)`
/// is inlined into it. Stateless; suspends after the record that filled the output.
template <class In, class Out, class Body>
class ElementOperator final : public StreamOperator {
 public:
  explicit ElementOperator(Body body) : body_(std::move(body)) {}

  absl::Status Open(OperatorContext&, Output& output, std::vector<OperatorSubtaskState>) override {
    collector_.Bind(&output.port(0));
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    while (cursor.row < values.size()) {
      collector_.set_timestamp(batch.event_time(cursor.row));
      body_(values[cursor.row], collector_);
      ++cursor.row;
      if (collector_.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

 private:
  Body body_;
  Collector<Out> collector_;
};

template <class In, class Out, class Body>
std::shared_ptr<const OperatorFactory> MakeElementOperator(Body body) {
  return MakeOperatorFactory(
      [body = std::move(body)] { return std::make_unique<ElementOperator<In, Out, Body>>(body); });
}

}  // namespace weir::internal
