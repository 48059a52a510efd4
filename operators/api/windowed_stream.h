#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "operators/api/data_stream.h"
#include "operators/api/stream_origin.h"
#include "operators/window/aligned_window_operator.h"
#include "operators/window/local_aggregation_operator.h"
#include "operators/window/session_window_operator.h"
#include "operators/window/session_windows.h"
#include "operators/window/window_assigners.h"
#include "operators/window/window_contents.h"
#include "operators/window/window_function.h"
#include "operators/window/window_operator.h"

namespace weir {

/// A keyed stream divided into windows. The methods before Reduce, Aggregate and Process say how
/// windows behave; these three say what becomes of a window, and make a stream of it.
///
/// An aggregate has
///   using Accumulator (serialisable, default-made empty), using Result,
///   void Add(const T&, Accumulator&), Result GetResult(const Accumulator&), and, if it can,
///   void Merge(const Accumulator& from, Accumulator& into).
/// With Merge, sliding and cumulative windows share slices: each record is added once, whatever the
/// number of windows it is in, and state is a slice's accumulator per key. The result must not
/// depend on the order of records. Without, each window has an accumulator of its own. Session
/// windows need Merge.
///
/// A window function is fn(const K&, const W&, result or elements, Collector<Out>&), or a
/// ProcessWindowFunction.
template <class T, class K, class KeyFn, class Assigner, class TriggerType = void,
          class EvictorType = void>
class WindowedStream {
 public:
  using W = typename Assigner::Window;

  WindowedStream(internal::StreamOrigin origin, KeyFn key_of, Assigner assigner)
      : origin_(std::move(origin)), key_of_(std::move(key_of)), assigner_(std::move(assigner)) {}

  /// Fires windows when `trigger`, a value of a class like CountTrigger, says so, in place of the
  /// assigner's default: at the window's end.
  template <class Other>
  [[nodiscard]] WindowedStream<T, K, KeyFn, Assigner, Other, EvictorType> Trigger(
      Other trigger) const {
    auto stream = Copy<Other, EvictorType>();
    stream.trigger_ = std::move(trigger);
    stream.evictor_ = evictor_;
    return stream;
  }
  /// Has `evictor`, a value of a class like CountEvictor, take elements out of windows when they
  /// fire. Windows then keep all their elements, also for Reduce and Aggregate.
  template <class Other>
  [[nodiscard]] WindowedStream<T, K, KeyFn, Assigner, TriggerType, Other> Evictor(
      Other evictor) const {
    auto stream = Copy<TriggerType, Other>();
    stream.trigger_ = trigger_;
    stream.evictor_ = std::move(evictor);
    return stream;
  }
  /// Keeps a window for `lateness` of event time after it has fired; a record that comes in that
  /// time makes it fire again. Nothing by default. Later records are dropped, and counted by
  /// numLateRecordsDropped.
  [[nodiscard]] WindowedStream AllowedLateness(absl::Duration lateness) const {
    WindowedStream stream = *this;
    stream.options_.allowed_lateness = lateness;
    return stream;
  }
  /// Sends records that are too late to a side output in place of dropping them; read it by
  /// GetSideOutput of the resulting stream.
  [[nodiscard]] WindowedStream SideOutputLateData(OutputTag<T> tag) const {
    WindowedStream stream = *this;
    stream.options_.late_data_tag = std::move(tag);
    return stream;
  }
  /// Aggregates in two stages: within each subtask before the shuffle, then per key. Pays where few
  /// keys have most of the records. For Reduce and for aggregates with Merge, on event-time windows
  /// with the default trigger and without a side output of late records; others stay in one stage.
  /// The late records that are counted are then the first stage's accumulators.
  [[nodiscard]] WindowedStream WithLocalAggregation() const {
    WindowedStream stream = *this;
    stream.local_aggregation_ = true;
    return stream;
  }

  /// Folds the records of each window: fn(const T&, const T&) -> T.
  template <class ReduceFn>
  DataStream<T> Reduce(ReduceFn reduce, CallSite at = CallSite::current()) const {
    return Aggregate(internal::ReduceAggregate<T, ReduceFn>(std::move(reduce)), at);
  }
  /// The same with a window function of the result.
  template <class Out, class ReduceFn, class WindowFn>
  DataStream<Out> Reduce(ReduceFn reduce, WindowFn fn, CallSite at = CallSite::current()) const {
    return Aggregate<Out>(internal::ReduceAggregate<T, ReduceFn>(std::move(reduce)), std::move(fn),
                          at);
  }
  template <class ReduceFn, class WindowFn>
    requires requires { typename WindowFn::OutputRecord; }
  DataStream<typename WindowFn::OutputRecord> Reduce(ReduceFn reduce, WindowFn fn,
                                                     CallSite at = CallSite::current()) const {
    return Aggregate(internal::ReduceAggregate<T, ReduceFn>(std::move(reduce)), std::move(fn), at);
  }

