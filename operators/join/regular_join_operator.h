#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "operators/api/join_functions.h"
#include "operators/join/ordered_rows.h"
#include "operators/process/stateful_operator.h"
#include "runtime/base/status_macros.h"
#include "runtime/metrics/metric_group.h"
#include "runtime/record/typed_batch.h"

namespace weir::internal {

/// What a regular join emits: plain results where none is ever taken back.
template <JoinType kType, class T1, class T2, class Out>
using RegularJoinRecord =
    std::conditional_t<kType == JoinType::kInner && !kIsChangelog<T1> && !kIsChangelog<T2>, Out,
                       ChangelogRecord<Out>>;

/// Meets all rows of one key of two keyed streams, each a table: what comes by plain records only
/// grows, what comes by ChangelogRecords may shrink.
///
/// Rows are kept, per key and side in the order they came, until they are taken back or `ttl` has
/// passed since they came. A row of an outer side remembers whether it was put out as unmatched, so
/// that just that is taken back when a match comes; a match that ran out of time takes nothing
/// back.
/// `Fn` makes a result of two pointers, and is asked again for what is taken back.
template <JoinType kType, class T1, class T2, class Out, class Fn, class KeyFn1, class KeyFn2,
          class K>
class RegularJoinOperator final : public KeyedOperator<K, VoidNamespace> {
 public:
  RegularJoinOperator(Fn function, KeyFn1 left_key_of, KeyFn2 right_key_of, absl::Duration ttl)
      : function_(std::move(function)),
        left_key_of_(std::move(left_key_of)),
        right_key_of_(std::move(right_key_of)),
        has_ttl_(ttl < absl::InfiniteDuration()),
        ttl_ms_(has_ttl_ ? absl::ToInt64Milliseconds(ttl) : 0),
        keys_(/*track_changes=*/false) {}

  absl::StatusOr<Progress> ProcessBatch(uint32_t input, BatchCursor& cursor,
                                        Output& output) override {
    if (has_ttl_) now_ms_ = absl::ToUnixMillis(this->context().clock()->Now());
    return input == 0 ? Loop<Left>(cursor, output, left_key_of_)
                      : Loop<Right>(cursor, output, right_key_of_);
  }

 protected:
  absl::Status OpenFunction(OperatorContext& context, Output& output) override {
    if (has_ttl_ && ttl_ms_ <= 0) {
      return absl::InvalidArgumentError(
          "a join's time to live must be a millisecond or more; leave it out to keep rows for "
          "ever");
    }
    collector_.Bind(&output.port(0));
    num_unknown_retractions_ = context.metrics()->AddCounter("numUnknownRetractions");
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
    now_ms_ = timer.time_ms;
    DropExpired<Left>(*sides, timer.hash, timer.key);
    DropExpired<Right>(*sides, timer.hash, timer.key);
    if (sides->empty()) keys_.Erase(timer.hash, timer.key);
  }

 private:
  // The row; when it came, if there is a time to live; whether it was put out as unmatched, and
  // that was not taken back.
  template <class T>
  using Stored = std::tuple<RowOf<T>, int64_t, bool>;
  using LeftRows = OrderedRows<K, uint64_t, Stored<T1>>;
  using RightRows = OrderedRows<K, uint64_t, Stored<T2>>;
  using Keys = KeySides<LeftRows, RightRows>;
  static constexpr size_t kValue = 0;
  static constexpr size_t kWritten = 1;
  static constexpr size_t kPadded = 2;

  struct Left {
    using Value = T1;
    using Other = T2;
    static constexpr bool kIsLeft = true;
    static constexpr bool kIsOuter = IsLeftOuter(kType);
    static constexpr bool kOtherIsOuter = IsRightOuter(kType);
  };
  struct Right {
    using Value = T2;
    using Other = T1;
    static constexpr bool kIsLeft = false;
    static constexpr bool kIsOuter = IsRightOuter(kType);
    static constexpr bool kOtherIsOuter = IsLeftOuter(kType);
  };
  template <class Side>
  using OtherSide = std::conditional_t<Side::kIsLeft, Right, Left>;

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

