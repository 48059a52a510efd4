#pragma once

#include <optional>
#include <utility>

#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/collector.h"

namespace weir::internal {

/// Folds the records of each key into one, and emits what has come of it after every record, with
/// that record's event time. `Fold` is fold(T& accumulated, const T& value); the first record of a
/// key is where it begins.
template <class K, class T, class KeyFn, class Fold>
class KeyedReduceOperator final : public KeyedOperator<K, VoidNamespace> {
 public:
  KeyedReduceOperator(KeyFn key_of, Fold fold)
      : key_of_(std::move(key_of)), fold_(std::move(fold)) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      const T& value = values[cursor.row];
      this->backend().SetCurrentKey(key_of_(value), hashes[cursor.row]);
      std::optional<T>& accumulated = accumulated_.Mutable();
      if (accumulated.has_value()) {
        fold_(*accumulated, value);
      } else {
        accumulated = value;
      }
      collector_.Collect(*accumulated, batch.event_time(cursor.row));
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

 protected:
  absl::Status OpenFunction(OperatorContext&, Output& output) override {
    collector_.Bind(&output.port(0));
    // Optional, so that one look-up finds a key or makes it.
    ASSIGN_OR_RETURN(accumulated_, this->backend().GetState(
                                       ValueStateDescriptor<std::optional<T>>{"accumulated"}));
    return absl::OkStatus();
  }
  void OnTimer(TimerKind, const Timer<K, VoidNamespace>&) override {}

 private:
  KeyFn key_of_;
  Fold fold_;
  ValueState<std::optional<T>> accumulated_;
  Collector<T> collector_;
};

}  // namespace weir::internal
