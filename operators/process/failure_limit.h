#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace weir {

/// How many records a subtask may fail on (see ToleratingFailures). Plain data.
struct FailedRecordOptions {
  /// Within `interval` of processing time, which begins with a failure; at one more the task fails,
  /// for what goes wrong that often is no record's fault.
  int64_t max_failures = 1000;
  absl::Duration interval = absl::Minutes(1);
};

namespace internal {

/// Counts failures in spans of time. Threads: within a step only.
class FailureLimit {
 public:
  explicit FailureLimit(FailedRecordOptions options) : options_(options) {}

  /// Counts one that came at `now` and said `error`. Throws what fails the task if it is one too
  /// many.
  void Count(absl::Time now, std::string_view error);

 private:
  FailedRecordOptions options_;
  absl::Time begin_ = absl::InfinitePast();
  int64_t count_ = 0;
};

/// Returns the text of an exception that is being handled. Rethrows one that is no record's fault:
/// state that cannot be read, memory that is not there.
[[nodiscard]] std::string TextOfRecordsFailure(const std::exception_ptr& failure);

}  // namespace internal
}  // namespace weir