  template <class Side, class Selector>
  Progress Loop(BatchCursor& cursor, Output& output, Selector& key_of) {
    const auto& batch = static_cast<const TypedBatch<typename Side::Value>&>(*cursor.batch);
    const auto values = batch.values();
    const auto hashes = batch.key_hashes();
    while (cursor.row < values.size()) {
      if (cursor.row + kPrefetchDistance < values.size()) {
        keys_.Prefetch(hashes[cursor.row + kPrefetchDistance]);
        keys_.PrefetchEntry(hashes[cursor.row + kPrefetchDistance / 2]);
      }
      const auto& value = values[cursor.row];
      collector_.set_timestamp(batch.event_time(cursor.row));
      if (!ProcessRow<Side>(key_of(value), hashes[cursor.row], value, output)) {
        return Progress::kSuspended;
      }
      ++cursor.row;
      if (output.Full()) return cursor.AtEnd() ? Progress::kDone : Progress::kSuspended;
    }
    return Progress::kDone;
  }

  // Returns false if the output filled up between two results: call again with the same record.
  template <class Side>
  bool ProcessRow(const K& key, uint64_t hash, const typename Side::Value& record, Output& output) {
    Keys& sides = keys_.Mutable(hash, key);
    if (has_ttl_ && !place_.has_value()) {
      DropExpired<Left>(sides, hash, key);
      DropExpired<Right>(sides, hash, key);
    }
    const bool done = IsAccumulate(KindOf(record))
                          ? Accumulate<Side>(sides, key, hash, RowIn(record), output)
                          : Retract<Side>(sides, key, hash, RowIn(record), output);
    if (done) {
      place_.reset();
      if (sides.empty()) keys_.Erase(hash, key);
    }
    return done;
  }

  template <class Side, class RowType>
  bool Accumulate(Keys& sides, const K& key, uint64_t hash, const RowType& row, Output& output) {
    auto& others = IndexOf<OtherSide<Side>>(sides);
    auto& rows = Rows<OtherSide<Side>>();
    for (auto other = First(others); other != others.end(); ++other) {
      if (IsFull(*other, output)) return false;
      if constexpr (Side::kOtherIsOuter) {
        if (std::get<kPadded>(rows.At(hash, key, other))) {
          auto& stored = rows.Mutable(hash, key, other);
          std::get<kPadded>(stored) = false;
          Emit<OtherSide<Side>>(RowKind::kDelete, &std::get<kValue>(stored), nullptr);
        }
      }
      Emit<Side>(RowKind::kInsert, &row, &std::get<kValue>(rows.At(hash, key, other)));
    }
    const bool padded = Side::kIsOuter && others.empty();
    if (padded) Emit<Side>(RowKind::kInsert, &row, nullptr);
    auto& index = IndexOf<Side>(sides);
    Rows<Side>().Add(index, hash, key, index.empty() ? 0 : *std::prev(index.end()) + 1,
                     {row, has_ttl_ ? now_ms_ : 0, padded});
    if (has_ttl_) RegisterCleanup(sides, key, hash);
    return true;
  }

  template <class Side, class RowType>
  bool Retract(Keys& sides, const K& key, uint64_t hash, const RowType& row, Output& output) {
    auto& index = IndexOf<Side>(sides);
    if (!place_.has_value()) {
      const auto found = FindYoungest<Side>(index, hash, key, row);
      if (found == index.end()) {
        num_unknown_retractions_->Add();
        return true;
      }
      const bool padded = std::get<kPadded>(Rows<Side>().At(hash, key, found));
      Rows<Side>().Erase(index, hash, key, found);
      if (padded) {
        Emit<Side>(RowKind::kDelete, &row, nullptr);
        return true;
      }
    }
    auto& others = IndexOf<OtherSide<Side>>(sides);
    auto& rows = Rows<OtherSide<Side>>();
    for (auto other = First(others); other != others.end(); ++other) {
      if (IsFull(*other, output)) return false;
      Emit<Side>(RowKind::kDelete, &row, &std::get<kValue>(rows.At(hash, key, other)));
      if constexpr (Side::kOtherIsOuter) {
        if (index.empty()) {
          auto& stored = rows.Mutable(hash, key, other);
          std::get<kPadded>(stored) = true;
          Emit<OtherSide<Side>>(RowKind::kInsert, &std::get<kValue>(stored), nullptr);
        }
      }
    }
    return true;
  }

