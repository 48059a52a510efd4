#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "operators/api/functions.h"
#include "operators/api/join_functions.h"
#include "operators/api/sink.h"
#include "operators/api/source.h"
#include "operators/api/stream_origin.h"
#include "operators/api/watermark_strategy.h"
#include "operators/process/batch_operators.h"
#include "operators/process/element_operators.h"
#include "operators/process/process_operator.h"
#include "operators/process/sink_writer_operator.h"
#include "operators/process/source_reader_operator.h"
#include "operators/process/timestamps_and_watermarks_operator.h"
#include "runtime/base/strings.h"
#include "runtime/graph/stream_graph.h"

namespace weir {

template <class T, class K, class KeyFn>
class KeyedStream;
template <class T>
class BroadcastStream;
template <class T, class B>
class BroadcastConnectedStream;
template <class T1, class T2>
class ConnectedStreams;
template <bool kCoGroup, JoinType kType, class T1, class T2>
class JoinedStreams;
template <JoinType kType, class T, class B>
class BroadcastJoined;

/// The end of a stream: a sink that has been attached. For naming it and setting its parallelism.
class DataStreamSink {
 public:
  DataStreamSink(StreamGraph* graph, StreamNodeIndex node) : graph_(graph), node_(node) {}
  DataStreamSink& Name(std::string name) { return Set(&StreamNode::name, std::move(name)); }
  DataStreamSink& Uid(std::string uid) { return Set(&StreamNode::uid, std::move(uid)); }
  DataStreamSink& SetParallelism(uint32_t parallelism) {
    return Set(&StreamNode::parallelism, parallelism);
  }
  DataStreamSink& DisableChaining() { return Set(&StreamNode::chaining, ChainingStrategy::kNever); }
  DataStreamSink& SlotSharingGroup(std::string group) {
    return Set(&StreamNode::slot_sharing_group, std::move(group));
  }

 private:
  template <class Member, class Value>
  DataStreamSink& Set(Member StreamNode::* member, Value value) {
    graph_->mutable_nodes()[node_].*member = std::move(value);
    return *this;
  }

  StreamGraph* graph_;
  StreamNodeIndex node_;
};

/// A stream of records of type T: a description of what the job will do, made in Build. A small
/// value; copies are the same stream. Functions given to it are copied into every subtask. Methods
/// that add an operator take where they are called, for messages; leave that to the default.
template <class T>
class DataStream {
 public:
  using Record = T;
  explicit DataStream(internal::StreamOrigin origin) : origin_(std::move(origin)) {}

  /// One record out for each record in: fn(const T&) -> Out. A function that takes T by value gets
  /// the record moved if no other operator reads it, else a copy.
  template <class Fn, class Out = std::decay_t<std::invoke_result_t<Fn&, const T&>>>
  DataStream<Out> Map(Fn fn, CallSite at = CallSite::current()) const {
    return Add<Out>(at, "Map",
                    internal::MakeElementOperator<T, Out>(
                        [fn = std::move(fn)](auto&& value, Collector<Out>& out) mutable {
                          out.Collect(fn(std::forward<decltype(value)>(value)));
                        }));
  }
  /// Keeps the records for which fn(const T&) is true.
  template <class Fn>
    requires std::predicate<Fn&, const T&>
  DataStream<T> Filter(Fn fn, CallSite at = CallSite::current()) const {
    return Add<T>(at, "Filter", internal::MakeOperatorFactory([fn = std::move(fn)] {
                    return std::make_unique<internal::FilterOperator<T, Fn>>(fn);
                  }));
  }
  /// Any number of records out for each record in: fn(const T&, Collector<Out>&), or by value as
  /// for Map.
  template <class Out, class Fn>
  DataStream<Out> FlatMap(Fn fn, CallSite at = CallSite::current()) const {
    return Add<Out>(at, "FlatMap", internal::MakeElementOperator<T, Out>(std::move(fn)));
  }
  /// A ProcessFunction<T, Out>: any number of records out, side outputs, operator state.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    using Out = typename Fn::OutputRecord;
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return Add<Out>(at, "Process",
                    internal::MakeOperatorFactory([fn = std::move(fn), side_outputs] {
                      return std::make_unique<internal::ProcessOperator<Fn>>(fn, side_outputs);
                    }),
                    side_outputs);
  }

