#include "taskmanager/memory_guard.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class MemoryGuardTest : public ::testing::Test {
 protected:
  // What was asked for is `used`; the allocator keeps `freed` beside it.
  bool Update(int64_t resident_mib, int64_t freed_mib = 0) {
    return guard_.Update(resident_mib * kMiB, {100 * kMiB, (100 + freed_mib) * kMiB});
  }

  MemoryBudget budget_{MemoryGuard::CountedBytes(1024 * kMiB)};
  MemoryGuard guard_{&budget_};
};

TEST_F(MemoryGuardTest, AQuarterMayBeTakenWithoutACharge) {
  budget_.Charge(500 * kMiB);
  EXPECT_FALSE(Update(/*resident_mib=*/756));
  EXPECT_EQ(guard_.charged_bytes(), 0);
}

TEST_F(MemoryGuardTest, WhatNobodyChargedBeyondThatIsCharged) {
  budget_.Charge(500 * kMiB);
  Update(856);
  EXPECT_EQ(guard_.charged_bytes(), 100 * kMiB);
  EXPECT_EQ(budget_.used_bytes(), 600 * kMiB);
  Update(856);  // Its own charge is not taken for somebody else's.
  EXPECT_EQ(guard_.charged_bytes(), 100 * kMiB);
  budget_.Charge(60 * kMiB);
  Update(856);
  EXPECT_EQ(guard_.charged_bytes(), 40 * kMiB);
  Update(700);
  EXPECT_EQ(guard_.charged_bytes(), 0);
}

TEST_F(MemoryGuardTest, FreedPagesAreAskedForNearTheLimitAndNotCharged) {
  budget_.Charge(500 * kMiB);
  EXPECT_FALSE(Update(856, /*freed_mib=*/80));
  EXPECT_EQ(guard_.charged_bytes(), 20 * kMiB);
  EXPECT_TRUE(Update(956, /*freed_mib=*/180));
  EXPECT_EQ(guard_.charged_bytes(), 20 * kMiB);
  EXPECT_FALSE(Update(956, /*freed_mib=*/4));  // Not worth the trouble.
}

TEST_F(MemoryGuardTest, FollowsTheLimit) {
  budget_.Charge(100 * kMiB);
  Update(356);
  EXPECT_EQ(guard_.charged_bytes(), 0);
  budget_.SetLimit(MemoryGuard::CountedBytes(512 * kMiB));
  Update(356);
  EXPECT_EQ(guard_.charged_bytes(), 128 * kMiB);
}

TEST_F(MemoryGuardTest, LeavesHalfOfTheBudgetToOthersInAnyCase) {
  Update(3000);
  EXPECT_EQ(guard_.charged_bytes(), 384 * kMiB);
}

}  // namespace
}  // namespace weir