  // From the youngest on, because what was added last is most often what changes next.
  template <class Side, class Index, class RowType>
  auto FindYoungest(Index& index, uint64_t hash, const K& key, const RowType& row) {
    for (auto found = index.end(); found != index.begin();) {
      --found;
      if (RowsEqual(std::get<kValue>(Rows<Side>().At(hash, key, found)), row)) return found;
    }
    return index.end();
  }

  // The row to go on at.
  template <class Index>
  auto First(Index& index) const {
    return place_.has_value() ? index.lower_bound(*place_) : index.begin();
  }
  // Whether to stop before the row at `place`; not at the first, for which there was room.
  bool IsFull(uint64_t place, Output& output) {
    if (place_ == place || !output.Full()) {
      place_ = place;
      return false;
    }
    place_ = place;
    return true;
  }

  template <class Side>
  void Emit(RowKind kind, const RowOf<typename Side::Value>* own,
            const RowOf<typename Side::Other>* other) {
    if constexpr (Side::kIsLeft) {
      EmitPair(kind, own, other);
    } else {
      EmitPair(kind, other, own);
    }
  }
  void EmitPair(RowKind kind, const RowOf<T1>* left, const RowOf<T2>* right) {
    if constexpr (kIsChangelog<RegularJoinRecord<kType, T1, T2, Out>>) {
      collector_.Collect({kind, CallJoin(function_, left, right)});
    } else {
      collector_.Collect(CallJoin(function_, left, right));
    }
  }

  template <class Side>
  void DropExpired(Keys& sides, uint64_t hash, const K& key) {
    auto& index = IndexOf<Side>(sides);
    auto& rows = Rows<Side>();
    auto row = index.begin();
    while (row != index.end() && std::get<kWritten>(rows.At(hash, key, row)) + ttl_ms_ <= now_ms_) {
      row = rows.Erase(index, hash, key, row);
    }
  }
  // In steps of a part of the time to live, so that a key has few timers; access drops the rest.
  void RegisterCleanup(Keys& sides, const K& key, uint64_t hash) {
    const int64_t step = std::max<int64_t>(1, ttl_ms_ / 8);
    const int64_t time_ms = (now_ms_ + ttl_ms_ + step - 1) / step * step;
    if (sides.timer_ms == time_ms) return;
    sides.timer_ms = time_ms;
    this->backend().SetCurrentKey(key, hash);
    this->RegisterProcessingTimer({}, time_ms);
  }

  template <class T>
  static bool RowsEqual(const T& a, const T& b) {
    if constexpr (requires {
                    { a == b } -> std::convertible_to<bool>;
                  }) {
      return a == b;
    } else {
      return ToBytes(a) == ToBytes(b);
    }
  }

  static constexpr size_t kPrefetchDistance = 8;

  Fn function_;
  KeyFn1 left_key_of_;
  KeyFn2 right_key_of_;
  const bool has_ttl_;
  const int64_t ttl_ms_;
  Collector<RegularJoinRecord<kType, T1, T2, Out>> collector_;
  Counter* num_unknown_retractions_ = nullptr;
  int64_t now_ms_ = 0;

  LeftRows left_;
  RightRows right_;
  ObjectTable<K, VoidNamespace, Keys> keys_;  // Not in snapshots: the rows tell.
  // Of the record under way: the row of the other side that comes next.
  std::optional<uint64_t> place_;
};

}  // namespace weir::internal
