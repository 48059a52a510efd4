#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "runtime/base/config.h"

namespace weir {

/// Decides whether and when a job that failed is tried again. Threads: one at a time.
class RestartStrategy {
 public:
  virtual ~RestartStrategy() = default;

  /// Notes a failure at `now`; returns how long to wait before the restart, or nothing if the job
  /// is to be given up.
  [[nodiscard]] virtual std::optional<absl::Duration> OnFailure(absl::Time now) = 0;

  /// Returns a sentence for people.
  [[nodiscard]] virtual std::string Describe() const = 0;
};

/// Makes the strategy that `settings` name (restart-strategy.type). `seed` drives the jitter.
[[nodiscard]] std::unique_ptr<RestartStrategy> MakeRestartStrategy(const Configuration& settings,
                                                                   uint64_t seed);

}  // namespace weir
