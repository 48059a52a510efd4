#pragma once

#include <utility>

#include "operators/api/functions.h"
#include "operators/cep/pattern_match.h"

namespace weir {

/// What becomes of the matches of a pattern. Copied into every subtask; called by one thread at a
/// time; may throw, which fails the task.
template <class T, class Out>
class PatternProcessFunction {
 public:
  using Input = T;
  using OutputRecord = Out;
  using Context = FunctionContext;
  virtual ~PatternProcessFunction() = default;
  /// A match; `context.timestamp()` is the time of its last event.
  virtual void ProcessMatch(const PatternMatch<T>& match, Context& context,
                            Collector<Out>& out) = 0;
  /// A match begun that ran out of time; `context.timestamp()` is when. Override it to hear of
  /// them.
  virtual void ProcessTimedOutMatch(const PatternMatch<T>&, Context&, Collector<Out>&) {}
};

namespace internal {

/// PatternProcessFunction of a function of a match.
template <class T, class Out, class Fn>
class PatternFlatSelectFunction final : public PatternProcessFunction<T, Out> {
 public:
  explicit PatternFlatSelectFunction(Fn fn) : fn_(std::move(fn)) {}
  void ProcessMatch(const PatternMatch<T>& match, FunctionContext&, Collector<Out>& out) override {
    fn_(match, out);
  }

 private:
  Fn fn_;
};

/// The same, with partial matches that ran out of time to a side output.
template <class T, class Out, class L, class TimeoutFn, class Fn>
class PatternTimeoutFunction final : public PatternProcessFunction<T, Out> {
 public:
  PatternTimeoutFunction(OutputTag<L> tag, TimeoutFn timeout, Fn fn)
      : tag_(std::move(tag)), timeout_(std::move(timeout)), fn_(std::move(fn)) {}
  void ProcessMatch(const PatternMatch<T>& match, FunctionContext&, Collector<Out>& out) override {
    out.Collect(fn_(match));
  }
  void ProcessTimedOutMatch(const PatternMatch<T>& match, FunctionContext& context,
                            Collector<Out>&) override {
    context.Output(tag_, L(timeout_(match, context.timestamp())));
  }

 private:
  OutputTag<L> tag_;
  TimeoutFn timeout_;
  Fn fn_;
};

}  // namespace internal
}  // namespace weir
