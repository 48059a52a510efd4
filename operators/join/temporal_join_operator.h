#pragma once

#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "operators/api/join_functions.h"
#include "operators/join/ordered_rows.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// Meets each record of the first stream with the version of its key's row, from the second, that
/// was valid at its event time.
///
/// Records wait until the watermark is at their time: then all versions up to it are there. Of the
/// versions that the watermark has passed only the last counts, and nothing does if that one has no
/// value, which says that the row was deleted. The others go when the key is next touched or, if it
/// is not, by a timer at its last version; a deletion goes by a timer of its own, because it would
/// else hide a late version or not, depending on when the key was touched.
template <JoinType kType, class Fn, class T2, class KeyFn1, class KeyFn2, class K>
class TemporalJoinOperator final : public KeyedOperator<K, VoidNamespace> {
 public:
  using L = typename Fn::Left;
  using R = typename Fn::Right;
  using Out = typename Fn::OutputRecord;

  TemporalJoinOperator(Fn function, KeyFn1 left_key_of, KeyFn2 right_key_of,
                       std::optional<std::string> late_tag,
                       std::shared_ptr<const SideOutputs> side_outputs)
      : function_(std::move(function)),
        left_key_of_(std::move(left_key_of)),
        right_key_of_(std::move(right_key_of)),
        late_tag_(std::move(late_tag)),
        side_outputs_(std::move(side_outputs)),
        keys_(/*track_changes=*/false) {}