  /// Aggregates each window as records come, and emits one result when it fires.
  template <class AggregateFn>
  DataStream<typename AggregateFn::Result> Aggregate(AggregateFn aggregate,
                                                     CallSite at = CallSite::current()) const {
    return Aggregate<typename AggregateFn::Result>(std::move(aggregate), internal::EmitResult{},
                                                   at);
  }
  /// The same, with the result handed to a window function, which knows key and window and may emit
  /// any number of records.
  template <class Out, class AggregateFn, class WindowFn>
  DataStream<Out> Aggregate(AggregateFn aggregate, WindowFn fn,
                            CallSite at = CallSite::current()) const {
    if constexpr (kAligned) {
      // A second stage has no stages of its own: without the check its template would call itself.
      if constexpr (internal::MergeableAggregate<AggregateFn> &&
                    !internal::kIsFinalAggregate<AggregateFn>) {
        if (local_aggregation_ && assigner_.domain() == TimeDomain::kEventTime &&
            !options_.late_data_tag.has_value()) {
          return AggregateInTwoStages<Out>(std::move(aggregate), std::move(fn), at);
        }
      }
      return AddAligned<Out>(internal::AggregateContents<K, T, AggregateFn, WindowFn>(
                                 std::move(aggregate), std::move(fn)),
                             at);
    } else if constexpr (internal::IsSessionAssigner<Assigner>::value &&
                         std::is_void_v<TriggerType> && std::is_void_v<EvictorType> &&
                         internal::MergeableAggregate<AggregateFn>) {
      return AddSessions<Out>(std::move(aggregate), std::move(fn), at);
    } else if constexpr (std::is_void_v<EvictorType>) {
      static_assert(!kMerging || internal::MergeableAggregate<AggregateFn>,
                    "session windows merge, so their aggregate needs "
                    "Merge(const Accumulator& from, Accumulator& into)");
      return AddGeneral<Out>(internal::AccumulatorPerWindow<K, W, T, AggregateFn, WindowFn>(
                                 std::move(aggregate), std::move(fn)),
                             at);
    } else {
      return AddGeneral<Out>(
          internal::EvictedElementsPerWindow<K, W, T, EvictorType, AggregateFn, WindowFn>(
              *evictor_, std::move(aggregate), std::move(fn)),
          at);
    }
  }
  template <class AggregateFn, class WindowFn>
    requires requires { typename WindowFn::OutputRecord; }
  DataStream<typename WindowFn::OutputRecord> Aggregate(AggregateFn aggregate, WindowFn fn,
                                                        CallSite at = CallSite::current()) const {
    return Aggregate<typename WindowFn::OutputRecord>(std::move(aggregate), std::move(fn), at);
  }

  /// Keeps all records of a window for a window function of them: a const std::vector<T>&, or a
  /// std::span<const T> where it is a ProcessWindowFunction.
  template <class Out, class WindowFn>
  DataStream<Out> Process(WindowFn fn, CallSite at = CallSite::current()) const {
    if constexpr (kAligned) {
      return AddAligned<Out>(internal::ListContents<K, T, WindowFn>(std::move(fn)), at);
    } else if constexpr (std::is_void_v<EvictorType>) {
      return AddGeneral<Out>(internal::ElementsPerWindow<K, W, T, WindowFn>(std::move(fn)), at);
    } else {
      return AddGeneral<Out>(
          internal::EvictedElementsPerWindow<K, W, T, EvictorType, internal::NoAggregate, WindowFn>(
              *evictor_, {}, std::move(fn)),
          at);
    }
  }
  template <class WindowFn>
    requires requires { typename WindowFn::OutputRecord; }
  DataStream<typename WindowFn::OutputRecord> Process(WindowFn fn,
                                                      CallSite at = CallSite::current()) const {
    return Process<typename WindowFn::OutputRecord>(std::move(fn), at);
  }

 private:
  template <class T2, class K2, class F2, class A2, class Tr2, class E2>
  friend class WindowedStream;

  template <class Type>
  using OrNone = std::conditional_t<std::is_void_v<Type>, std::monostate, std::optional<Type>>;
  static constexpr bool kIsAlignedAssigner = std::is_same_v<Assigner, AlignedWindows>;
  static constexpr bool kAligned =
      kIsAlignedAssigner && std::is_void_v<TriggerType> && std::is_void_v<EvictorType>;
  static constexpr bool kMerging = [] {
    if constexpr (kIsAlignedAssigner) {
      return false;
    } else {
      return Assigner::kMerging;
    }
  }();

  template <class OtherTrigger, class OtherEvictor>
  [[nodiscard]] auto Copy() const {
    WindowedStream<T, K, KeyFn, Assigner, OtherTrigger, OtherEvictor> stream(origin_, key_of_,
                                                                             assigner_);
    stream.options_ = options_;
    stream.local_aggregation_ = local_aggregation_;
    return stream;
  }

  template <class Out, class Contents>
  DataStream<Out> AddAligned(Contents contents, CallSite at) const {
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddOperator<Out>(
        origin_.ReadAt(at), "Window",
        internal::MakeOperatorFactory([assigner = assigner_, key_of = key_of_, options = options_,
                                       contents = std::move(contents), side_outputs] {
          return std::make_unique<internal::AlignedWindowOperator<K, T, Out, KeyFn, Contents>>(
              assigner, key_of, contents, options, side_outputs);
        }),
        side_outputs));
  }

