#include "runtime/base/memory_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "runtime/base/check.h"

namespace weir {
namespace {

TEST(MemoryBudgetTest, ChargePassesTheLimitAndIsSeen) {
  MemoryBudget budget(100);
  budget.Charge(150);
  EXPECT_EQ(budget.used_bytes(), 150);
  EXPECT_TRUE(budget.OverLimit());
  budget.Release(150);
  EXPECT_EQ(budget.used_bytes(), 0);
  EXPECT_EQ(budget.peak_bytes(), 150);
}

TEST(MemoryBudgetTest, ReservesUpToTheLimitAndNoByteMore) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.TryReserve(60));
  EXPECT_FALSE(budget.TryReserve(41));
  EXPECT_TRUE(budget.TryReserve(40));
  EXPECT_EQ(budget.used_bytes(), 100);
  EXPECT_TRUE(budget.TryReserve(0));
  EXPECT_FALSE(budget.TryReserve(INT64_MAX));
}

TEST(MemoryBudgetTest, ConcurrentReservationsNeverPassTheLimit) {
  constexpr int64_t kLimit = 1000;
  MemoryBudget budget(kLimit);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&budget, t] {
        for (int i = 0; i < 20'000; ++i) {
          const int64_t bytes = 100 + (i * 7 + t * 13) % 400;
          if (budget.TryReserve(bytes)) budget.Release(bytes);
        }
      });
    }
  }
  EXPECT_EQ(budget.used_bytes(), 0);
  EXPECT_LE(budget.peak_bytes(), kLimit);
  EXPECT_GT(budget.peak_bytes(), 0);
}

TEST(MemoryBudgetTest, ConcurrentChargesAddUpExactly) {
  MemoryBudget budget(1);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&budget] {
        for (int i = 0; i < 20'000; ++i) {
          MemoryCharge charge(&budget, 3);
          charge.Resize(10);
          if (i % 2 == 0) budget.Charge(1);
        }
      });
    }
  }
  EXPECT_EQ(budget.used_bytes(), 40'000);
  EXPECT_GE(budget.peak_bytes(), 40'000);
}

TEST(MemoryChargeTest, ReleasesItsBytesOnceWhenMovedAndDestroyed) {
  MemoryBudget budget(100);
  {
    MemoryCharge first(&budget, 30);
    MemoryCharge second(std::move(first));
    EXPECT_EQ(second.bytes(), 30);
    EXPECT_EQ(budget.used_bytes(), 30);
    MemoryCharge third(&budget, 5);
    third = std::move(second);
    EXPECT_EQ(budget.used_bytes(), 30);
    third.Release();
    third.Release();
    EXPECT_EQ(budget.used_bytes(), 0);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(MemoryChargeTest, ResizesBothWays) {
  MemoryBudget budget(100);
  MemoryCharge charge(&budget, 10);
  charge.Resize(120);
  EXPECT_EQ(budget.used_bytes(), 120);
  charge.Resize(20);
  EXPECT_EQ(budget.used_bytes(), 20);
}

TEST(MemoryChargeTest, TryResizeLeavesTheChargeWhenItDoesNotFit) {
  MemoryBudget budget(100);
  MemoryCharge charge(&budget, 10);
  EXPECT_FALSE(charge.TryResize(101));
  EXPECT_EQ(charge.bytes(), 10);
  EXPECT_TRUE(charge.TryResize(100));
  EXPECT_TRUE(charge.TryResize(1));
  EXPECT_EQ(budget.used_bytes(), 1);
}

TEST(MemoryChargeTest, CountsNothingWithoutABudget) {
  MemoryCharge charge(nullptr, 10);
  charge.Resize(50);
  EXPECT_TRUE(charge.TryResize(70));
  EXPECT_EQ(charge.bytes(), 70);
}

#if WEIR_DCHECK_IS_ON
TEST(MemoryBudgetDeathTest, ReleasingMoreThanWasChargedIsABug) {
  MemoryBudget budget(100);
  budget.Charge(1);
  EXPECT_DEATH(budget.Release(2), "more memory was released than charged");
}
#endif

}  // namespace
}  // namespace weir
