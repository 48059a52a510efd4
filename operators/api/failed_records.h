#pragma once

#include <exception>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "operators/api/functions.h"
#include "operators/process/failure_limit.h"
#include "runtime/base/status_macros.h"
#include "runtime/metrics/metric_group.h"

namespace weir {

/// A record that a function threw an exception at. Plain data.
template <class T>
struct FailedRecord {
  T record{};
  std::string error;  ///< The exception's text.
};

/// The side output of a function that tolerates failures (ToleratingFailures).
template <class T>
[[nodiscard]] OutputTag<FailedRecord<T>> FailedRecordTag() {
  return OutputTag<FailedRecord<T>>("failed-records");
}

namespace internal {

/// What the functions below share: calls the user's, and puts out the record that it throws at.
template <class Fn>
class FailureTolerance {
 public:
  FailureTolerance(Fn function, FailedRecordOptions options)
      : function_(std::move(function)), limit_(options) {}

  template <class OpenContextType>
  absl::Status Open(OpenContextType& context) {
    num_failed_ = context.metrics()->AddCounter("numFailedRecords");
    return function_.Open(context);
  }

  template <class Context, class Out>
  void ProcessElement(const typename Fn::Input& value, Context& context, Collector<Out>& out) {
    try {
      function_.Fn::ProcessElement(value, context, out);
    } catch (...) {
      std::string error = TextOfRecordsFailure(std::current_exception());
      num_failed_->Add();
      limit_.Count(context.current_processing_time(), error);
      context.Output(FailedRecordTag<typename Fn::Input>(),
                     FailedRecord<typename Fn::Input>{value, std::move(error)});
    }
  }

  Fn& function() { return function_; }

 private:
  Fn function_;
  FailureLimit limit_;
  Counter* num_failed_ = nullptr;
};

template <class Fn>
class TolerantProcessFunction final
    : public ProcessFunction<typename Fn::Input, typename Fn::OutputRecord> {
 public:
  TolerantProcessFunction(Fn function, FailedRecordOptions options)
      : tolerance_(std::move(function), options) {}

  absl::Status Open(OpenContext& context) override { return tolerance_.Open(context); }
  void ProcessElement(const typename Fn::Input& value, FunctionContext& context,
                      Collector<typename Fn::OutputRecord>& out) override {
    tolerance_.ProcessElement(value, context, out);
  }
  void Close() override { tolerance_.function().Close(); }

 private:
  FailureTolerance<Fn> tolerance_;
};

template <class Fn>
class TolerantKeyedProcessFunction final
    : public KeyedProcessFunction<typename Fn::Key, typename Fn::Input, typename Fn::OutputRecord> {
 public:
  using Context = KeyedContext<typename Fn::Key>;
  using Out = typename Fn::OutputRecord;

  TolerantKeyedProcessFunction(Fn function, FailedRecordOptions options)
      : tolerance_(std::move(function), options) {}

  absl::Status Open(KeyedOpenContext<typename Fn::Key>& context) override {
    return tolerance_.Open(context);
  }
  void ProcessElement(const typename Fn::Input& value, Context& context,
                      Collector<Out>& out) override {
    tolerance_.ProcessElement(value, context, out);
  }
  void OnTimer(TimerKind kind, Context& context, Collector<Out>& out) override {
    tolerance_.function().OnTimer(kind, context, out);
  }
  void Close() override { tolerance_.function().Close(); }

 private:
  FailureTolerance<Fn> tolerance_;
};

}  // namespace internal

/// Returns `function`, a ProcessFunction or KeyedProcessFunction, as one that an exception thrown
/// at a record does not end the task of: the record goes, with the text, to the side output
/// FailedRecordTag and is counted in numFailedRecords, and the next one is processed. What the
/// function had put out, or changed in state, for the record until then stays: it should throw
/// first. Too many failures fail the task all the same.
///
/// Not tolerated: what is thrown by timers, state that cannot be read, memory that is not there,
/// and code that crashes. Example: tests/operators/failed_records_test.cc.
template <class Fn>
[[nodiscard]] auto ToleratingFailures(Fn function, FailedRecordOptions options = {}) {
  if constexpr (requires { typename Fn::Key; }) {
    return internal::TolerantKeyedProcessFunction<Fn>(std::move(function), options);
  } else {
    return internal::TolerantProcessFunction<Fn>(std::move(function), options);
  }
}

}  // namespace weir
