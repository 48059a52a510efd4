#include "jobmanager/restart_strategy.h"

#include <algorithm>
#include <random>

#include "runtime/base/strings.h"
#include "runtime/base/units.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

class NoRestart final : public RestartStrategy {
 public:
  std::optional<absl::Duration> OnFailure(absl::Time) override { return std::nullopt; }
  std::string Describe() const override { return "Restart deactivated."; }
};

class FixedDelayRestart final : public RestartStrategy {
 public:
  FixedDelayRestart(int64_t attempts, absl::Duration delay) : attempts_(attempts), delay_(delay) {}

  std::optional<absl::Duration> OnFailure(absl::Time) override {
    if (num_failures_ >= attempts_) return std::nullopt;
    ++num_failures_;
    return delay_;
  }

  std::string Describe() const override {
    return StrCat("Restart with fixed delay (", FormatDurationText(delay_), "). #", attempts_,
                  " restart attempts.");
  }

 private:
  const int64_t attempts_;
  const absl::Duration delay_;
  int64_t num_failures_ = 0;
};

class ExponentialDelayRestart final : public RestartStrategy {
 public:
  struct Options {
    absl::Duration initial_backoff;
    absl::Duration max_backoff;
    double multiplier;
    double jitter;
    absl::Duration reset_threshold;
  };

  ExponentialDelayRestart(const Options& options, uint64_t seed)
      : options_(options), random_(seed) {}

  std::optional<absl::Duration> OnFailure(absl::Time now) override {
    // The quiet time counts from when the last restart was due, not from the failure before it.
    if (now - next_restart_ >= options_.reset_threshold) backoff_ = absl::ZeroDuration();
    backoff_ = backoff_ == absl::ZeroDuration() ? options_.initial_backoff
                                                : backoff_ * options_.multiplier;
    backoff_ = std::min(backoff_, options_.max_backoff);
    std::uniform_real_distribution<double> share(-options_.jitter, options_.jitter);
    const absl::Duration delay = std::min(backoff_ * (1 + share(random_)), options_.max_backoff);
    next_restart_ = now + delay;
    return delay;
  }

  std::string Describe() const override {
    return StrCat(
        "Restart with exponential delay: initial ", FormatDurationText(options_.initial_backoff),
        ", max ", FormatDurationText(options_.max_backoff), ", multiplier ", options_.multiplier,
        ", reset after ", FormatDurationText(options_.reset_threshold), ". Unlimited attempts.");
  }

 private:
  const Options options_;
  std::mt19937_64 random_;
  absl::Duration backoff_;
  absl::Time next_restart_ = absl::InfinitePast();
};

}  // namespace

std::unique_ptr<RestartStrategy> MakeRestartStrategy(const Configuration& settings, uint64_t seed) {
  const std::string type = settings.Get(kRestartStrategyType);
  if (type == "none") return std::make_unique<NoRestart>();
  if (type == "fixed-delay") {
    return std::make_unique<FixedDelayRestart>(settings.Get(kFixedDelayAttempts),
                                               settings.Get(kFixedDelayDelay));
  }
  return std::make_unique<ExponentialDelayRestart>(
      ExponentialDelayRestart::Options{
          .initial_backoff = settings.Get(kExponentialDelayInitialBackoff),
          .max_backoff = settings.Get(kExponentialDelayMaxBackoff),
          .multiplier = settings.Get(kExponentialDelayBackoffMultiplier),
          .jitter = settings.Get(kExponentialDelayJitterFactor),
          .reset_threshold = settings.Get(kExponentialDelayResetBackoffThreshold)},
      seed);
}

}  // namespace weir