  template <class Out, class AggregateFn, class WindowFn>
  DataStream<Out> AddSessions(AggregateFn aggregate, WindowFn fn, CallSite at) const {
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddOperator<Out>(
        origin_.ReadAt(at), "Window",
        internal::MakeOperatorFactory([assigner = assigner_, key_of = key_of_, options = options_,
                                       aggregate = std::move(aggregate), fn = std::move(fn),
                                       side_outputs] {
          return std::make_unique<
              internal::SessionWindowOperator<K, T, Out, KeyFn, Assigner, AggregateFn, WindowFn>>(
              assigner, key_of, aggregate, fn, options, side_outputs);
        }),
        side_outputs));
  }

  template <class Out, class AggregateFn, class WindowFn>
  DataStream<Out> AggregateInTwoStages(AggregateFn aggregate, WindowFn fn, CallSite at) const {
    using Local = internal::LocalAggregationOperator<K, T, KeyFn, AggregateFn>;
    using Partial = typename Local::Out;
    const internal::StreamOrigin unkeyed = origin_.With({}).ReadAt(at);
    internal::StreamOrigin local = internal::AddOperator<Partial>(
        unkeyed, "LocalWindow",
        internal::MakeOperatorFactory([assigner = assigner_, key_of = key_of_, aggregate] {
          return std::make_unique<Local>(assigner, key_of, aggregate);
        }));
    std::vector<StreamNode>& nodes = origin_.graph->mutable_nodes();
    nodes[local.ports.front().node].parallelism = nodes[origin_.ports.front().node].parallelism;
    const auto key_of = [](const Partial& partial) -> const K& { return partial.key; };
    auto final_stage = DataStream<Partial>(std::move(local)).KeyBy(key_of).Window(assigner_);
    return final_stage.AllowedLateness(options_.allowed_lateness)
        .template Aggregate<Out>(internal::FinalAggregate<K, AggregateFn>(std::move(aggregate)),
                                 std::move(fn), at);
  }

  // Returns the trigger to copy into each subtask.
  [[nodiscard]] auto MakeTrigger() const {
    if constexpr (!std::is_void_v<TriggerType>) {
      static_assert(!kMerging || TriggerType::kCanMerge,
                    "windows that merge, as sessions do, need a trigger with kCanMerge");
      using Any = internal::AnyTrigger<T, W, typename TriggerType::State>;
      return std::shared_ptr<const Any>(
          std::make_shared<internal::TriggerOf<T, W, TriggerType>>(*trigger_));
    } else if constexpr (kIsAlignedAssigner) {
      using Any = internal::AnyTrigger<T, W, NoTriggerState>;
      if (assigner_.domain() == TimeDomain::kEventTime) {
        return std::shared_ptr<const Any>(
            std::make_shared<internal::TriggerOf<T, W, EventTimeTrigger>>(EventTimeTrigger()));
      }
      return std::shared_ptr<const Any>(
          std::make_shared<internal::TriggerOf<T, W, ProcessingTimeTrigger>>(
              ProcessingTimeTrigger()));
    } else {
      using Default = typename Assigner::DefaultTrigger;
      using Any = internal::AnyTrigger<T, W, typename Default::State>;
      return std::shared_ptr<const Any>(
          std::make_shared<internal::TriggerOf<T, W, Default>>(Default()));
    }
  }

  template <class Out, class Contents>
  DataStream<Out> AddGeneral(Contents contents, CallSite at) const {
    const auto trigger = MakeTrigger();
    using S = typename std::remove_cvref_t<decltype(*trigger)>::State;
    using Operator = internal::WindowOperator<K, T, Out, KeyFn, W, S, Contents>;
    typename Operator::Assigner assigner;
    assigner.domain = assigner_.domain();
    assigner.merging = kMerging;
    assigner.valid = assigner_.Validate();
    assigner.assign = [assigner = assigner_](const T& value, EventTime time,
                                             std::vector<W>& windows) mutable {
      if constexpr (kIsAlignedAssigner) {
        assigner.ForEachWindow(time, [&](const W& window) { windows.push_back(window); });
      } else {
        assigner.AssignWindows(value, time, windows);
      }
    };
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<Out>(internal::AddOperator<Out>(
        origin_.ReadAt(at), "Window",
        internal::MakeOperatorFactory([assigner = std::move(assigner), trigger, key_of = key_of_,
                                       options = options_, contents = std::move(contents),
                                       side_outputs] {
          return std::make_unique<Operator>(assigner, trigger->Clone(), key_of, contents, options,
                                            side_outputs);
        }),
        side_outputs));
  }

  internal::StreamOrigin origin_;
  KeyFn key_of_;
  Assigner assigner_;
  [[no_unique_address]] OrNone<TriggerType> trigger_;
  [[no_unique_address]] OrNone<EvictorType> evictor_;
  internal::WindowOptions<T> options_;
  bool local_aggregation_ = false;
};

}  // namespace weir
