#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "operators/api/data_stream.h"
#include "operators/api/stream_origin.h"
#include "operators/window/time_window.h"
#include "operators/window/window_operator.h"

namespace weir {

/// A keyed stream divided into windows of event time.
template <class T, class K, class KeyFn>
class WindowedStream {
 public:
  WindowedStream(internal::StreamOrigin origin, KeyFn key_of, WindowAssigner assigner)
      : origin_(std::move(origin)), key_of_(std::move(key_of)), assigner_(assigner) {}

  /// Aggregates each window as records come, and emits one result when it fires. `aggregate` has
  ///   using Accumulator (serialisable, default-made empty), using Result,
  ///   void Add(const T&, Accumulator&), Result GetResult(const Accumulator&).
  template <class AggregateFn>
  DataStream<typename AggregateFn::Result> Aggregate(AggregateFn aggregate) const {
    using Result = typename AggregateFn::Result;
    return Aggregate<Result>(std::move(aggregate),
                             [](const K&, const TimeWindow&, Result result,
                                Collector<Result>& out) { out.Collect(std::move(result)); });
  }
  /// The same, with the result handed to fn(const K&, const TimeWindow&, Result, Collector<Out>&),
  /// which knows key and window and may emit any number of records.
  template <class Out, class AggregateFn, class WindowFn>
  DataStream<Out> Aggregate(AggregateFn aggregate, WindowFn fn) const {
    using Contents = internal::AggregateContents<K, T, AggregateFn, WindowFn>;
    return Add<Out, Contents>(Contents(std::move(aggregate), std::move(fn)));
  }
  /// Keeps all records of a window for fn(const K&, const TimeWindow&, const std::vector<T>&,
  /// Collector<Out>&).
  template <class Out, class WindowFn>
  DataStream<Out> Process(WindowFn fn) const {
    using Contents = internal::ListContents<K, T, WindowFn>;
    return Add<Out, Contents>(Contents(std::move(fn)));
  }

 private:
  template <class Out, class Contents>
  DataStream<Out> Add(Contents contents) const {
    return DataStream<Out>(internal::AddOperator<Out>(
        origin_, "Window",
        internal::MakeOperatorFactory(
            [assigner = assigner_, key_of = key_of_, contents = std::move(contents)] {
              return std::make_unique<internal::WindowOperator<K, T, Out, KeyFn, Contents>>(
                  assigner, key_of, contents);
            }),
        nullptr));
  }

  internal::StreamOrigin origin_;
  KeyFn key_of_;
  WindowAssigner assigner_;
};

}  // namespace weir
