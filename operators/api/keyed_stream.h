#pragma once

#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/api/data_stream.h"
#include "operators/window/time_window.h"
#include "operators/window/window_operator.h"

namespace weir {

template <class T, class K, class KeyFn>
class WindowedStream;

/// A keyed stream and a broadcast stream that meet in one operator.
template <class T, class K, class KeyFn, class B>
class KeyedBroadcastConnectedStream {
 public:
  KeyedBroadcastConnectedStream(internal::StreamOrigin records, KeyFn key_of,
                                internal::StreamOrigin broadcast)
      : records_(std::move(records)),
        key_of_(std::move(key_of)),
        broadcast_(std::move(broadcast)) {}

  /// Reads no record before the broadcast stream has caught up with what was there at the start:
  /// rules before events.
  [[nodiscard]] KeyedBroadcastConnectedStream StartAfterBroadcast() const {
    KeyedBroadcastConnectedStream connected = *this;
    connected.start_after_ = true;
    return connected;
  }

  /// A KeyedBroadcastProcessFunction<K, T, B, Out>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn) const {
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return internal::AddConnected<typename Fn::OutputRecord>(
        records_, broadcast_, start_after_, "KeyedBroadcastProcess",
        internal::MakeOperatorFactory([fn = std::move(fn), key_of = key_of_, side_outputs] {
          return std::make_unique<internal::KeyedProcessOperator<Fn, KeyFn>>(fn, key_of,
                                                                             side_outputs);
        }),
        side_outputs);
  }

 private:
  internal::StreamOrigin records_;
  KeyFn key_of_;
  internal::StreamOrigin broadcast_;
  bool start_after_ = false;
};

namespace internal {

template <class Out>
DataStream<Out> AddKeyed(const StreamOrigin& origin, std::string name,
                         std::shared_ptr<const OperatorFactory> factory,
                         std::shared_ptr<SideOutputs> side_outputs) {
  StreamNode node;
  node.name = std::move(name);
  node.factory = std::move(factory);
  node.outputs.push_back({"", BatchTypeOf<Out>()});
  StreamOrigin out;
  out.graph = origin.graph;
  out.side_outputs = std::move(side_outputs);
  out.ports = {{origin.graph->AddNode(std::move(node)), 0}};
  origin.ConnectTo(out.ports.front().node, 0);
  return DataStream<Out>(std::move(out));
}

}  // namespace internal

/// A stream grouped by a key of type K. All records of a key go to one subtask, in the order of
/// their sender.
template <class T, class K, class KeyFn>
class KeyedStream {
 public:
  KeyedStream(internal::StreamOrigin origin, KeyFn key_of)
      : origin_(std::move(origin)), key_of_(std::move(key_of)) {}

  /// A KeyedProcessFunction<K, T, Out>: state and timers per key.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn) const {
    static_assert(std::is_same_v<typename Fn::Key, K>,
                  "the function's key type is not the stream's");
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return internal::AddKeyed<typename Fn::OutputRecord>(
        origin_, "KeyedProcess",
        internal::MakeOperatorFactory([fn = std::move(fn), key_of = key_of_, side_outputs] {
          return std::make_unique<internal::KeyedProcessOperator<Fn, KeyFn>>(fn, key_of,
                                                                             side_outputs);
        }),
        side_outputs);
  }

  /// Event-time windows per key.
  [[nodiscard]] WindowedStream<T, K, KeyFn> Window(WindowAssigner assigner) const {
    return WindowedStream<T, K, KeyFn>(origin_, key_of_, assigner);
  }

  template <class B>
  [[nodiscard]] KeyedBroadcastConnectedStream<T, K, KeyFn, B> Connect(
      const BroadcastStream<B>& broadcast) const {
    return {origin_, key_of_, broadcast.origin()};
  }

 private:
  internal::StreamOrigin origin_;
  KeyFn key_of_;
};

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
    return internal::AddKeyed<Out>(
        origin_, "Window",
        internal::MakeOperatorFactory(
            [assigner = assigner_, key_of = key_of_, contents = std::move(contents)] {
              return std::make_unique<internal::WindowOperator<K, T, Out, KeyFn, Contents>>(
                  assigner, key_of, contents);
            }),
        nullptr);
  }

  internal::StreamOrigin origin_;
  KeyFn key_of_;
  WindowAssigner assigner_;
};

}  // namespace weir
