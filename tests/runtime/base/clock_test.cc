#include "runtime/base/clock.h"

#include <gtest/gtest.h>

#include "operators/testing/manual_clock.h"

namespace weir {
namespace {

TEST(ClockTest, MonotonicTimeNeverGoesBack) {
  int64_t previous = SystemClock()->MonotonicNanos();
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = MonotonicNanos();
    ASSERT_GE(now, previous);
    previous = now;
  }
}

TEST(ClockTest, StopwatchCountsFromItsRestart) {
  Stopwatch stopwatch;
  const int64_t first = stopwatch.ElapsedNanos();
  EXPECT_GE(first, 0);
  stopwatch.Restart();
  EXPECT_GE(stopwatch.Elapsed(), absl::ZeroDuration());
}

TEST(ClockTest, SystemClockTellsAPresentDate) {
  EXPECT_GT(SystemClock()->Now(), absl::FromUnixSeconds(1'600'000'000));
}

TEST(ManualClockTest, StandsStillUntilAdvanced) {
  ManualClock clock(absl::FromUnixSeconds(100));
  const int64_t begin = clock.MonotonicNanos();
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(100));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(105));
  EXPECT_EQ(clock.MonotonicNanos() - begin, 5'000'000'000);
}

TEST(ManualClockTest, SettingTheWallClockLeavesMonotonicTimeAlone) {
  ManualClock clock;
  const int64_t begin = clock.MonotonicNanos();
  clock.SetNow(absl::FromUnixSeconds(1));
  EXPECT_EQ(clock.Now(), absl::FromUnixSeconds(1));
  EXPECT_EQ(clock.MonotonicNanos(), begin);
}

}  // namespace
}  // namespace weir
