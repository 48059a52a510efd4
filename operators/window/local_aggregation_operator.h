#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "operators/process/stateful_operator.h"
#include "operators/window/aligned_windows.h"
#include "operators/window/window_contents.h"
#include "runtime/base/status_macros.h"
#include "runtime/record/typed_batch.h"
#include "runtime/state/namespace.h"

namespace weir::internal {

/// The first stage of a two-stage window aggregate: folds the records of one subtask by key and
/// slice before they are shuffled, so that a hot key sends a few accumulators in place of all its
/// records.
///
/// A cache of fixed size: a key and slice that finds its place taken sends the other one on. What
/// is in it goes when the watermark passes its slice, ahead of the watermark; late records are sent
/// on at once. So the second stage sees each record before the windows it belongs to fire, and
/// lateness means there what it would without this stage. An accumulator's event time is its
/// slice's last instant. What is held at a snapshot is operator state, split between subtasks at
/// restore.
template <class K, class In, class KeyFn, class Aggregate>
class LocalAggregationOperator final : public StreamOperator {
 public:
  using Accumulator = typename Aggregate::Accumulator;
  using Out = PartialAggregate<K, Accumulator>;

  LocalAggregationOperator(AlignedWindows windows, KeyFn key_of, Aggregate aggregate)
      : windows_(windows), key_of_(std::move(key_of)), aggregate_(std::move(aggregate)) {}

  absl::Status Open(OperatorContext&, Output& output,
                    std::vector<OperatorSubtaskState> restored) override {
    RETURN_IF_ERROR(windows_.Validate());
    RETURN_IF_ERROR(state_.Open(std::move(restored)));
    ASSIGN_OR_RETURN(held_, state_.backend().template GetListState<Held>({"held"}));
    collector_.Bind(&output.port(0));
    slots_.resize(kSlots);
    return absl::OkStatus();
  }

  absl::StatusOr<Progress> ProcessBatch(uint32_t, BatchCursor& cursor, Output& output) override {
    if (!EmitRestored(output)) return Progress::kSuspended;
    const auto& batch = static_cast<const TypedBatch<In>&>(*cursor.batch);
    const auto values = batch.values();
    while (cursor.row < values.size()) {
      const int64_t time = batch.event_time(cursor.row).millis();
      if (time == EventTime::Min().millis()) {
        return absl::FailedPreconditionError(
            "a record of an event-time window has no event time; give the stream timestamps by "
            "AssignTimestampsAndWatermarks or its source's watermark strategy");
      }
      if (time < slice_.start || time >= slice_.end) slice_ = windows_.SliceOf(time);
      Add(values[cursor.row]);
      ++cursor.row;
      if (collector_.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  absl::StatusOr<Progress> ProcessWatermark(Watermark watermark, Output& output) override {
    if (!EmitRestored(output)) return Progress::kSuspended;
    if (watermark.time.millis() >= first_unit_ - 1 && !EmitSlots(watermark.time.millis(), output)) {
      return Progress::kSuspended;
    }
    watermark_ = watermark.time.millis();
    output.EmitWatermark(watermark.time);
    return Progress::kDone;
  }

  absl::StatusOr<Progress> EndInput(uint32_t, Output& output) override {
    const bool emitted =
        EmitRestored(output) && EmitSlots(std::numeric_limits<int64_t>::max(), output);
    return emitted ? Progress::kDone : Progress::kSuspended;
  }

  absl::StatusOr<OperatorSnapshot> Snapshot(CheckpointId) override {
    // What was restored and not emitted yet is still there.
    std::vector<Held> rest(held_.Get().begin() + static_cast<ptrdiff_t>(next_restored_),
                           held_.Get().end());
    std::vector<Held> held = rest;
    for (const Slot& slot : slots_) {
      if (slot.unit != kFree) held.emplace_back(slot.key, slot.unit, slot.accumulator);
    }
    held_.Update(std::move(held));
    OperatorSnapshot snapshot = state_.Snapshot();
    held_.Update(std::move(rest));
    next_restored_ = 0;
    return snapshot;
  }

 private:
  using Held = std::tuple<K, int64_t, Accumulator>;
  static constexpr size_t kSlots = 4096;
  static constexpr int64_t kFree = std::numeric_limits<int64_t>::max();

  struct Slot {
    uint64_t hash = 0;
    int64_t unit = kFree;  // The end of the slice.
    K key{};
    Accumulator accumulator{};
  };

  void Add(const In& value) {
    decltype(auto) key = key_of_(value);
    const int64_t unit = slice_.end;
    if (unit - 1 <= watermark_) [[unlikely]] {
      Out partial{key, {}};
      aggregate_.Add(value, partial.accumulator);
      collector_.Collect(std::move(partial), EventTime::FromMillis(unit - 1));
      return;
    }
    const uint64_t hash = KeyHash<K>(key);
    Slot& slot = slots_[(hash + HashNamespace(unit)) % kSlots];
    if (slot.unit != unit || slot.hash != hash || !KeysEqual(slot.key, key)) {
      if (slot.unit != kFree) Emit(slot);
      slot.hash = hash;
      slot.unit = unit;
      slot.key = key;
      first_unit_ = std::min(first_unit_, unit);
    }
    aggregate_.Add(value, slot.accumulator);
  }
  void Emit(Slot& slot) {
    collector_.Collect(Out{std::move(slot.key), std::move(slot.accumulator)},
                       EventTime::FromMillis(slot.unit - 1));
    slot.unit = kFree;
    slot.accumulator = Accumulator{};
  }

  // The following return false if the output is full: call again.
  bool EmitSlots(int64_t watermark, Output& output) {
    if (next_slot_ == 0) remaining_first_unit_ = kFree;
    for (; next_slot_ < kSlots; ++next_slot_) {
      Slot& slot = slots_[next_slot_];
      if (slot.unit == kFree) continue;
      if (slot.unit - 1 > watermark) {
        remaining_first_unit_ = std::min(remaining_first_unit_, slot.unit);
        continue;
      }
      if (output.Full()) return false;
      Emit(slot);
    }
    next_slot_ = 0;
    first_unit_ = remaining_first_unit_;
    return true;
  }
  bool EmitRestored(Output& output) {
    const std::vector<Held>& held = held_.Get();
    if (held.empty()) return true;
    for (; next_restored_ < held.size(); ++next_restored_) {
      if (output.Full()) return false;
      const auto& [key, unit, accumulator] = held[next_restored_];
      collector_.Collect({key, accumulator}, EventTime::FromMillis(unit - 1));
    }
    held_.Clear();
    next_restored_ = 0;
    return true;
  }

  const AlignedWindows windows_;
  KeyFn key_of_;
  Aggregate aggregate_;
  Collector<Out> collector_;
  OperatorStateHolder state_;
  OperatorListState<Held> held_;  // Between restore and the first element, what was restored.
  size_t next_restored_ = 0;

  AlignedWindows::Slice slice_;  // Of the last record that left the one before.
  std::vector<Slot> slots_;
  int64_t first_unit_ = kFree;  // No slot's slice ends earlier.
  int64_t remaining_first_unit_ = kFree;
  size_t next_slot_ = 0;
  int64_t watermark_ = std::numeric_limits<int64_t>::min();
};

}  // namespace weir::internal
