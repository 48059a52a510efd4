#include "jobmanager/restart_strategy.h"

#include <gtest/gtest.h>

#include "runtime/base/weir_options.h"

namespace weir {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

Configuration Settings() { return Configuration(WeirOptions()); }

TEST(RestartStrategyTest, NoneGivesUpAtOnce) {
  Configuration settings = Settings();
  settings.Set(kRestartStrategyType, "none");
  EXPECT_FALSE(MakeRestartStrategy(settings, 1)->OnFailure(kStart).has_value());
}

TEST(RestartStrategyTest, FixedDelayAllowsItsAttempts) {
  Configuration settings = Settings();
  settings.Set(kRestartStrategyType, "fixed-delay");
  settings.Set(kFixedDelayAttempts, 2);
  settings.Set(kFixedDelayDelay, absl::Seconds(3));
  const auto strategy = MakeRestartStrategy(settings, 1);
  EXPECT_EQ(strategy->OnFailure(kStart), absl::Seconds(3));
  EXPECT_EQ(strategy->OnFailure(kStart), absl::Seconds(3));
  EXPECT_FALSE(strategy->OnFailure(kStart).has_value());
}

TEST(RestartStrategyTest, ExponentialDelayIsTheDefaultGrowsToItsMaximumAndNeverGivesUp) {
  Configuration settings = Settings();
  settings.Set(kExponentialDelayInitialBackoff, absl::Seconds(1));
  settings.Set(kExponentialDelayMaxBackoff, absl::Seconds(10));
  settings.Set(kExponentialDelayBackoffMultiplier, 2.0);
  settings.Set(kExponentialDelayJitterFactor, 0.0);
  const auto strategy = MakeRestartStrategy(settings, 1);
  absl::Time now = kStart;
  for (const int seconds : {1, 2, 4, 8, 10, 10, 10}) {
    const auto delay = strategy->OnFailure(now);
    EXPECT_EQ(delay, absl::Seconds(seconds));
    now += *delay + absl::Seconds(1);
  }
}

TEST(RestartStrategyTest, ExponentialDelayBeginsAnewAfterAQuietTime) {
  Configuration settings = Settings();
  settings.Set(kExponentialDelayInitialBackoff, absl::Seconds(1));
  settings.Set(kExponentialDelayBackoffMultiplier, 2.0);
  settings.Set(kExponentialDelayJitterFactor, 0.0);
  settings.Set(kExponentialDelayResetBackoffThreshold, absl::Minutes(1));
  const auto strategy = MakeRestartStrategy(settings, 1);
  EXPECT_EQ(strategy->OnFailure(kStart), absl::Seconds(1));
  // A minute after the failure is not yet a minute after the restart.
  EXPECT_EQ(strategy->OnFailure(kStart + absl::Seconds(60)), absl::Seconds(2));
  EXPECT_EQ(strategy->OnFailure(kStart + absl::Seconds(60 + 2 + 60)), absl::Seconds(1));
}

TEST(RestartStrategyTest, ExponentialDelayGivesUpAfterItsAttemptsUnlessAQuietTimeComesBefore) {
  Configuration settings = Settings();
  settings.Set(kExponentialDelayInitialBackoff, absl::Seconds(1));
  settings.Set(kExponentialDelayJitterFactor, 0.0);
  settings.Set(kExponentialDelayResetBackoffThreshold, absl::Minutes(1));
  settings.Set(kExponentialDelayAttempts, 2);
  const auto strategy = MakeRestartStrategy(settings, 1);
  absl::Time now = kStart;
  EXPECT_TRUE(strategy->OnFailure(now).has_value());
  EXPECT_TRUE(strategy->OnFailure(now += absl::Seconds(10)).has_value());
  EXPECT_TRUE(strategy->OnFailure(now += absl::Minutes(2)).has_value()) << "counts anew";
  EXPECT_TRUE(strategy->OnFailure(now += absl::Seconds(10)).has_value());
  EXPECT_FALSE(strategy->OnFailure(now += absl::Seconds(10)).has_value());
}

TEST(RestartStrategyTest, FailureRateAllowsSoManyFailuresWithinTheInterval) {
  for (const char* type : {"failure-rate", "failurerate"}) {
    Configuration settings = Settings();
    settings.Set(kRestartStrategyType, type);
    settings.Set(kFailureRateMaxFailures, 2);
    settings.Set(kFailureRateInterval, absl::Seconds(60));
    settings.Set(kFailureRateDelay, absl::Seconds(3));
    const auto strategy = MakeRestartStrategy(settings, 1);
    EXPECT_EQ(strategy->OnFailure(kStart), absl::Seconds(3));
    EXPECT_EQ(strategy->OnFailure(kStart + absl::Seconds(30)), absl::Seconds(3));
    EXPECT_EQ(strategy->OnFailure(kStart + absl::Seconds(60)), absl::Seconds(3))
        << "the first is a whole interval ago";
    EXPECT_FALSE(strategy->OnFailure(kStart + absl::Seconds(89)).has_value());
  }
}

TEST(RestartStrategyTest, KnowsFlinksNames) {
  Configuration settings = Settings();
  for (const char* type : {"none", "off", "disable"}) {
    settings.Set(kRestartStrategyType, type);
    EXPECT_FALSE(MakeRestartStrategy(settings, 1)->OnFailure(kStart).has_value());
  }
  settings.Set(kRestartStrategyType, "fixeddelay");
  settings.Set(kFixedDelayDelay, absl::Seconds(7));
  EXPECT_EQ(MakeRestartStrategy(settings, 1)->OnFailure(kStart), absl::Seconds(7));
  EXPECT_EQ(settings.SetText("restart-strategy.type", "sometimes", "test").code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(RestartStrategyTest, JitterStaysWithinItsShareAndDiffersBySeed) {
  Configuration settings = Settings();
  settings.Set(kExponentialDelayInitialBackoff, absl::Seconds(1));
  settings.Set(kExponentialDelayJitterFactor, 0.1);
  bool differs = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const absl::Duration delay = *MakeRestartStrategy(settings, seed)->OnFailure(kStart);
    EXPECT_GE(delay, absl::Milliseconds(900));
    EXPECT_LE(delay, absl::Milliseconds(1100));
    differs = differs || delay != *MakeRestartStrategy(settings, 0)->OnFailure(kStart);
  }
  EXPECT_TRUE(differs);
}

}  // namespace
}  // namespace weir
