#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "operators/api/keyed_stream.h"
#include "operators/api/stream_origin.h"
#include "operators/cep/internal/cep_operator.h"
#include "operators/cep/pattern.h"
#include "operators/cep/pattern_process_function.h"

namespace weir {

/// The matches of a pattern in a keyed stream, before it is said what becomes of them. A small
/// value; made by CEP::Pattern.
template <class T, class K, class KeyFn>
class PatternStream {
 public:
  PatternStream(internal::StreamOrigin origin, KeyFn key_of, Pattern<T> pattern, bool one_subtask)
      : origin_(std::move(origin)),
        key_of_(std::move(key_of)),
        pattern_(std::move(pattern)),
        one_subtask_(one_subtask) {}

  /// Takes events in the order they come, by the clock, in place of event time.
  [[nodiscard]] PatternStream InProcessingTime() const {
    PatternStream stream = *this;
    stream.options_.event_time = false;
    return stream;
  }
  /// Sends events that come at or behind the watermark to a side output of the result. They are
  /// dropped else, and counted as numLateRecordsDropped in any case.
  [[nodiscard]] PatternStream SideOutputLateData(OutputTag<T> tag) const {
    PatternStream stream = *this;
    stream.options_.late_data = std::move(tag);
    return stream;
  }

  /// A PatternProcessFunction<T, Out>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    using Out = typename Fn::OutputRecord;
    origin_.graph->AddError(pattern_.shape().Check());
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    DataStream<Out> matches(internal::AddOperator<Out>(
        origin_.ReadAt(at), "Cep",
        internal::MakeOperatorFactory([pattern = pattern_, options = options_, fn = std::move(fn),
                                       key_of = key_of_, side_outputs] {
          return std::make_unique<internal::CepOperator<K, Fn, KeyFn>>(pattern, options, fn, key_of,
                                                                       side_outputs);
        }),
        side_outputs));
    if (one_subtask_) matches.SetParallelism(1);
    return matches;
  }
  /// One record for each match: fn(const PatternMatch<T>&) -> Out.
  template <class Fn, class Out = std::decay_t<std::invoke_result_t<Fn&, const PatternMatch<T>&>>>
  DataStream<Out> Select(Fn fn, CallSite at = CallSite::current()) const {
    return FlatSelect<Out>(
        [fn = std::move(fn)](const PatternMatch<T>& match, Collector<Out>& out) mutable {
          out.Collect(fn(match));
        },
        at);
  }
  /// Any number of records for each match: fn(const PatternMatch<T>&, Collector<Out>&).
  template <class Out, class Fn>
  DataStream<Out> FlatSelect(Fn fn, CallSite at = CallSite::current()) const {
    return Process(internal::PatternFlatSelectFunction<T, Out, Fn>(std::move(fn)), at);
  }
  /// Select, with what began and ran out of time (see Pattern::Within) to the side output `tag`:
  /// timeout(const PatternMatch<T>&, EventTime) -> L.
  template <class L, class TimeoutFn, class Fn,
            class Out = std::decay_t<std::invoke_result_t<Fn&, const PatternMatch<T>&>>>
  DataStream<Out> Select(OutputTag<L> tag, TimeoutFn timeout, Fn fn,
                         CallSite at = CallSite::current()) const {
    return Process(internal::PatternTimeoutFunction<T, Out, L, TimeoutFn, Fn>(
                       std::move(tag), std::move(timeout), std::move(fn)),
                   at);
  }

 private:
  internal::StreamOrigin origin_;
  KeyFn key_of_;
  Pattern<T> pattern_;
  bool one_subtask_;
  internal::CepOptions<T> options_;
};

/// Complex event processing: sequences of events, after Flink's CEP library.
class CEP {
 public:
  /// Looks for the pattern per key.
  template <class T, class K, class KeyFn>
  [[nodiscard]] static PatternStream<T, K, KeyFn> Pattern(const KeyedStream<T, K, KeyFn>& stream,
                                                          weir::Pattern<T> pattern) {
    return {stream.origin(), stream.key_selector(), std::move(pattern), false};
  }
  /// Looks for the pattern in the whole stream, in one subtask.
  template <class T>
  [[nodiscard]] static auto Pattern(const DataStream<T>& stream, weir::Pattern<T> pattern) {
    const auto keyed = stream.KeyBy([](const T&) { return uint8_t{0}; });
    using KeyFn = std::decay_t<decltype(keyed.key_selector())>;
    return PatternStream<T, uint8_t, KeyFn>(keyed.origin(), keyed.key_selector(),
                                            std::move(pattern), true);
  }
};

}  // namespace weir