  /// A batch at a time: fn(std::span<const T> values, std::span<const EventTime> times,
  /// Collector<Out>&), for loops that the compiler can vectorise and calls that pay by the batch.
  /// How records are batched is nobody's promise: results must not depend on it. `times` has an
  /// entry for each value, Min where it has none; emit with a time (Collect(value, times[i])), or
  /// many at once with CollectBatch. A function with fields may change them; it has no state that
  /// checkpoints keep.
  template <class Out, class Fn>
    requires std::invocable<Fn&, std::span<const T>, std::span<const EventTime>, Collector<Out>&>
  DataStream<Out> ProcessBatch(Fn fn, CallSite at = CallSite::current()) const {
    return Add<Out>(at, "ProcessBatch", internal::MakeBatchOperator<T, Out>(std::move(fn)));
  }
  /// The same for one record out for each record in, at the same place and time:
  /// fn(std::span<const T> in, std::span<Out> out), with `out` as long as `in`.
  template <class Out, class Fn>
    requires std::invocable<Fn&, std::span<const T>, std::span<Out>>
  DataStream<Out> MapBatch(Fn fn, CallSite at = CallSite::current()) const {
    return Add<Out>(
        at, "MapBatch",
        internal::MakeBatchOperator<T, Out>(
            [fn = std::move(fn)](std::span<const T> in, std::span<const EventTime> times,
                                 Collector<Out>& collector) mutable {
              std::vector<Out> out(in.size());
              fn(in, std::span<Out>(out));
              collector.CollectBatch(std::move(out), {times.begin(), times.end()});
            }));
  }

  /// Groups by fn(const T&) -> key; everything after works per key.
  template <class KeyFn, class K = std::decay_t<std::invoke_result_t<KeyFn&, const T&>>>
  KeyedStream<T, K, KeyFn> KeyBy(KeyFn key_of) const {
    return KeyedStream<T, K, KeyFn>(internal::Keyed<T, K>(origin_, key_of), std::move(key_of));
  }

  /// The records of this and the other streams, in no order between them.
  template <class... Others>
  DataStream<T> Union(const DataStream<Others>&... others) const {
    static_assert((std::is_same_v<T, Others> && ...), "only streams of one type can be united");
    internal::StreamOrigin origin = origin_;
    (origin.ports.insert(origin.ports.end(), others.origin_.ports.begin(),
                         others.origin_.ports.end()),
     ...);
    origin.side_outputs = nullptr;
    return DataStream<T>(std::move(origin));
  }

  /// Windows over the whole stream; include operators/api/all_windowed_stream.h.
  template <class Assigner>
  [[nodiscard]] auto WindowAll(Assigner assigner) const;
  [[nodiscard]] auto CountWindowAll(int64_t count) const;

  /// Every record to every subtask of the next operator; connect another stream with it.
  [[nodiscard]] BroadcastStream<T> Broadcast() const {
    return BroadcastStream<T>(origin_.With({.strategy = ShipStrategy::kBroadcast}));
  }
  /// Gives all subtasks of the next operator the same number of records, within 1 %.
  [[nodiscard]] DataStream<T> Rebalance() const { return Partition(ShipStrategy::kRebalance); }
  /// The same over a share of the subtasks each: with 2 subtasks before and 4 behind, each of the 2
  /// feeds two of the 4. Opens fewer connections than Rebalance(), and lets records stay local.
  [[nodiscard]] DataStream<T> Rescale() const { return Partition(ShipStrategy::kRescale); }
  /// Each record to a random subtask of the next operator.
  [[nodiscard]] DataStream<T> Shuffle() const { return Partition(ShipStrategy::kShuffle); }
  /// Every record to the first subtask of the next operator.
  [[nodiscard]] DataStream<T> Global() const { return Partition(ShipStrategy::kGlobal); }
  /// Subtask i to subtask i. Without it that is so where both sides have one parallelism; with it,
  /// different ones are an error when the job is submitted.
  [[nodiscard]] DataStream<T> Forward() const {
    return DataStream<T>(
        origin_.With({.strategy = ShipStrategy::kForward, .same_parallelism = true}));
  }
  /// Each record to the subtask that partition(key, number of subtasks) names, with key =
  /// key_of(const T&). An index out of range fails the job.
  template <class PartitionFn, class KeyFn>
    requires std::integral<std::invoke_result_t<
        const PartitionFn&, std::invoke_result_t<const KeyFn&, const T&>, uint32_t>>
  [[nodiscard]] DataStream<T> PartitionCustom(PartitionFn partition, KeyFn key_of) const {
    return DataStream<T>(origin_.With(
        {.strategy = ShipStrategy::kCustom,
         .partitioner = std::make_shared<internal::TypedPartitioner<T, PartitionFn, KeyFn>>(
             std::move(partition), std::move(key_of))}));
  }
  /// This stream and another, of any type, in one operator.
  template <class U>
  [[nodiscard]] ConnectedStreams<T, U> Connect(const DataStream<U>& other) const {
    return ConnectedStreams<T, U>(origin_, other.origin());
  }
  /// Pairs of records with one key in one window: Join(other).Where(key).EqualTo(key)
  /// .Window(assigner).Apply(fn).
  template <JoinType kType = JoinType::kInner, class U>
  [[nodiscard]] JoinedStreams<false, kType, T, U> Join(const DataStream<U>& other) const {
    return JoinedStreams<false, kType, T, U>(*this, other);
  }
  /// All records of both streams with one key in one window, for a function of the whole.
  template <class U>
  [[nodiscard]] JoinedStreams<true, JoinType::kFullOuter, T, U> CoGroup(
      const DataStream<U>& other) const {
    return JoinedStreams<true, JoinType::kFullOuter, T, U>(*this, other);
  }
  /// Each record with its row of a small table that every subtask has.
  template <JoinType kType = JoinType::kInner, class B>
  [[nodiscard]] BroadcastJoined<kType, T, B> BroadcastJoin(const BroadcastStream<B>& table) const {
    return BroadcastJoined<kType, T, B>(Connect(table));
  }
  /// Joins this stream with a broadcast one in one operator.
  template <class B>
  [[nodiscard]] BroadcastConnectedStream<T, B> Connect(const BroadcastStream<B>& broadcast) const {
    return BroadcastConnectedStream<T, B>(origin_, broadcast.origin());
  }

