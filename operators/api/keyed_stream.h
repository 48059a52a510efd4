#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "operators/api/aggregations.h"
#include "operators/api/broadcast_stream.h"
#include "operators/api/connected_streams.h"
#include "operators/api/data_stream.h"
#include "operators/api/interval_join.h"
#include "operators/api/regular_join.h"
#include "operators/api/temporal_join.h"
#include "operators/api/windowed_stream.h"
#include "operators/process/keyed_reduce_operator.h"

namespace weir {

/// A stream grouped by a key of type K. All records of a key go to one subtask, in the order of
/// their sender.
template <class T, class K, class KeyFn>
class KeyedStream {
 public:
  KeyedStream(internal::StreamOrigin origin, KeyFn key_of)
      : origin_(std::move(origin)), key_of_(std::move(key_of)) {}

  /// A KeyedProcessFunction<K, T, Out>: state and timers per key.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(std::is_same_v<typename Fn::Key, K>,
                  "the function's key type is not the stream's");
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<typename Fn::OutputRecord>(internal::AddOperator<typename Fn::OutputRecord>(
        origin_.ReadAt(at), "KeyedProcess",
        internal::MakeOperatorFactory([fn = std::move(fn), key_of = key_of_, side_outputs] {
          return std::make_unique<internal::KeyedProcessOperator<Fn, KeyFn>>(fn, key_of,
                                                                             side_outputs);
        }),
        side_outputs));
  }

  /// Folds the records of each key into one by fn(const T&, const T&) -> T, and emits after every
  /// record what has come of it.
  template <class Fn>
    requires std::convertible_to<std::invoke_result_t<Fn&, const T&, const T&>, T>
  DataStream<T> Reduce(Fn fn, CallSite at = CallSite::current()) const {
    return Fold(at, "Reduce", internal::ReduceOf<T, Fn>{std::move(fn)});
  }
  /// Emits, after every record, the key's first record with `field` summed up over all.
  template <class Owner, class Field>
    requires std::derived_from<T, Owner>
  DataStream<T> Sum(Field Owner::* field, CallSite at = CallSite::current()) const {
    return Fold(at, "Sum", internal::SumOf<T, Owner, Field>{field});
  }
  /// The same with the smallest `field`.
  template <class Owner, class Field>
    requires std::derived_from<T, Owner>
  DataStream<T> Min(Field Owner::* field, CallSite at = CallSite::current()) const {
    return Fold(at, "Min", internal::MinOf<T, Owner, Field>{field});
  }
  /// The same with the largest `field`.
  template <class Owner, class Field>
    requires std::derived_from<T, Owner>
  DataStream<T> Max(Field Owner::* field, CallSite at = CallSite::current()) const {
    return Fold(at, "Max", internal::MaxOf<T, Owner, Field>{field});
  }
  /// Emits, after every record, the key's whole record with the smallest `field`; of equals the
  /// first.
  template <class Owner, class Field>
    requires std::derived_from<T, Owner>
  DataStream<T> MinBy(Field Owner::* field, CallSite at = CallSite::current()) const {
    return Fold(at, "MinBy", internal::MinByOf<T, Owner, Field>{field});
  }
  /// The same with the largest `field`.
  template <class Owner, class Field>
    requires std::derived_from<T, Owner>
  DataStream<T> MaxBy(Field Owner::* field, CallSite at = CallSite::current()) const {
    return Fold(at, "MaxBy", internal::MaxByOf<T, Owner, Field>{field});
  }

  /// Windows per key; see operators/window/window_assigners.h for the assigners.
  template <class Assigner>
  [[nodiscard]] WindowedStream<T, K, KeyFn, Assigner> Window(Assigner assigner) const {
    return WindowedStream<T, K, KeyFn, Assigner>(origin_, key_of_, std::move(assigner));
  }
  /// A window of each `count` records of a key.
  [[nodiscard]] auto CountWindow(int64_t count) const {
    return Window(GlobalWindows::Create()).Trigger(PurgingTrigger(CountTrigger::Of(count)));
  }
  /// A window of the last `count` records of a key, at each `slide`-th one.
  [[nodiscard]] auto CountWindow(int64_t count, int64_t slide) const {
    return Window(GlobalWindows::Create())
        .Evictor(CountEvictor::Of(static_cast<size_t>(count)))
        .Trigger(CountTrigger::Of(slide));
  }

  /// This stream and another with keys of the same type in one operator, which sees the records of
  /// a key together.
  template <class U, class UKeyFn>
  [[nodiscard]] KeyedConnectedStreams<T, U, K, KeyFn, UKeyFn> Connect(
      const KeyedStream<U, K, UKeyFn>& other) const {
    return {origin_, key_of_, other.origin(), other.key_selector()};
  }

  /// Meets records of one key whose event times lie close; the interval follows by Between.
  template <JoinType kType = JoinType::kInner, class U, class UKeyFn>
  [[nodiscard]] IntervalJoined<kType, T, U, K, KeyFn, UKeyFn> IntervalJoin(
      const KeyedStream<U, K, UKeyFn>& other) const {
    return {origin_, key_of_, other.origin(), other.key_selector()};
  }

  /// Meets all rows of one key, at any distance in time.
  template <JoinType kType = JoinType::kInner, class U, class UKeyFn>
  [[nodiscard]] RegularJoined<kType, T, U, K, KeyFn, UKeyFn> RegularJoin(
      const KeyedStream<U, K, UKeyFn>& other) const {
    return {origin_, key_of_, other.origin(), other.key_selector()};
  }
  /// Meets each record with the version of its key's row in `versions` at the record's time.
  template <JoinType kType = JoinType::kInner, class U, class UKeyFn>
  [[nodiscard]] TemporalJoined<kType, T, U, K, KeyFn, UKeyFn> TemporalJoin(
      const KeyedStream<U, K, UKeyFn>& versions) const {
    return {origin_, key_of_, versions.origin(), versions.key_selector()};
  }

  template <class B>
  [[nodiscard]] KeyedBroadcastConnectedStream<T, K, KeyFn, B> Connect(
      const BroadcastStream<B>& broadcast) const {
    return {origin_, key_of_, broadcast.origin()};
  }

  [[nodiscard]] const internal::StreamOrigin& origin() const { return origin_; }
  [[nodiscard]] const KeyFn& key_selector() const { return key_of_; }

 private:
  template <class FoldFn>
  DataStream<T> Fold(CallSite at, const char* name, FoldFn fold) const {
    return DataStream<T>(internal::AddOperator<T>(
        origin_.ReadAt(at), name,
        internal::MakeOperatorFactory([key_of = key_of_, fold = std::move(fold)] {
          return std::make_unique<internal::KeyedReduceOperator<K, T, KeyFn, FoldFn>>(key_of, fold);
        })));
  }

  internal::StreamOrigin origin_;
  KeyFn key_of_;
};

}  // namespace weir
