#pragma once

#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "operators/api/data_stream.h"
#include "operators/api/join_functions.h"
#include "operators/api/keyed_stream.h"

namespace weir {

namespace internal {

/// The key of a record of either stream.
template <class KeyFn1, class KeyFn2>
struct EitherKey {
  KeyFn1 first;
  KeyFn2 second;
  template <class T1, class T2>
  auto operator()(const std::variant<T1, T2>& record) const {
    using K = std::decay_t<std::invoke_result_t<const KeyFn1&, const T1&>>;
    if (const T1* value = std::get_if<0>(&record)) return K(first(*value));
    return K(second(*std::get_if<1>(&record)));
  }
};

/// The records of two streams with their keys, as one keyed stream.
template <class T1, class T2, class KeyFn1, class KeyFn2>
auto KeyedUnion(const DataStream<T1>& first, const DataStream<T2>& second, KeyFn1 first_key_of,
                KeyFn2 second_key_of, CallSite at) {
  // By place, not by type: the types may be the same.
  using Either = std::variant<T1, T2>;
  auto of_first =
      first.Map([](T1 value) { return Either(std::in_place_index<0>, std::move(value)); }, at);
  auto of_second =
      second.Map([](T2 value) { return Either(std::in_place_index<1>, std::move(value)); }, at);
  of_first.Name("Map to the first of two");
  of_second.Name("Map to the second of two");
  return of_first.Union(of_second).KeyBy(
      EitherKey<KeyFn1, KeyFn2>{std::move(first_key_of), std::move(second_key_of)});
}

}  // namespace internal

/// Two streams whose records meet in windows: what Where, EqualTo and Window make of DataStream's
/// Join and CoGroup. `Windowed` is the WindowedStream of both streams' records together, so that
/// windows, lateness, triggers and evictors are as there.
///
/// Results have the window's last instant as their event time. State is all records of the open
/// windows. A join puts out all pairs of a window at once; windows with very many records of one
/// key on both sides take their product in memory downstream of the join.
template <JoinType kType, class T1, class T2, class Windowed>
class WindowJoined {
 public:
  explicit WindowJoined(Windowed windowed) : windowed_(std::move(windowed)) {}

  [[nodiscard]] auto AllowedLateness(absl::Duration lateness) const {
    return With(windowed_.AllowedLateness(lateness));
  }
  /// Late records of either stream, as std::variant<T1, T2>.
  [[nodiscard]] auto SideOutputLateData(OutputTag<std::variant<T1, T2>> tag) const {
    return With(windowed_.SideOutputLateData(std::move(tag)));
  }
  template <class TriggerType>
  [[nodiscard]] auto Trigger(TriggerType trigger) const {
    return With(windowed_.Trigger(std::move(trigger)));
  }
  template <class EvictorType>
  [[nodiscard]] auto Evictor(EvictorType evictor) const {
    return With(windowed_.Evictor(std::move(evictor)));
  }

  /// Each pair of a window: fn(const T1&, const T2&) -> Out; of an outer join fn(const T1*, const
  /// T2*) -> Out, with null once for each record of an outer side whose window has none of the
  /// other.
  template <class Fn, class Out = internal::JoinResult<Fn, T1, T2>>
  DataStream<Out> Apply(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(internal::IsJoinFunction<kType, Fn, T1, T2>(),
                  "an outer join's function takes pointers, null for what is missing");
    DataStream<Out> joined = windowed_.template Process<Out>(
        [fn = std::move(fn)](const auto&, const auto&, const auto& elements,
                             Collector<Out>& out) mutable {
          std::vector<const T1*> left;
          std::vector<const T2*> right;
          for (const std::variant<T1, T2>& element : elements) {
            if (const T1* value = std::get_if<0>(&element)) left.push_back(value);
            if (const T2* value = std::get_if<1>(&element)) right.push_back(value);
          }
          for (const T1* l : left) {
            for (const T2* r : right) out.Collect(internal::CallJoin(fn, l, r));
          }
          if constexpr (IsLeftOuter(kType)) {
            if (right.empty()) {
              for (const T1* l : left) out.Collect(fn(l, static_cast<const T2*>(nullptr)));
            }
          }
          if constexpr (IsRightOuter(kType)) {
            if (left.empty()) {
              for (const T2* r : right) out.Collect(fn(static_cast<const T1*>(nullptr), r));
            }
          }
        },
        at);
    joined.Name("WindowJoin");
    return joined;
  }

 private:
  template <class Other>
  static WindowJoined<kType, T1, T2, Other> With(Other windowed) {
    return WindowJoined<kType, T1, T2, Other>(std::move(windowed));
  }