  /// Gives records event times and the stream watermarks, in place of what it had.
  [[nodiscard]] DataStream<T> AssignTimestampsAndWatermarks(
      WatermarkStrategy<T> strategy, CallSite at = CallSite::current()) const {
    internal::CheckNotAligned(strategy.alignment().group);
    return Add<T>(at, "Timestamps/Watermarks",
                  internal::MakeOperatorFactory([strategy = std::move(strategy)] {
                    return std::make_unique<internal::TimestampsAndWatermarksOperator<T>>(strategy);
                  }));
  }

  /// The records that the operator before put out under `tag`. Only directly behind that operator.
  template <class S>
  [[nodiscard]] DataStream<S> GetSideOutput(const OutputTag<S>& tag) const {
    return DataStream<S>(internal::SideOutputOf(
        origin_, tag.name(),
        []() -> std::unique_ptr<internal::SideCollectorBase> {
          return std::make_unique<internal::SideCollector<S>>();
        },
        &internal::BatchTypeOf<S>));
  }

  /// Attaches a sink. `sink` is a Sink<T>, by value.
  template <class SinkType>
    requires std::derived_from<SinkType, Sink<T>>
  DataStreamSink SinkTo(SinkType sink, std::string name = "Sink",
                        CallSite at = CallSite::current()) const {
    std::shared_ptr<const Sink<T>> shared = std::make_shared<const SinkType>(std::move(sink));
    return {origin_.graph,
            internal::AddSink(origin_.ReadAt(at), std::move(name),
                              internal::MakeOperatorFactory([sink = std::move(shared)] {
                                return std::make_unique<internal::SinkWriterOperator<T>>(sink);
                              }))};
  }

  // Of the operator that this stream comes from:
  DataStream& Name(std::string name) { return Set(&StreamNode::name, std::move(name)); }
  /// Ties the operator's state to `uid`, so that it is found again in a later version of the job.
  DataStream& Uid(std::string uid) { return Set(&StreamNode::uid, std::move(uid)); }
  DataStream& SetParallelism(uint32_t parallelism) {
    return Set(&StreamNode::parallelism, parallelism);
  }
  DataStream& SetMaxParallelism(uint32_t parallelism) {
    return Set(&StreamNode::max_parallelism, parallelism);
  }
  /// Keeps the operator in a task of its own, apart from those before and behind it.
  DataStream& DisableChaining() { return Set(&StreamNode::chaining, ChainingStrategy::kNever); }
  /// Begins a task with the operator; those behind it may share it.
  DataStream& StartNewChain() { return Set(&StreamNode::chaining, ChainingStrategy::kHead); }
  /// Keeps the operator, and those behind it that name no group of their own, out of the slots of
  /// other groups. The job then needs as many slots as the groups' largest parallelisms together.
  DataStream& SlotSharingGroup(std::string group) {
    return Set(&StreamNode::slot_sharing_group, std::move(group));
  }

  [[nodiscard]] const internal::StreamOrigin& origin() const { return origin_; }

 private:
  template <class Other>
  friend class DataStream;

  template <class Out>
  DataStream<Out> Add(CallSite at, std::string name, std::shared_ptr<const OperatorFactory> factory,
                      std::shared_ptr<internal::SideOutputs> side_outputs = nullptr) const {
    return DataStream<Out>(internal::AddOperator<Out>(origin_.ReadAt(at), std::move(name),
                                                      std::move(factory), std::move(side_outputs)));
  }

  [[nodiscard]] DataStream<T> Partition(ShipStrategy strategy) const {
    return DataStream<T>(origin_.With({.strategy = strategy}));
  }

  template <class Member, class Value>
  DataStream& Set(Member StreamNode::* member, Value value) {
    origin_.graph->mutable_nodes()[origin_.ports.front().node].*member = std::move(value);
    return *this;
  }

  internal::StreamOrigin origin_;
};

}  // namespace weir
