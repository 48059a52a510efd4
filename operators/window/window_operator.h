#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "operators/api/functions.h"
#include "operators/process/stateful_operator.h"
#include "operators/window/time_window.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// Keeps one accumulator per key and window, and hands its result to the window function.
/// `Aggregate` has Accumulator, Result, Add(const In&, Accumulator&) and GetResult(const
/// Accumulator&).
template <class K, class In, class Aggregate, class WindowFn>
class AggregateContents {
 public:
  using Accumulator = typename Aggregate::Accumulator;
  AggregateContents(Aggregate aggregate, WindowFn function)
      : aggregate_(std::move(aggregate)), function_(std::move(function)) {}

  absl::Status Open(KeyedStateBackend<K>& backend) {
    ASSIGN_OR_RETURN(table_,
                     (backend.template Table<TimeWindow, Accumulator>({"window-contents"})));
    return absl::OkStatus();
  }
  /// Returns true if this was the window's first record.
  bool Add(uint64_t hash, const K& key, const TimeWindow& window, const In& value) {
    if (Accumulator* existing = table_->FindMutable(hash, key, window)) {
      aggregate_.Add(value, *existing);
      return false;
    }
    aggregate_.Add(value, table_->Mutable(hash, key, window));
    return true;
  }
  template <class Out>
  void Fire(uint64_t hash, const K& key, const TimeWindow& window, Collector<Out>& out) {
    if (const Accumulator* accumulator = table_->Find(hash, key, window)) {
      function_(key, window, aggregate_.GetResult(*accumulator), out);
      table_->Erase(hash, key, window);
    }
  }

 private:
  Aggregate aggregate_;
  WindowFn function_;
  ObjectTable<K, TimeWindow, Accumulator>* table_ = nullptr;
};

/// Keeps all records of each window, in the order they came, for a function of the whole.
template <class K, class In, class WindowFn>
class ListContents {
 public:
  explicit ListContents(WindowFn function) : function_(std::move(function)) {}

  absl::Status Open(KeyedStateBackend<K>& backend) {
    ASSIGN_OR_RETURN(lists_, (backend.template Lists<TimeWindow, In>({"window-contents"})));
    return absl::OkStatus();
  }
  bool Add(uint64_t hash, const K& key, const TimeWindow& window, const In& value) {
    lists_->Add(hash, key, window, value);
    return lists_->Size(hash, key, window) == 1;
  }
  template <class Out>
  void Fire(uint64_t hash, const K& key, const TimeWindow& window, Collector<Out>& out) {
    std::vector<In> elements;
    lists_->ForEach(hash, key, window, [&](const In& element) { elements.push_back(element); });
    function_(key, window, elements, out);
    lists_->Clear(hash, key, window);
  }

 private:
  WindowFn function_;
  ListTable<K, TimeWindow, In>* lists_ = nullptr;
};

/// Event-time windows per key: a record is added to each of its windows, a window fires when the
/// watermark reaches its last instant, and is then forgotten. Records of windows that have fired
/// are late and dropped.
template <class K, class In, class Out, class KeyFn, class Contents>
class WindowOperator final : public KeyedOperator<K, TimeWindow> {
 public:
  WindowOperator(WindowAssigner assigner, KeyFn key_of, Contents contents)
      : assigner_(assigner), key_of_(std::move(key_of)), contents_(std::move(contents)) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output&) override {
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    // Nothing is emitted here, so the batch is never suspended.
    for (; cursor.row < values.size(); ++cursor.row) {
      AddRecord(key_of_(values[cursor.row]), hashes[cursor.row], values[cursor.row],
                batch.event_time(cursor.row));
    }
    return Progress::kDone;
  }

 protected:
  absl::Status OpenFunction(OperatorContext&, Output& output) override {
    collector_.Bind(&output.port(0));
    return contents_.Open(this->backend());
  }

  void OnTimer(TimerKind, const Timer<K, TimeWindow>& timer) override {
    collector_.set_timestamp(timer.ns.MaxTimestamp());
    contents_.Fire(timer.hash, timer.key, timer.ns, collector_);
  }

 private:
  void AddRecord(const K& key, uint64_t hash, const In& value, EventTime time) {
    bool late = true;
    assigner_.ForEachWindow(time, [&](const TimeWindow& window) {
      if (window.MaxTimestamp() <= this->watermark()) return;
      late = false;
      if (contents_.Add(hash, key, window, value)) {
        this->event_timers().Register(key, hash, window, window.MaxTimestamp().millis());
      }
    });
    if (late) ++num_late_records_dropped_;
  }

  const WindowAssigner assigner_;
  KeyFn key_of_;
  Contents contents_;
  Collector<Out> collector_;
  uint64_t num_late_records_dropped_ = 0;
};

}  // namespace weir::internal