  Windowed windowed_;
};

/// The same for CoGroup, whose function gets each window's records of both streams at once.
template <class T1, class T2, class Windowed>
class WindowCoGrouped {
 public:
  explicit WindowCoGrouped(Windowed windowed) : windowed_(std::move(windowed)) {}

  [[nodiscard]] auto AllowedLateness(absl::Duration lateness) const {
    return With(windowed_.AllowedLateness(lateness));
  }
  /// Late records of either stream, as std::variant<T1, T2>.
  [[nodiscard]] auto SideOutputLateData(OutputTag<std::variant<T1, T2>> tag) const {
    return With(windowed_.SideOutputLateData(std::move(tag)));
  }
  template <class TriggerType>
  [[nodiscard]] auto Trigger(TriggerType trigger) const {
    return With(windowed_.Trigger(std::move(trigger)));
  }
  template <class EvictorType>
  [[nodiscard]] auto Evictor(EvictorType evictor) const {
    return With(windowed_.Evictor(std::move(evictor)));
  }

  /// fn(const std::vector<T1>&, const std::vector<T2>&, Collector<Out>&), for each window of each
  /// key that has a record of either stream; one of the vectors may be empty. Records are in the
  /// order they came.
  template <class Out, class Fn>
  DataStream<Out> Apply(Fn fn, CallSite at = CallSite::current()) const {
    DataStream<Out> grouped = windowed_.template Process<Out>(
        [fn = std::move(fn)](const auto&, const auto&, const auto& elements,
                             Collector<Out>& out) mutable {
          std::vector<T1> first;
          std::vector<T2> second;
          for (const std::variant<T1, T2>& element : elements) {
            if (const T1* value = std::get_if<0>(&element)) first.push_back(*value);
            if (const T2* value = std::get_if<1>(&element)) second.push_back(*value);
          }
          fn(first, second, out);
        },
        at);
    grouped.Name("CoGroup");
    return grouped;
  }

 private:
  template <class Other>
  static WindowCoGrouped<T1, T2, Other> With(Other windowed) {
    return WindowCoGrouped<T1, T2, Other>(std::move(windowed));
  }

  Windowed windowed_;
};

/// Two streams that wait for their keys and windows. Made by DataStream::Join and CoGroup:
///
///     orders.Join(payments).Where(order_id).EqualTo(payment_order).Window(assigner).Apply(fn)
template <bool kCoGroup, JoinType kType, class T1, class T2>
class JoinedStreams {
 public:
  JoinedStreams(DataStream<T1> first, DataStream<T2> second)
      : first_(std::move(first)), second_(std::move(second)) {}

  template <class Keyed>
  class WithKeys {
   public:
    explicit WithKeys(Keyed keyed) : keyed_(std::move(keyed)) {}
    /// Any window assigner of a keyed stream.
    template <class Assigner>
    [[nodiscard]] auto Window(Assigner assigner) const {
      using Windowed = decltype(keyed_.Window(std::move(assigner)));
      if constexpr (kCoGroup) {
        return WindowCoGrouped<T1, T2, Windowed>(keyed_.Window(std::move(assigner)));
      } else {
        return WindowJoined<kType, T1, T2, Windowed>(keyed_.Window(std::move(assigner)));
      }
    }

   private:
    Keyed keyed_;
  };

  template <class KeyFn1>
  class WithFirstKey {
   public:
    WithFirstKey(JoinedStreams streams, KeyFn1 first_key_of)
        : streams_(std::move(streams)), first_key_of_(std::move(first_key_of)) {}
    /// key_of(const T2&), of the type that Where's returns.
    template <class KeyFn2>
    [[nodiscard]] auto EqualTo(KeyFn2 key_of, CallSite at = CallSite::current()) const {
      static_assert(std::is_same_v<std::decay_t<std::invoke_result_t<KeyFn1&, const T1&>>,
                                   std::decay_t<std::invoke_result_t<KeyFn2&, const T2&>>>,
                    "both streams must have keys of the same type");
      auto keyed = internal::KeyedUnion(streams_.first_, streams_.second_, first_key_of_,
                                        std::move(key_of), at);
      return WithKeys<decltype(keyed)>(std::move(keyed));
    }

   private:
    JoinedStreams streams_;
    KeyFn1 first_key_of_;
  };

  /// key_of(const T1&).
  template <class KeyFn1>
  [[nodiscard]] WithFirstKey<KeyFn1> Where(KeyFn1 key_of) const {
    return {*this, std::move(key_of)};
  }

 private:
  DataStream<T1> first_;
  DataStream<T2> second_;
};

}  // namespace weir
