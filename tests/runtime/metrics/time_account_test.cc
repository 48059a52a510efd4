#include "runtime/metrics/time_account.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

namespace weir {
namespace {

using Use = TimeAccount::Use;

TEST(TimeAccountTest, CountsTheUseInProgress) {
  TimeAccount account(100);
  EXPECT_EQ(account.Read(150).idle_nanos, 50);
  account.Switch(Use::kBusy, 200);
  account.Switch(Use::kBackPressured, 230);
  const TimeAccount::Totals totals = account.Read(300);
  EXPECT_EQ(totals.idle_nanos, 100);
  EXPECT_EQ(totals.busy_nanos, 30);
  EXPECT_EQ(totals.back_pressured_nanos, 70);
  EXPECT_EQ(totals.use, Use::kBackPressured);
  EXPECT_EQ(totals.in_use_nanos, 70);
}

TEST(TimeAccountTest, RemembersTheLongestBackPressure) {
  TimeAccount account(0);
  account.Switch(Use::kBackPressured, 10);
  account.Switch(Use::kBusy, 60);
  account.Switch(Use::kBackPressured, 70);
  account.Switch(Use::kIdle, 80);
  EXPECT_EQ(account.Read(1000).longest_back_pressure_nanos, 50);
}

TEST(TimeAccountTest, SumsToTheTimeThatPassedHoweverItIsSpent) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  TimeAccount account(0);
  int64_t now = 0;
  for (int i = 0; i < 10'000; ++i) {
    now += static_cast<int64_t>(random() % 1000);
    if (random() % 3 == 0) account.Switch(static_cast<Use>(random() % 3), now);
    const TimeAccount::Totals totals = account.Read(now);
    ASSERT_EQ(totals.idle_nanos + totals.busy_nanos + totals.back_pressured_nanos, now);
  }
}

// The writer's clock is a counter of its own, so that a reader that mixed two moments would see a
// sum that never was.
TEST(TimeAccountTest, ShowsOneMomentWhileItIsWritten) {
  TimeAccount account(0);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int64_t now = 0; !stop.load(); now += 10) {
      account.Switch(static_cast<Use>(now / 10 % 3), now);
    }
  });
  int64_t last = 0;
  for (int i = 0; i < 200'000; ++i) {
    // At time 0 nothing is in progress, so the sum is the time of the last switch.
    const TimeAccount::Totals totals = account.Read(0);
    const int64_t sum = totals.idle_nanos + totals.busy_nanos + totals.back_pressured_nanos;
    ASSERT_EQ(sum % 10, 0);
    ASSERT_GE(sum, last);
    last = sum;
    // Each use takes 10 in turn: they never differ by more.
    ASSERT_LE(totals.idle_nanos - totals.busy_nanos, 10);
    ASSERT_LE(totals.busy_nanos - totals.back_pressured_nanos, 10);
  }
  stop.store(true);
  writer.join();
}

}  // namespace
}  // namespace weir
