#include "jobmanager/restart_strategy.h"

#include <algorithm>
#include <deque>
#include <random>

#include "runtime/base/strings.h"
#include "runtime/base/units.h"
#include "runtime/base/weir_options.h"

namespace weir {
namespace {

constexpr int64_t kUnlimited = 2147483647;

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
    int64_t attempts;  // Since the backoff was last reset.
  };

  ExponentialDelayRestart(const Options& options, uint64_t seed)
      : options_(options), random_(seed) {}

  std::optional<absl::Duration> OnFailure(absl::Time now) override {
    // The quiet time counts from when the last restart was due, not from the failure before it.
    if (now - next_restart_ >= options_.reset_threshold) {
      backoff_ = absl::ZeroDuration();
      num_failures_ = 0;
    }
    if (++num_failures_ > options_.attempts) return std::nullopt;
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
        ", reset after ", FormatDurationText(options_.reset_threshold), ". ",
        options_.attempts >= kUnlimited ? "Unlimited" : StrCat(options_.attempts), " attempts.");
  }

 private:
  const Options options_;
  std::mt19937_64 random_;
  absl::Duration backoff_;
  absl::Time next_restart_ = absl::InfinitePast();
  int64_t num_failures_ = 0;  // Since then.
};

class FailureRateRestart final : public RestartStrategy {
 public:
  FailureRateRestart(int64_t max_failures, absl::Duration interval, absl::Duration delay)
      : max_failures_(static_cast<size_t>(max_failures)), interval_(interval), delay_(delay) {}

  std::optional<absl::Duration> OnFailure(absl::Time now) override {
    while (!failures_.empty() && now - failures_.front() >= interval_) failures_.pop_front();
    if (failures_.size() >= max_failures_) return std::nullopt;
    failures_.push_back(now);
    return delay_;
  }

  std::string Describe() const override {
    return StrCat("Restart unless it fails more than ", max_failures_, " times within ",
                  FormatDurationText(interval_), ", with delay ", FormatDurationText(delay_), ".");
  }

 private:
  const size_t max_failures_;
  const absl::Duration interval_;
  const absl::Duration delay_;
  std::deque<absl::Time> failures_;  // Those within the interval.
};

}  // namespace

std::unique_ptr<RestartStrategy> MakeRestartStrategy(const Configuration& settings, uint64_t seed) {
  const std::string type = settings.Get(kRestartStrategyType);
  if (type == "none" || type == "off" || type == "disable") return std::make_unique<NoRestart>();
  if (type == "failure-rate" || type == "failurerate") {
    return std::make_unique<FailureRateRestart>(settings.Get(kFailureRateMaxFailures),
                                                settings.Get(kFailureRateInterval),
                                                settings.Get(kFailureRateDelay));
  }
  if (type == "fixed-delay" || type == "fixeddelay") {
    return std::make_unique<FixedDelayRestart>(settings.Get(kFixedDelayAttempts),
                                               settings.Get(kFixedDelayDelay));
  }
  return std::make_unique<ExponentialDelayRestart>(
      ExponentialDelayRestart::Options{
          .initial_backoff = settings.Get(kExponentialDelayInitialBackoff),
          .max_backoff = settings.Get(kExponentialDelayMaxBackoff),
          .multiplier = settings.Get(kExponentialDelayBackoffMultiplier),
          .jitter = settings.Get(kExponentialDelayJitterFactor),
          .reset_threshold = settings.Get(kExponentialDelayResetBackoffThreshold),
          .attempts = settings.Get(kExponentialDelayAttempts)},
      seed);
}

}  // namespace weir
