#pragma once

#include <memory>
#include <utility>

#include "operators/api/data_stream.h"
#include "operators/api/stream_origin.h"
#include "operators/process/element_operators.h"
#include "operators/process/process_operator.h"

namespace weir {

/// A stream whose every record goes to all subtasks of the operator it is connected to.
template <class T>
class BroadcastStream {
 public:
  explicit BroadcastStream(internal::StreamOrigin origin) : origin_(std::move(origin)) {}
  [[nodiscard]] const internal::StreamOrigin& origin() const { return origin_; }

 private:
  internal::StreamOrigin origin_;
};

/// A stream and a broadcast stream that meet in one operator.
template <class T, class B>
class BroadcastConnectedStream {
 public:
  BroadcastConnectedStream(internal::StreamOrigin records, internal::StreamOrigin broadcast)
      : records_(std::move(records)), broadcast_(std::move(broadcast)) {}

  /// Reads no record before the broadcast stream has caught up with what was there at the start:
  /// rules before events.
  [[nodiscard]] BroadcastConnectedStream StartAfterBroadcast() const {
    BroadcastConnectedStream connected = *this;
    connected.start_after_ = true;
    return connected;
  }

  /// A BroadcastProcessFunction<T, B, Out>.
  template <class Fn>
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<typename Fn::OutputRecord>(
        internal::AddTwoInputOperator<typename Fn::OutputRecord>(
            records_.ReadAt(at), broadcast_, start_after_, "BroadcastProcess",
            internal::MakeOperatorFactory([fn = std::move(fn), side_outputs] {
              return std::make_unique<internal::ProcessOperator<Fn>>(fn, side_outputs);
            }),
            side_outputs));
  }

 private:
  internal::StreamOrigin records_;
  internal::StreamOrigin broadcast_;
  bool start_after_ = false;
};

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
  DataStream<typename Fn::OutputRecord> Process(Fn fn, CallSite at = CallSite::current()) const {
    auto side_outputs = std::make_shared<internal::SideOutputs>();
    return DataStream<typename Fn::OutputRecord>(
        internal::AddTwoInputOperator<typename Fn::OutputRecord>(
            records_.ReadAt(at), broadcast_, start_after_, "KeyedBroadcastProcess",
            internal::MakeOperatorFactory([fn = std::move(fn), key_of = key_of_, side_outputs] {
              return std::make_unique<internal::KeyedProcessOperator<Fn, KeyFn>>(fn, key_of,
                                                                                 side_outputs);
            }),
            side_outputs));
  }

 private:
  internal::StreamOrigin records_;
  KeyFn key_of_;
  internal::StreamOrigin broadcast_;
  bool start_after_ = false;
};

}  // namespace weir
