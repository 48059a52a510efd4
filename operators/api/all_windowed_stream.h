#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "operators/api/keyed_stream.h"
#include "operators/api/windowed_stream.h"

namespace weir {

namespace internal {

struct NoKeyOf {
  template <class T>
  NoKey operator()(const T&) const {
    return 0;
  }
};

/// Drops the key from the arguments of a window function that is not a class.
template <class Fn>
struct WithoutKey {
  Fn function;
  template <class W, class Contents, class Out>
  void operator()(NoKey, const W& window, Contents&& contents, Collector<Out>& out) {
    function(window, std::forward<Contents>(contents), out);
  }
};
template <class Fn>
auto DropKey(Fn function) {
  if constexpr (requires { typename Fn::OutputRecord; }) {
    return function;
  } else {
    return WithoutKey<Fn>{std::move(function)};
  }
}

}  // namespace internal

/// A whole stream divided into windows, without keys. The windows are in one subtask. Reduce, and
/// Aggregate by an aggregate with Merge, work in two stages: every subtask before it aggregates its
/// share of each slice of event time, so that the one subtask only puts these together. The methods
/// are those of WindowedStream; window functions have no key: fn(const W&, result or elements,
/// Collector<Out>&) or a ProcessAllWindowFunction.
template <class T, class Windowed>
class AllWindowedStream {
 public:
  explicit AllWindowedStream(Windowed windowed) : windowed_(std::move(windowed)) {}

  template <class Other>
  [[nodiscard]] auto Trigger(Other trigger) const {
    return Make(windowed_.Trigger(std::move(trigger)));
  }
  template <class Other>
  [[nodiscard]] auto Evictor(Other evictor) const {
    return Make(windowed_.Evictor(std::move(evictor)));
  }
  [[nodiscard]] AllWindowedStream AllowedLateness(absl::Duration lateness) const {
    return AllWindowedStream(windowed_.AllowedLateness(lateness));
  }
  [[nodiscard]] AllWindowedStream SideOutputLateData(OutputTag<T> tag) const {
    return AllWindowedStream(windowed_.SideOutputLateData(std::move(tag)));
  }

  template <class ReduceFn>
  auto Reduce(ReduceFn reduce, CallSite at = CallSite::current()) const {
    return Single(windowed_.Reduce(std::move(reduce), at));
  }
  template <class Out, class ReduceFn, class WindowFn>
  DataStream<Out> Reduce(ReduceFn reduce, WindowFn fn, CallSite at = CallSite::current()) const {
    return Single(
        windowed_.template Reduce<Out>(std::move(reduce), internal::DropKey(std::move(fn)), at));
  }
  template <class AggregateFn>
  auto Aggregate(AggregateFn aggregate, CallSite at = CallSite::current()) const {
    return Single(windowed_.Aggregate(std::move(aggregate), at));
  }
  template <class Out, class AggregateFn, class WindowFn>
  DataStream<Out> Aggregate(AggregateFn aggregate, WindowFn fn,
                            CallSite at = CallSite::current()) const {
    return Single(windowed_.template Aggregate<Out>(std::move(aggregate),
                                                    internal::DropKey(std::move(fn)), at));
  }
  template <class AggregateFn, class WindowFn>
    requires requires { typename WindowFn::OutputRecord; }
  auto Aggregate(AggregateFn aggregate, WindowFn fn, CallSite at = CallSite::current()) const {
    return Aggregate<typename WindowFn::OutputRecord>(std::move(aggregate), std::move(fn), at);
  }
  template <class Out, class WindowFn>
  DataStream<Out> Process(WindowFn fn, CallSite at = CallSite::current()) const {
    return Single(windowed_.template Process<Out>(internal::DropKey(std::move(fn)), at));
  }
  template <class WindowFn>
    requires requires { typename WindowFn::OutputRecord; }
  auto Process(WindowFn fn, CallSite at = CallSite::current()) const {
    return Process<typename WindowFn::OutputRecord>(std::move(fn), at);
  }

 private:
  template <class Other>
  static AllWindowedStream<T, Other> Make(Other windowed) {
    return AllWindowedStream<T, Other>(std::move(windowed));
  }
  template <class Out>
  static DataStream<Out> Single(DataStream<Out> stream) {
    return stream.SetParallelism(1);
  }

  Windowed windowed_;
};

template <class T>
template <class Assigner>
auto DataStream<T>::WindowAll(Assigner assigner) const {
  auto windowed = KeyBy(internal::NoKeyOf()).Window(std::move(assigner)).WithLocalAggregation();
  return AllWindowedStream<T, decltype(windowed)>(std::move(windowed));
}

/// Windows of each `count` records of the whole stream.
template <class T>
auto DataStream<T>::CountWindowAll(int64_t count) const {
  auto windowed = KeyBy(internal::NoKeyOf()).CountWindow(count);
  return AllWindowedStream<T, decltype(windowed)>(std::move(windowed));
}

}  // namespace weir
