#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "operators/api/co_functions.h"
#include "operators/api/data_stream.h"
#include "operators/api/stream_origin.h"
#include "operators/process/element_operators.h"
#include "operators/process/process_operator.h"

namespace weir {

namespace internal {

/// A CoMapFunction as a CoProcessFunction.
template <class Fn>
class CoMapAdapter final : public CoProcessFunction<typename Fn::Input1, typename Fn::Input2,
                                                    typename Fn::OutputRecord> {
 public:
  using Out = typename Fn::OutputRecord;
  explicit CoMapAdapter(Fn function) : function_(std::move(function)) {}
  void ProcessElement1(const typename Fn::Input1& value, FunctionContext&,
                       Collector<Out>& out) override {
    out.Collect(function_.Fn::Map1(value));
  }
  void ProcessElement2(const typename Fn::Input2& value, FunctionContext&,
                       Collector<Out>& out) override {
    out.Collect(function_.Fn::Map2(value));
  }

 private:
  Fn function_;
};

/// A CoFlatMapFunction as a CoProcessFunction.
template <class Fn>
class CoFlatMapAdapter final : public CoProcessFunction<typename Fn::Input1, typename Fn::Input2,
                                                        typename Fn::OutputRecord> {
 public:
  using Out = typename Fn::OutputRecord;
  explicit CoFlatMapAdapter(Fn function) : function_(std::move(function)) {}
  void ProcessElement1(const typename Fn::Input1& value, FunctionContext&,
                       Collector<Out>& out) override {
    function_.Fn::FlatMap1(value, out);
  }
  void ProcessElement2(const typename Fn::Input2& value, FunctionContext&,
                       Collector<Out>& out) override {
    function_.Fn::FlatMap2(value, out);
  }

 private:
  Fn function_;
};

/// Two functions, one an input, as a CoProcessFunction.
template <class T1, class T2, class Out, class Fn1, class Fn2>
class CoMapLambdas final : public CoProcessFunction<T1, T2, Out> {
 public:
  CoMapLambdas(Fn1 first, Fn2 second) : first_(std::move(first)), second_(std::move(second)) {}
  void ProcessElement1(const T1& value, FunctionContext&, Collector<Out>& out) override {
    out.Collect(first_(value));
  }
  void ProcessElement2(const T2& value, FunctionContext&, Collector<Out>& out) override {
    out.Collect(second_(value));
  }

 private:
  Fn1 first_;
  Fn2 second_;
};

}  // namespace internal

/// Two streams grouped by keys of one type K, that meet in one operator: the records of a key, of
/// either stream, go to one subtask and see the same state.
template <class T1, class T2, class K, class KeyFn1, class KeyFn2>
class KeyedConnectedStreams {
 public:
  KeyedConnectedStreams(internal::StreamOrigin first, KeyFn1 first_key_of,
                        internal::StreamOrigin second, KeyFn2 second_key_of)
      : first_(std::move(first)),
        second_(std::move(second)),
        first_key_of_(std::move(first_key_of)),
        second_key_of_(std::move(second_key_of)) {}

  /// A KeyedCoProcessFunction<K, T1, T2, Out>: state and timers per key, shared by both streams.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    static_assert(std::is_same_v<typename Fn::Key, K>,
                  "the function's key type is not the streams'");
    static_assert(
        std::is_same_v<typename Fn::Input1, T1> && std::is_same_v<typename Fn::Input2, T2>,
        "the function's inputs are not the streams' records");
    using Out = typename Fn::OutputRecord;
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddTwoInputOperator<Out>(
        first_.ReadAt(at), second_, /*start_after=*/false, "KeyedCoProcess",
        internal::MakeOperatorFactory(
            [fn = std::move(fn), first = first_key_of_, second = second_key_of_, side_outputs] {
              return std::make_unique<internal::KeyedProcessOperator<Fn, KeyFn1, KeyFn2>>(
                  fn, first, side_outputs, second);
            }),
        side_outputs));
  }

 private:
  internal::StreamOrigin first_;
  internal::StreamOrigin second_;
  KeyFn1 first_key_of_;
  KeyFn2 second_key_of_;
};

/// Two streams, of the same type or of different ones, that meet in one operator.
template <class T1, class T2>
class ConnectedStreams {
 public:
  ConnectedStreams(internal::StreamOrigin first, internal::StreamOrigin second)
      : first_(std::move(first)), second_(std::move(second)) {}

  /// A CoMapFunction<T1, T2, Out>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Map(Fn fn, CallSite at = CallSite::current()) const {
    return Add(at, "CoMap", internal::CoMapAdapter<Fn>(std::move(fn)));
  }
  /// first(const T1&) -> Out and second(const T2&) -> Out, of one Out.
  template <class Fn1, class Fn2, class Out = std::decay_t<std::invoke_result_t<Fn1&, const T1&>>>
  DataStream<Out> Map(Fn1 first, Fn2 second, CallSite at = CallSite::current()) const {
    static_assert(std::is_same_v<std::decay_t<std::invoke_result_t<Fn2&, const T2&>>, Out>,
                  "both functions must return the same type");
    return Add(at, "CoMap",
               internal::CoMapLambdas<T1, T2, Out, Fn1, Fn2>(std::move(first), std::move(second)));
  }
  /// A CoFlatMapFunction<T1, T2, Out>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> FlatMap(Fn fn, CallSite at = CallSite::current()) const {
    return Add(at, "CoFlatMap", internal::CoFlatMapAdapter<Fn>(std::move(fn)));
  }
  /// A CoProcessFunction<T1, T2, Out>: side outputs and operator state.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    return Add(at, "CoProcess", std::move(fn));
  }

  /// Groups both streams: first(const T1&) and second(const T2&) return keys of one type.
  template <class KeyFn1, class KeyFn2,
            class K = std::decay_t<std::invoke_result_t<KeyFn1&, const T1&>>>
  KeyedConnectedStreams<T1, T2, K, KeyFn1, KeyFn2> KeyBy(KeyFn1 first, KeyFn2 second) const {
    static_assert(std::is_same_v<std::decay_t<std::invoke_result_t<KeyFn2&, const T2&>>, K>,
                  "both streams must have keys of the same type");
    return {internal::Keyed<T1, K>(first_, first), first, internal::Keyed<T2, K>(second_, second),
            second};
  }

 private:
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Add(CallSite at, std::string name, Fn fn) const {
    static_assert(
        std::is_same_v<typename Fn::Input1, T1> && std::is_same_v<typename Fn::Input2, T2>,
        "the function's inputs are not the streams' records");
    using Out = typename Fn::OutputRecord;
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddTwoInputOperator<Out>(
        first_.ReadAt(at), second_, /*start_after=*/false, std::move(name),
        internal::MakeOperatorFactory([fn = std::move(fn), side_outputs] {
          return std::make_unique<internal::ProcessOperator<Fn>>(fn, side_outputs);
        }),
        side_outputs));
  }

  internal::StreamOrigin first_;
  internal::StreamOrigin second_;
};

}  // namespace weir
