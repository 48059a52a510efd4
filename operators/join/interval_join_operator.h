#pragma once

#include <algorithm>
#include <cstdint>
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
#include "runtime/base/strings.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// What an interval join was asked for. Bounds are inclusive.
struct IntervalJoinOptions {
  int64_t lower_ms = 0;
  int64_t upper_ms = 0;
  std::optional<std::string> left_late_tag;
  std::optional<std::string> right_late_tag;
};

/// Meets records of two keyed streams whose times lie close: right.time in left.time + [lower,
/// upper].
///
/// Rows are kept, per key and side in order of time, for as long as a record that is not late may
/// match them: the left until the watermark is at time + upper, the right until it is at time -
/// lower. Timers remove them: of an outer side exactly then, because that is when a row is known to
/// be unmatched, else in steps of a part of the interval, so that a key has few timers.
/// Invariant: a row in state can still match.
template <JoinType kType, class Fn, class KeyFn1, class KeyFn2, class K>
class IntervalJoinOperator final : public KeyedOperator<K, VoidNamespace> {
 public:
  using L = typename Fn::Left;
  using R = typename Fn::Right;
  using Out = typename Fn::OutputRecord;

  IntervalJoinOperator(Fn function, KeyFn1 left_key_of, KeyFn2 right_key_of,
                       IntervalJoinOptions options, std::shared_ptr<const SideOutputs> side_outputs)
      : function_(std::move(function)),
        left_key_of_(std::move(left_key_of)),
        right_key_of_(std::move(right_key_of)),
        options_(std::move(options)),
        step_ms_(std::max<int64_t>(
            1, (EventTime::FromMillis(options_.upper_ms) - options_.lower_ms).millis() / 8)),
        side_outputs_(std::move(side_outputs)),
        keys_(/*track_changes=*/false) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                        Output& output) override {
    return input == 0 ? Loop<Left>(cursor, output, left_key_of_)
                      : Loop<Right>(cursor, output, right_key_of_);
  }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    if (options_.lower_ms > options_.upper_ms) {
      return absl::InvalidArgumentError(
          StrCat("an interval join's lower bound is above its upper one; swap them: lower_ms=",
                 options_.lower_ms, " upper_ms=", options_.upper_ms));
    }
    collector_.Bind(&output.port(0));
    side_collectors_.Open(*side_outputs_, output);
    function_context_.emplace(&context, &side_collectors_);
    num_late_ = context.metrics()->AddCounter("numLateRecordsDropped");
    RETURN_IF_ERROR(left_.Open(this->backend(), "join-left",
                               [this](uint64_t hash, const K& key) -> typename LeftRows::Index& {
                                 return keys_.Mutable(hash, key).left;
                               }));
    return right_.Open(this->backend(), "join-right",
                       [this](uint64_t hash, const K& key) ->
                       typename RightRows::Index& { return keys_.Mutable(hash, key).right; });
  }

  void OnTimer(TimerKind, const Timer<K, VoidNamespace>& timer) override {
    Keys* sides = keys_.FindMutable(timer.hash, timer.key);
    if (sides == nullptr) return;
    Expire<Left>(*sides, timer);
    Expire<Right>(*sides, timer);
    if (sides->empty()) keys_.Erase(timer.hash, timer.key);
  }

  void OnWatermarkAdvanced(EventTime watermark) override {
    function_context_->set_watermark(watermark);
  }

  // An unmatched row leaves with its own time, when the watermark is past it.
  [[nodiscard]] EventTime OutputWatermark(EventTime watermark) const override {
    if (watermark == EventTime::Max()) return watermark;
    int64_t delay = 0;
    if (IsLeftOuter(kType)) delay = std::max(delay, options_.upper_ms);
    if (IsRightOuter(kType)) delay = std::max(delay, -options_.lower_ms);
    return watermark - delay;
  }

 private:
  template <class T, bool kOuter>
  using Row = std::conditional_t<kOuter, std::pair<T, bool>, T>;  // With whether it was matched.
  using LeftRows = TimeBuffer<K, Row<L, IsLeftOuter(kType)>>;
  using RightRows = TimeBuffer<K, Row<R, IsRightOuter(kType)>>;
  using Keys = KeySides<LeftRows, RightRows>;

  // What the sides differ in. A record at t matches those of the other side in [From(t), To(t)];
  // its own row may go when the watermark is at To(t), as seen from this side.
  struct Left {
    using Value = L;
    using Other = R;
    static constexpr bool kIsLeft = true;
    static constexpr bool kIsOuter = IsLeftOuter(kType);
    static constexpr bool kOtherIsOuter = IsRightOuter(kType);
    static EventTime From(const IntervalJoinOptions& o, EventTime t) { return t + o.lower_ms; }
    static EventTime To(const IntervalJoinOptions& o, EventTime t) { return t + o.upper_ms; }
  };
  struct Right {
    using Value = R;
    using Other = L;
    static constexpr bool kIsLeft = false;
    static constexpr bool kIsOuter = IsRightOuter(kType);
    static constexpr bool kOtherIsOuter = IsLeftOuter(kType);
    static EventTime From(const IntervalJoinOptions& o, EventTime t) { return t - o.upper_ms; }
    static EventTime To(const IntervalJoinOptions& o, EventTime t) { return t - o.lower_ms; }
  };

  template <class Side>
  auto& Rows() {
    if constexpr (Side::kIsLeft) {
      return left_;
    } else {
      return right_;
    }
  }
  template <class Side>
  static auto& IndexOf(Keys& sides) {
    if constexpr (Side::kIsLeft) {
      return sides.left;
    } else {
      return sides.right;
    }
  }
  template <bool kOuter, class RowType>
  static const auto& ValueIn(const RowType& row) {
    if constexpr (kOuter) {
      return row.first;
    } else {
      return row;
    }
  }

  template <class Side, class Selector>
  absl::StatusOr<Progress> Loop(BatchCursor& cursor, Output& output, Selector& key_of) {
    const auto& batch = static_cast<const TypedBatch<typename Side::Value>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      if (cursor.row + kPrefetchDistance < values.size()) {
        keys_.Prefetch(hashes[cursor.row + kPrefetchDistance]);
        keys_.PrefetchEntry(hashes[cursor.row + kPrefetchDistance / 2]);
      }
      const EventTime time = batch.event_time(cursor.row);
      const auto& value = values[cursor.row];
      if (time == EventTime::Min()) {
        return absl::FailedPreconditionError(
            "an interval join's input has a record without event time; assign timestamps and "
            "watermarks to both streams");
      }
      if (time <= this->watermark()) {
        OnLate<Side>(value, time);
      } else if (!Join<Side>(key_of(value), hashes[cursor.row], value, time, output)) {
        return Progress::kSuspended;
      }
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  template <class Side>
  void OnLate(const typename Side::Value& value, EventTime time) {
    num_late_->Add();
    const auto& tag = Side::kIsLeft ? options_.left_late_tag : options_.right_late_tag;
    if (tag.has_value()) {
      side_collectors_.Collect(OutputTag<typename Side::Value>(*tag), value, time);
    }
  }

  // Returns false if the output filled up between two matches: call again with the same record.
  template <class Side>
  bool Join(const K& key, uint64_t hash, const typename Side::Value& value, EventTime time,
            Output& output) {
    using OtherSide = std::conditional_t<Side::kIsLeft, Right, Left>;
    Keys& sides = keys_.Mutable(hash, key);
    auto& others = IndexOf<OtherSide>(sides);
    const int64_t to_ms = Side::To(options_, time).millis();
    auto other = others.lower_bound(
        next_match_.value_or(TimeAndSequence(Side::From(options_, time).millis(), 0)));
    for (; other != others.end() && other->first <= to_ms; ++other) {
      if (next_match_ != *other && output.Full()) {
        next_match_ = *other;
        return false;
      }
      EmitPair<Side>(value, time, key, hash, other);
      matched_ = true;
    }
    next_match_.reset();
    const bool matched = std::exchange(matched_, false);
    if (Side::To(options_, time) > this->watermark()) {
      Keep<Side>(sides, key, hash, value, time, matched);
    } else {
      if constexpr (Side::kIsOuter) {
        if (!matched) EmitUnmatched<Side>(value, time);
      }
      if (sides.empty()) keys_.Erase(hash, key);
    }
    return true;
  }

  template <class Side, class Iterator>
  void EmitPair(const typename Side::Value& value, EventTime time, const K& key, uint64_t hash,
                Iterator other) {
    using OtherSide = std::conditional_t<Side::kIsLeft, Right, Left>;
    auto& rows = Rows<OtherSide>();
    const auto other_time = EventTime::FromMillis(other->first);
    if constexpr (Side::kOtherIsOuter) {
      if (!rows.At(hash, key, other).second) rows.Mutable(hash, key, other).second = true;
    }
    const auto& other_value = ValueIn<Side::kOtherIsOuter>(rows.At(hash, key, other));
    if constexpr (Side::kIsLeft) {
      SetTimes(time, other_time);
      function_.Fn::ProcessElement(value, other_value, *function_context_, collector_);
    } else {
      SetTimes(other_time, time);
      function_.Fn::ProcessElement(other_value, value, *function_context_, collector_);
    }
  }

  template <class Side>
  void EmitUnmatched(const typename Side::Value& value, EventTime time) {
    if constexpr (Side::kIsLeft) {
      SetTimes(time, EventTime::Min());
      function_.Fn::ProcessUnmatchedLeft(value, *function_context_, collector_);
    } else {
      SetTimes(EventTime::Min(), time);
      function_.Fn::ProcessUnmatchedRight(value, *function_context_, collector_);
    }
  }

  void SetTimes(EventTime left, EventTime right) {
    function_context_->set_timestamps(left, right);
    collector_.set_timestamp(function_context_->timestamp());
  }

  template <class Side>
  void Keep(Keys& sides, const K& key, uint64_t hash, const typename Side::Value& value,
            EventTime time, bool matched) {
    auto& index = IndexOf<Side>(sides);
    const TimeAndSequence place = NextPlaceAt(index, time.millis());
    if constexpr (Side::kIsOuter) {
      Rows<Side>().Add(index, hash, key, place, {value, matched});
    } else {
      Rows<Side>().Add(index, hash, key, place, value);
    }
    int64_t expiry_ms = Side::To(options_, time).millis();
    if constexpr (!Side::kIsOuter) expiry_ms = RoundUp(expiry_ms);
    if (sides.timer_ms == expiry_ms) return;
    sides.timer_ms = expiry_ms;
    this->event_timers().Register(key, hash, {}, expiry_ms);
  }

  [[nodiscard]] int64_t RoundUp(int64_t time_ms) const {
    const int64_t remainder = time_ms % step_ms_;
    if (remainder == 0) return time_ms;
    return (EventTime::FromMillis(time_ms) + (remainder > 0 ? step_ms_ - remainder : -remainder))
        .millis();
  }

  template <class Side>
  void Expire(Keys& sides, const Timer<K, VoidNamespace>& timer) {
    auto& index = IndexOf<Side>(sides);
    auto& rows = Rows<Side>();
    auto row = index.begin();
    while (row != index.end() &&
           Side::To(options_, EventTime::FromMillis(row->first)).millis() <= timer.time_ms) {
      if constexpr (Side::kIsOuter) {
        const auto& [value, matched] = rows.At(timer.hash, timer.key, row);
        if (!matched) EmitUnmatched<Side>(value, EventTime::FromMillis(row->first));
      }
      row = rows.Erase(index, timer.hash, timer.key, row);
    }
  }

  static constexpr size_t kPrefetchDistance = 8;

  Fn function_;
  KeyFn1 left_key_of_;
  KeyFn2 right_key_of_;
  const IntervalJoinOptions options_;
  const int64_t step_ms_;
  const std::shared_ptr<const SideOutputs> side_outputs_;
  Collector<Out> collector_;
  SideCollectors side_collectors_;
  std::optional<JoinContext> function_context_;
  Counter* num_late_ = nullptr;

  LeftRows left_;
  RightRows right_;
  ObjectTable<K, VoidNamespace, Keys> keys_;  // Not in snapshots: the rows tell.
  // Of the record that the output filled up at: where its matches go on, and whether it had any.
  std::optional<TimeAndSequence> next_match_;
  bool matched_ = false;
};

}  // namespace weir::internal
