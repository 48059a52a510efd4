#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
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

/// The loop over a batch that map and flat-map operators share: `Body(record, collector)` is
/// inlined into it. Records of a batch that nobody else holds are handed over as rvalues, so that a
/// body that takes its record by value, or moves from it, copies nothing. Stateless; suspends after
/// the record that filled the output.
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
    if constexpr (!std::is_trivially_copyable_v<In>) {
      if (cursor.batch.IsUnique()) {
        auto& owned = static_cast<TypedBatch<In>&>(cursor.batch.MakeUnique());
        return Loop(owned, cursor, [this, values = owned.mutable_values()](size_t row) {
          body_(std::move(values[row]), collector_);
        });
      }
    }
    return Loop(batch, cursor,
                [this, values = batch.values()](size_t row) { body_(values[row], collector_); });
  }

 private:
  template <class Call>
  Progress Loop(const Batch& batch, BatchCursor& cursor, Call call) {
    const size_t size = batch.size();
    while (cursor.row < size) {
      collector_.set_timestamp(batch.event_time(cursor.row));
      call(cursor.row);
      ++cursor.row;
      if (collector_.Full()) return cursor.row < size ? Progress::kSuspended : Progress::kDone;
    }
    return Progress::kDone;
  }

  Body body_;
  Collector<Out> collector_;
};

template <class In, class Out, class Body>
std::shared_ptr<const OperatorFactory> MakeElementOperator(Body body) {
  return MakeOperatorFactory(
      [body = std::move(body)] { return std::make_unique<ElementOperator<In, Out, Body>>(body); });
}

/// Keeps the records of a batch for which the predicate holds. A batch of which all are kept goes
/// on as it is; of another, the kept ones are moved if nobody else holds it. It emits no more than
/// it was given, so it never suspends within a batch.
template <class T, class Predicate>
class FilterOperator final : public StreamOperator {
 public:
  explicit FilterOperator(Predicate predicate) : predicate_(std::move(predicate)) {}

  absl::Status Open(OperatorContext&, Output& output, std::vector<OperatorSubtaskState>) override {
    collector_.Bind(&output.port(0));
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    const auto values = BatchValues<T>(*cursor.batch);
    // The row is kept in the cursor so that an exception names the record.
    kept_.resize(values.size());
    size_t num_kept = 0;
    for (; cursor.row < values.size(); ++cursor.row) {
      kept_[num_kept] = static_cast<uint32_t>(cursor.row);
      if (predicate_(values[cursor.row])) ++num_kept;
    }
    collector_.CollectRows(cursor.batch, std::span(kept_).first(num_kept));
    return Progress::kDone;
  }

 private:
  Predicate predicate_;
  Collector<T> collector_;
  std::vector<uint32_t> kept_;
};

}  // namespace weir::internal