  // Nothing is emitted before the watermark comes, save late records to their side output.
  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                        Output& output) override {
    return input == 0 ? Loop<L>(cursor, output, left_key_of_,
                                [this](const K& key, uint64_t hash, const L& value,
                                       EventTime time) { AddRecord(key, hash, value, time); })
                      : Loop<T2>(cursor, output, right_key_of_,
                                 [this](const K& key, uint64_t hash, const T2& value,
                                        EventTime time) { AddVersion(key, hash, value, time); });
  }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    function_context_.emplace(&context, &side_collectors_);
    num_late_ = context.metrics()->AddCounter("numLateRecordsDropped");
    RETURN_IF_ERROR(waiting_.Open(this->backend(), "join-waiting",
                                  [this](uint64_t hash, const K& key) -> typename Waiting::Index& {
                                    return keys_.Mutable(hash, key).left;
                                  }));
    return versions_.Open(this->backend(), "join-versions",
                          [this](uint64_t hash, const K& key) ->
                          typename Versions::Index& { return keys_.Mutable(hash, key).right; });
  }

  void OnTimer(TimerKind, const Timer<K, VoidNamespace>& timer) override {
    Keys* sides = keys_.FindMutable(timer.hash, timer.key);
    if (sides == nullptr) return;
    if (sides->timer_ms == timer.time_ms) sides->timer_ms = Keys::kNoTimer;
    auto& waiting = sides->left;
    for (auto record = waiting.begin();
         record != waiting.end() && record->first <= timer.time_ms;) {
      Meet(*sides, timer.key, timer.hash, record);
      record = waiting_.Erase(waiting, timer.hash, timer.key, record);
    }
    DropSuperseded(*sides, timer.key, timer.hash, timer.time_ms);
    if (sides->right.size() > 1) RegisterCleanup(*sides, timer.key, timer.hash, timer.time_ms);
    if (sides->empty()) keys_.Erase(timer.hash, timer.key);
  }

  void OnWatermarkAdvanced(EventTime watermark) override {
    function_context_->set_watermark(watermark);
  }

 private:
  using Waiting = TimeBuffer<K, L>;
  using Versions = TimeBuffer<K, std::optional<R>>;
  using Keys = KeySides<Waiting, Versions>;

  template <class T, class Selector, class Body>
  absl::StatusOr<Progress> Loop(BatchCursor& cursor, Output& output, Selector& key_of, Body body) {
    const auto& batch = static_cast<const TypedBatch<T>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      if (cursor.row + kPrefetchDistance < values.size()) {
        keys_.Prefetch(hashes[cursor.row + kPrefetchDistance]);
        keys_.PrefetchEntry(hashes[cursor.row + kPrefetchDistance / 2]);
      }
      const EventTime time = batch.event_time(cursor.row);
      if (time == EventTime::Min()) {
        return absl::FailedPreconditionError(
            "a temporal join's input has a record without event time; assign timestamps and "
            "watermarks to both streams");
      }
      body(key_of(values[cursor.row]), hashes[cursor.row], values[cursor.row], time);
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  void AddRecord(const K& key, uint64_t hash, const L& value, EventTime time) {
    if (time <= this->watermark()) {
      num_late_->Add();
      if (late_tag_.has_value()) side_collectors_.Collect(OutputTag<L>(*late_tag_), value, time);
      return;
    }
    Keys& sides = keys_.Mutable(hash, key);
    const TimeAndSequence place = NextPlaceAt(sides.left, time.millis());
    waiting_.Add(sides.left, hash, key, place, value);
    // Others of that time have one.
    if (place.second == 0) this->event_timers().Register(key, hash, {}, time.millis());
  }

  void AddVersion(const K& key, uint64_t hash, const T2& value, EventTime time) {
    const RowKind kind = KindOf(value);
    if (kind == RowKind::kUpdateBefore) return;  // The version that follows says all.
    Keys& sides = keys_.Mutable(hash, key);
    std::optional<R> version;
    if (IsAccumulate(kind)) version = RowIn(value);
    versions_.Add(sides.right, hash, key, NextPlaceAt(sides.right, time.millis()),
                  std::move(version));
    DropSuperseded(sides, key, hash, this->watermark().millis());
    if (!IsAccumulate(kind) && time > this->watermark()) {
      this->event_timers().Register(key, hash, {}, time.millis());
    }
    if (sides.right.size() > 1 && sides.timer_ms == Keys::kNoTimer) {
      RegisterCleanup(sides, key, hash, this->watermark().millis());
    }
    if (sides.empty()) keys_.Erase(hash, key);
  }

  // Of the versions up to `time_ms`, no record to come meets any but the last; nor that, if it says
  // that there is no row.
  void DropSuperseded(Keys& sides, const K& key, uint64_t hash, int64_t time_ms) {
    auto& versions = sides.right;
    auto version = versions.begin();
    while (version != versions.end() && version->first <= time_ms) {
      const auto next = std::next(version);
      const bool is_last = next == versions.end() || next->first > time_ms;
      if (is_last && versions_.At(hash, key, version).has_value()) return;
      version = versions_.Erase(versions, hash, key, version);
    }
  }
  // Versions up to `time_ms` are clean.
  void RegisterCleanup(Keys& sides, const K& key, uint64_t hash, int64_t time_ms) {
    const int64_t last_ms = std::prev(sides.right.end())->first;
    if (last_ms <= time_ms) return;
    sides.timer_ms = last_ms;
    this->event_timers().Register(key, hash, {}, last_ms);
  }

  void Meet(Keys& sides, const K& key, uint64_t hash, typename Waiting::Iterator record) {
    const auto time = EventTime::FromMillis(record->first);
    const L& left = waiting_.At(hash, key, record);
    auto version = sides.right.upper_bound(TimeAndSequence(time.millis(), UINT32_MAX));
    if (version != sides.right.begin()) {
      --version;
      const std::optional<R>& right = versions_.At(hash, key, version);
      if (right.has_value()) {
        function_context_->set_timestamps(time, EventTime::FromMillis(version->first));
        collector_.set_timestamp(time);
        function_.Fn::ProcessElement(left, *right, *function_context_, collector_);
        return;
      }
    }
    if constexpr (IsLeftOuter(kType)) {
      function_context_->set_timestamps(time, EventTime::Min());
      collector_.set_timestamp(time);
      function_.Fn::ProcessUnmatchedLeft(left, *function_context_, collector_);
    }
  }

  static constexpr size_t kPrefetchDistance = 8;

  Fn function_;
  KeyFn1 left_key_of_;
  KeyFn2 right_key_of_;
  const std::optional<std::string> late_tag_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  std::optional<JoinContext> function_context_;
  Counter* num_late_ = nullptr;

  Waiting waiting_;
  Versions versions_;
  ObjectTable<K, VoidNamespace, Keys> keys_;  // Not in snapshots: the rows tell.
};

}  // namespace weir::internal
