#include "runtime/task/buffer_debloater.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace weir {
namespace {

constexpr size_t kCapacity = size_t{256} << 10;
constexpr int64_t kMillisecond = 1'000'000;

// A task that consumes at a given rate, looked at every 200 ms.
class BufferDebloaterTest : public ::testing::Test {
 protected:
  // Consumes `num_batches` batches of `batch_bytes` in `active_ms` and looks at it.
  void Period(uint64_t num_batches, uint64_t batch_bytes, size_t queues_in_use,
              int64_t active_ms = 200) {
    totals_.num_batches += num_batches;
    totals_.num_bytes += num_batches * batch_bytes;
    totals_.active_nanos += active_ms * kMillisecond;
    if (debloater_.Update(totals_, queues_in_use).has_value()) ++num_changes_;
  }

  BufferDebloater debloater_{BufferDebloatOptions{.enabled = true}, 1, kCapacity};
  BufferDebloater::Consumption totals_;
  int num_changes_ = 0;
};

TEST_F(BufferDebloaterTest, BeginsWithLittleForTheGateAndKeepsItUntilItKnowsMore) {
  EXPECT_EQ(debloater_.limit_bytes(), BufferDebloater::kInitialBytes);
  EXPECT_EQ(BufferDebloater({}, 64, kCapacity).limit_bytes(), size_t{2} << 10);
  EXPECT_EQ(BufferDebloater({}, 1'000'000, kCapacity).limit_bytes(),
            BufferDebloater::kMinLimitBytes);
  EXPECT_EQ(BufferDebloater({}, 1, 100).limit_bytes(), 100U);
  for (int i = 0; i < 20; ++i) Period(0, 0, 4);
  EXPECT_EQ(num_changes_, 0);
  EXPECT_EQ(debloater_.time_to_consume(), absl::ZeroDuration());
}

TEST_F(BufferDebloaterTest, QueuesHoldWhatIsConsumedInTheTargetTime) {
  for (int i = 0; i < 10; ++i) Period(20, 1000, 4);  // 100 kB/s.
  EXPECT_EQ(debloater_.limit_bytes(), 25'000U);
  EXPECT_EQ(num_changes_, 1);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(debloater_.time_to_consume()), 1000, 1);
  // Ten times as much, then so much that it is the capacity.
  for (int i = 0; i < 10; ++i) Period(200, 1000, 8);
  EXPECT_NEAR(static_cast<double>(debloater_.limit_bytes()), 125'000, 0.25 * 125'000);
  for (int i = 0; i < 10; ++i) Period(20'000, 1000, 4);
  EXPECT_EQ(debloater_.limit_bytes(), kCapacity);
}

TEST_F(BufferDebloaterTest, FollowsACollapseWithinTheTargetTime) {
  for (int i = 0; i < 30; ++i) Period(2000, 10'000, 4);  // 100 MB/s.
  EXPECT_EQ(debloater_.limit_bytes(), kCapacity);
  for (int i = 0; i < 6; ++i) Period(20, 1000, 4);  // 100 kB/s.
  EXPECT_NEAR(static_cast<double>(debloater_.limit_bytes()), 25'000, 7000);
  for (int i = 0; i < 2; ++i) Period(2000, 10'000, 4);
  EXPECT_EQ(debloater_.limit_bytes(), kCapacity) << "and a recovery within a period or two";
}

TEST_F(BufferDebloaterTest, IdleTimeSaysNothingAboutTheThroughput) {
  // 10 records a second, a tenth of a millisecond each.
  for (int i = 0; i < 50; ++i) {
    totals_.active_nanos += 200'000;
    Period(2, 200, 4, 0);
  }
  EXPECT_EQ(debloater_.limit_bytes(), kCapacity);
}

TEST_F(BufferDebloaterTest, AStandstillLowersTheLimitMoreAndMore) {
  for (int i = 0; i < 10; ++i) Period(20, 1000, 4);
  Period(0, 0, 4, 10'000);
  EXPECT_LT(debloater_.limit_bytes(), 2000U);
  Period(0, 0, 4, 1'000'000);
  EXPECT_EQ(debloater_.limit_bytes(), BufferDebloater::kMinLimitBytes);
}

// An operator that takes a large batch at once and works on it for seconds.
TEST_F(BufferDebloaterTest, BatchesThatTakeLongMakeNoSpikes) {
  size_t least = kCapacity;
  size_t most = 0;
  for (int batch = 0; batch < 30; ++batch) {
    Period(1, 64'000, 1);
    for (int i = 0; i < 14; ++i) Period(0, 0, 1);  // 3 s a batch: 21 kB/s.
    if (batch < 5) continue;
    least = std::min(least, debloater_.limit_bytes());
    most = std::max(most, debloater_.limit_bytes());
  }
  EXPECT_GT(least, 10'000U);
  EXPECT_LT(most, 43'000U);
}

TEST_F(BufferDebloaterTest, LeavesTheLimitWhenItWouldChangeByLessThanTheThreshold) {
  for (int i = 0; i < 10; ++i) Period(20, 1000, 4);
  std::mt19937 random(7);
  for (int i = 0; i < 500; ++i) Period(17 + random() % 7, 1000, 4);
  EXPECT_EQ(debloater_.limit_bytes(), 25'000U);
  EXPECT_EQ(num_changes_, 1);
}

}  // namespace
}  // namespace weir
