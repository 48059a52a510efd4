#include "runtime/state/timer_service.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>

namespace weir {
namespace {

using Queue = TimerQueue<std::string, int64_t>;

class TimerServiceTest : public ::testing::Test {
 protected:
  bool Register(const std::string& key, int64_t ns, int64_t time_ms) {
    return queue_.Register(key, KeyHash(key), ns, time_ms);
  }
  bool Delete(const std::string& key, int64_t ns, int64_t time_ms) {
    return queue_.Delete(key, KeyHash(key), ns, time_ms);
  }
  std::string Pop(int64_t now_ms) {
    const auto timer = queue_.PopDue(now_ms);
    if (!timer.has_value()) return "none";
    EXPECT_EQ(timer->hash, KeyHash(timer->key));
    return timer->key + "/" + std::to_string(timer->ns) + "@" + std::to_string(timer->time_ms);
  }

  Queue::Table table_{/*track_changes=*/true};
  Queue queue_{&table_};
};

TEST_F(TimerServiceTest, PopsDueTimersInOrderOfTimeThenRegistration) {
  Register("b", 0, 20);
  Register("a", 0, 20);
  Register("c", 0, 10);
  Register("d", 0, 30);
  EXPECT_EQ(queue_.NextTime(), 10);
  EXPECT_EQ(Pop(9), "none");
  EXPECT_EQ(Pop(20), "c/0@10");
  EXPECT_EQ(Pop(20), "b/0@20");
  EXPECT_EQ(Pop(20), "a/0@20");
  EXPECT_EQ(Pop(20), "none");
  EXPECT_EQ(queue_.size(), 1u);
  EXPECT_EQ(Pop(30), "d/0@30");
  EXPECT_EQ(queue_.NextTime(), std::nullopt);
}

TEST_F(TimerServiceTest, ATimerRegisteredTwiceFiresOnce) {
  EXPECT_TRUE(Register("a", 1, 10));
  EXPECT_FALSE(Register("a", 1, 10));
  EXPECT_TRUE(Register("a", 2, 10));
  EXPECT_EQ(Pop(10), "a/1@10");
  EXPECT_EQ(Pop(10), "a/2@10");
  EXPECT_EQ(Pop(10), "none");
}

TEST_F(TimerServiceTest, DeletedTimersDoNotFire) {
  Register("a", 0, 10);
  EXPECT_TRUE(Delete("a", 0, 10));
  EXPECT_FALSE(Delete("a", 0, 10));
  EXPECT_EQ(queue_.NextTime(), std::nullopt);
  Register("a", 0, 10);
  EXPECT_EQ(Pop(10), "a/0@10");
  EXPECT_EQ(Pop(10), "none");
}

TEST_F(TimerServiceTest, ATimerMayRegisterItselfAgainWhenItFires) {
  Register("a", 0, 10);
  EXPECT_EQ(Pop(10), "a/0@10");
  EXPECT_TRUE(Register("a", 0, 10));
  EXPECT_EQ(Pop(10), "a/0@10");
  EXPECT_EQ(Pop(10), "none");
}

TEST_F(TimerServiceTest, TakesOverTheTimersOfATable) {
  Register("b", 0, 10);
  Register("a", 0, 10);
  Register("c", 0, 5);
  Queue restored(&table_);
  EXPECT_EQ(restored.PopDue(10)->key, "c");
  EXPECT_EQ(restored.PopDue(10)->key, "a");
  EXPECT_EQ(restored.PopDue(10)->key, "b");
}

TEST_F(TimerServiceTest, GivesMemoryBackWhenFewOfManyTimersAreLeft) {
  constexpr int kNumTimers = 100'000;
  MemoryBudget budget(int64_t{1} << 40);
  Queue::Table table(/*track_changes=*/true, &budget);
  Queue queue(&table, &budget);
  const auto key_of = [](int i) { return "key-" + std::to_string(i); };
  const auto add = [&](int i) { queue.Register(key_of(i), KeyHash(key_of(i)), 0, i / 2); };
  for (int i = 0; i < kNumTimers; ++i) add(i);
  table.EndSnapshot(table.BeginSnapshot(), SnapshotResult::kWritten);
  const int64_t full_bytes = budget.used_bytes();
  // What is left lies all over the memory: each thousandth, two of each time.
  for (int i = 0; i < kNumTimers; ++i) {
    if (i % 2000 <= 1) continue;
    ASSERT_TRUE(queue.Delete(key_of(i), KeyHash(key_of(i)), 0, i / 2));
  }
  auto frozen = table.BeginSnapshot();
  EXPECT_EQ(frozen.size(), static_cast<size_t>(kNumTimers - kNumTimers / 1000));  // All dead ones.
  table.EndSnapshot(std::move(frozen), SnapshotResult::kWritten);
  add(kNumTimers);
  EXPECT_TRUE(queue.Delete(key_of(kNumTimers), KeyHash(key_of(kNumTimers)), 0, kNumTimers / 2));
  EXPECT_LT(budget.used_bytes(), full_bytes / 50);
  EXPECT_EQ(queue.size(), static_cast<size_t>(kNumTimers / 1000));
  for (int i = 0; i < kNumTimers; i += i % 2000 == 0 ? 1 : 1999) {
    const auto timer = queue.PopDue(kNumTimers);
    ASSERT_TRUE(timer.has_value());
    EXPECT_EQ(timer->key, key_of(i));
    EXPECT_EQ(timer->time_ms, i / 2);
  }
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(table.BeginSnapshot().size(), static_cast<size_t>(kNumTimers / 1000));
}

// One that doubled would take the process over its limit at once.
TEST_F(TimerServiceTest, ALargeHeapGrowsByAnEighth) {
  MemoryBudget budget(int64_t{1} << 40);
  TimerQueue<int64_t, VoidNamespace>::Table table(/*track_changes=*/false);
  TimerQueue<int64_t, VoidNamespace> queue(&table, &budget);  // Charges its heap alone.
  int64_t large_bytes = 0;  // Of the first heap above 65,536 timers.
  for (int64_t i = 0; i < 200'000; ++i) {
    const int64_t before = budget.used_bytes();
    queue.Register(i, KeyHash(i), {}, i);
    if (large_bytes > 0) {
      ASSERT_LE(budget.used_bytes(), before + before / 8) << i;
    } else if (i > 65'536) {
      large_bytes = budget.used_bytes();
    }
  }
  EXPECT_GT(budget.used_bytes(), large_bytes);
}

TEST_F(TimerServiceTest, FiresWhatAPlainSetHoldsAfterRandomOperations) {
  for (unsigned seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed=" + std::to_string(seed));
    std::mt19937 random(seed);
    Queue::Table table(/*track_changes=*/random() % 2 == 0);
    Queue queue(&table);
    std::set<std::tuple<int64_t, std::string, int64_t>> model;
    for (int step = 0; step < 2000; ++step) {
      const auto time_ms = static_cast<int64_t>(random() % 50);
      const std::string key(1, static_cast<char>('a' + random() % 5));
      const auto ns = static_cast<int64_t>(random() % 2);
      switch (random() % 4) {
        case 0:
          if (const auto timer = queue.PopDue(time_ms)) {
            ASSERT_EQ(timer->time_ms, std::get<0>(*model.begin()));
            ASSERT_EQ(model.erase({timer->time_ms, timer->key, timer->ns}), 1u);
          } else {
            ASSERT_TRUE(model.empty() || std::get<0>(*model.begin()) > time_ms);
          }
          break;
        case 1:
          ASSERT_EQ(queue.Delete(key, KeyHash(key), ns, time_ms),
                    model.erase({time_ms, key, ns}) > 0);
          break;
        default:
          ASSERT_EQ(queue.Register(key, KeyHash(key), ns, time_ms),
                    model.emplace(time_ms, key, ns).second);
      }
      ASSERT_EQ(queue.size(), model.size());
    }
  }
}

}  // namespace
}  // namespace weir
