#pragma once

#include "absl/status/status.h"
#include "operators/api/functions.h"

namespace weir {

// Functions of two connected streams. As with all functions, a subtask has its own copy and calls
// it from one thread at a time; the records of the two inputs come in no order between them. They
// may throw, which fails the task.

/// One record out for each record in, whichever input it came on.
template <class In1, class In2, class Out>
class CoMapFunction {
 public:
  using Input1 = In1;
  using Input2 = In2;
  using OutputRecord = Out;
  virtual ~CoMapFunction() = default;
  virtual Out Map1(const In1& value) = 0;
  virtual Out Map2(const In2& value) = 0;
};

/// Any number of records out for each record in, whichever input it came on.
template <class In1, class In2, class Out>
class CoFlatMapFunction {
 public:
  using Input1 = In1;
  using Input2 = In2;
  using OutputRecord = Out;
  virtual ~CoFlatMapFunction() = default;
  virtual void FlatMap1(const In1& value, Collector<Out>& out) = 0;
  virtual void FlatMap2(const In2& value, Collector<Out>& out) = 0;
};

/// A function of two streams without keys, with side outputs and operator state.
template <class In1, class In2, class Out>
class CoProcessFunction {
 public:
  using Input1 = In1;
  using Input2 = In2;
  using OutputRecord = Out;
  using Context = FunctionContext;
  virtual ~CoProcessFunction() = default;
  [[nodiscard]] virtual absl::Status Open(OpenContext&) { return absl::OkStatus(); }
  virtual void ProcessElement1(const In1& value, Context& context, Collector<Out>& out) = 0;
  virtual void ProcessElement2(const In2& value, Context& context, Collector<Out>& out) = 0;
  virtual void Close() {}
};

/// A function of two keyed streams with one type of key. State and timers belong to a key and are
/// shared by both inputs.
template <class K, class In1, class In2, class Out>
class KeyedCoProcessFunction {
 public:
  using Key = K;
  using Input1 = In1;
  using Input2 = In2;
  using OutputRecord = Out;
  using Context = KeyedContext<K>;
  virtual ~KeyedCoProcessFunction() = default;
  [[nodiscard]] virtual absl::Status Open(KeyedOpenContext<K>&) { return absl::OkStatus(); }
  virtual void ProcessElement1(const In1& value, Context& context, Collector<Out>& out) = 0;
  virtual void ProcessElement2(const In2& value, Context& context, Collector<Out>& out) = 0;
  /// `context.timestamp()` is the timer's time.
  virtual void OnTimer(TimerKind, Context&, Collector<Out>&) {}
  /// All input has ended and all event-time timers have fired.
  virtual void Close() {}
};

}  // namespace weir
