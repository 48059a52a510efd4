#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "operators/api/async_function.h"
#include "operators/api/data_stream.h"
#include "operators/api/stream_origin.h"
#include "operators/async/async_wait_operator.h"
#include "operators/process/element_operators.h"

namespace weir {

/// Asks an outside service for each record of a stream, without waiting for one answer before the
/// next question. `function` is an AsyncFunction<T, Out>.
///
/// A subtask has up to `capacity` records in hand; when all are unanswered it takes no more, which
/// holds its input back. Each has `timeout` (processing time) for its answer, retries included;
/// then the function's Timeout decides. A request that fails, and is not retried, fails the task.
///
/// Ordered: answers leave in the order of the records. Unordered: as they come, but none overtakes
/// a watermark, nor does a watermark overtake the answers before it; with processing time only,
/// nothing holds anything back. Records in hand are saved in checkpoints and asked for again after
/// a restore: each is asked for at least once, and its results are in the output exactly once.
class AsyncDataStream {
 public:
  template <class T, class Fn>
  static DataStream<typename Fn::OutputRecord> UnorderedWait(const DataStream<T>& stream,
                                                             Fn function, absl::Duration timeout,
                                                             size_t capacity = 100,
                                                             CallSite at = CallSite::current()) {
    return UnorderedWaitWithRetry(stream, std::move(function), timeout, capacity,
                                  AsyncRetryStrategy<typename Fn::OutputRecord>::None(), at);
  }
  template <class T, class Fn>
  static DataStream<typename Fn::OutputRecord> OrderedWait(const DataStream<T>& stream, Fn function,
                                                           absl::Duration timeout,
                                                           size_t capacity = 100,
                                                           CallSite at = CallSite::current()) {
    return OrderedWaitWithRetry(stream, std::move(function), timeout, capacity,
                                AsyncRetryStrategy<typename Fn::OutputRecord>::None(), at);
  }
  template <class T, class Fn>
  static DataStream<typename Fn::OutputRecord> UnorderedWaitWithRetry(
      const DataStream<T>& stream, Fn function, absl::Duration timeout, size_t capacity,
      AsyncRetryStrategy<typename Fn::OutputRecord> retry, CallSite at = CallSite::current()) {
    return Add(stream, std::move(function), {false, timeout, capacity, std::move(retry)}, at);
  }
  template <class T, class Fn>
  static DataStream<typename Fn::OutputRecord> OrderedWaitWithRetry(
      const DataStream<T>& stream, Fn function, absl::Duration timeout, size_t capacity,
      AsyncRetryStrategy<typename Fn::OutputRecord> retry, CallSite at = CallSite::current()) {
    return Add(stream, std::move(function), {true, timeout, capacity, std::move(retry)}, at);
  }

 private:
  template <class T, class Fn>
  static DataStream<typename Fn::OutputRecord> Add(
      const DataStream<T>& stream, Fn function,
      internal::AsyncWaitOptions<typename Fn::OutputRecord> options, CallSite at) {
    static_assert(std::is_same_v<typename Fn::Input, T>,
                  "the function's input is not the stream's record");
    return DataStream<typename Fn::OutputRecord>(internal::AddOperator<typename Fn::OutputRecord>(
        stream.origin().ReadAt(at), "AsyncWait",
        internal::MakeOperatorFactory(
            [function = std::move(function), options = std::move(options)] {
              return std::make_unique<internal::AsyncWaitOperator<Fn>>(function, options);
            })));
  }
};

}  // namespace weir
