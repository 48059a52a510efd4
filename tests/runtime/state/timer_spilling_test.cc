#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/state/keyed_state_backend.h"
#include "tests/runtime/state/state_test_support.h"

namespace weir {
namespace {

using Backend = KeyedStateBackend<int64_t>;
using Queue = TimerQueue<int64_t, int32_t>;

class TimerSpillingTest : public ::testing::Test, protected BackendStorage {
 protected:
  std::unique_ptr<Backend> NewBackend(MemoryBudget* budget, uint32_t index = 0,
                                      uint32_t parallelism = 1) {
    KeyedStateBackendOptions options;
    options.range = RangeOfSubtask(index, 128, parallelism);
    options.memory_budget = budget;
    options.local_dir = NextLocalDir();
    return std::make_unique<Backend>(std::move(options));
  }
  static Queue& Timers(Backend& backend) {
    return **backend.Timers<int32_t>("timers", TimeDomain::kEventTime);
  }
};

// WEIR_TEST_TIMERS=10000000 is what the limit is meant for.
TEST_F(TimerSpillingTest, MoreTimersThanMemoryFireInOrderAndStayWithinTheLimit) {
  const char* number = std::getenv("WEIR_TEST_TIMERS");
  const int64_t num_timers = number == nullptr ? 200'000 : std::atoll(number);
  const int64_t limit_bytes = num_timers * 25;  // In memory a timer takes five times that.
  MemoryBudget budget(limit_bytes);
  auto backend = NewBackend(&budget);
  Queue& timers = Timers(*backend);
  std::mt19937_64 random(1);
  for (int64_t i = 0; i < num_timers; ++i) {
    ASSERT_TRUE(timers.Register(i, KeyHash(i), 0, static_cast<int64_t>(random() % 1'000'000)));
  }
  EXPECT_EQ(timers.size(), static_cast<size_t>(num_timers));
  std::vector<bool> fired(static_cast<size_t>(num_timers), false);
  int64_t num_fired = 0;
  int64_t last_ms = 0;
  for (int64_t now_ms = 0; now_ms <= 1'000'000; now_ms += 1'000) {
    backend->ShedMemory();
    while (const auto timer = timers.PopDue(now_ms)) {
      ASSERT_GE(timer->time_ms, last_ms);
      ASSERT_LE(timer->time_ms, now_ms);
      last_ms = timer->time_ms;
      ASSERT_FALSE(fired[static_cast<size_t>(timer->key)]);
      fired[static_cast<size_t>(timer->key)] = true;
      if (++num_fired % 1024 == 0) backend->ShedMemory();
    }
  }
  EXPECT_EQ(num_fired, num_timers);
  EXPECT_TRUE(timers.empty());
  EXPECT_LT(budget.peak_bytes(), limit_bytes * 11 / 10);
}

TEST_F(TimerSpillingTest, EachTimerFiresOnceAfterARestoreAtTwiceTheParallelism) {
  const int64_t num_timers = 50'000;
  MemoryBudget budget(1);
  std::vector<KeyedStateHandle> handles;
  {
    auto backend = NewBackend(&budget);
    Queue& timers = Timers(*backend);
    for (int64_t i = 0; i < num_timers; ++i) {
      timers.Register(i, KeyHash(i), static_cast<int32_t>(i % 3), i * 7919 % num_timers);
    }
    handles.push_back(Checkpoint(*backend));
    // What happens after the checkpoint is forgotten.
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(timers.PopDue(num_timers).has_value());
  }
  std::vector<int> fired(static_cast<size_t>(num_timers), 0);
  for (uint32_t index = 0; index < 2; ++index) {
    auto backend = NewBackend(&budget, index, 2);
    ASSERT_TRUE(backend->Restore(handles, store_).ok());
    Queue& timers = Timers(*backend);
    const size_t num_restored = timers.size();
    EXPECT_GT(num_restored, static_cast<size_t>(num_timers) / 3);
    int64_t last_ms = -1;
    size_t num_fired = 0;
    while (const auto timer = timers.PopDue(num_timers)) {
      ASSERT_LE(last_ms, timer->time_ms);
      last_ms = timer->time_ms;
      ASSERT_EQ(timer->time_ms, timer->key * 7919 % num_timers);
      ASSERT_EQ(timer->ns, timer->key % 3);
      ++fired[static_cast<size_t>(timer->key)];
      ++num_fired;
    }
    EXPECT_EQ(num_fired, num_restored);
    EXPECT_TRUE(timers.empty());
  }
  EXPECT_EQ(std::count(fired.begin(), fired.end(), 1), num_timers);
}

TEST_F(TimerSpillingTest, BehavesAsASetOfTimersThroughSnapshotsAndRestores) {
  using Model = std::set<std::tuple<int64_t, int64_t, int32_t>>;  // Time, key, namespace.
  for (unsigned seed = 1; seed <= 8; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    MemoryBudget budget(1);
    auto backend = NewBackend(&budget);
    Queue* timers = &Timers(*backend);
    Model model;
    Model checkpointed;
    std::optional<KeyedStateHandle> handle;
    int64_t now_ms = 0;
    const auto add_many = [&] {
      for (int i = 0; i < 6'000; ++i) {
        const auto key = static_cast<int64_t>(random() % 3'000);
        const auto ns = static_cast<int32_t>(random() % 2);
        const int64_t time_ms = now_ms + static_cast<int64_t>(random() % 50'000);
        ASSERT_EQ(timers->Register(key, KeyHash(key), ns, time_ms),
                  model.emplace(time_ms, key, ns).second);
      }
    };
    add_many();
    for (int step = 0; step < 3'000; ++step) {
      switch (random() % 100) {
        case 0:
          if (model.size() < 20'000) add_many();
          break;
        case 1:
          backend->ShedMemory();
          break;
        case 2:
          handle = Checkpoint(*backend);
          checkpointed = model;
          break;
        case 3:
          if (!handle.has_value() || random() % 4 != 0) break;
          backend = NewBackend(&budget);
          ASSERT_TRUE(backend->Restore({*handle}, store_).ok());
          timers = &Timers(*backend);
          model = checkpointed;
          break;
        default:
          if (random() % 2 == 0 && !model.empty()) {
            auto some = model.lower_bound({now_ms + static_cast<int64_t>(random() % 50'000), 0, 0});
            if (some == model.end()) some = model.begin();
            const auto [time_ms, key, ns] = *some;
            ASSERT_TRUE(timers->Delete(key, KeyHash(key), ns, time_ms));
            ASSERT_FALSE(timers->Delete(key, KeyHash(key), ns, time_ms));
            model.erase(some);
          } else {
            now_ms += static_cast<int64_t>(random() % 20);
            const auto timer = timers->PopDue(now_ms);
            ASSERT_EQ(timer.has_value(), !model.empty() && std::get<0>(*model.begin()) <= now_ms);
            if (timer.has_value()) {
              ASSERT_EQ(timer->time_ms, std::get<0>(*model.begin()));
              ASSERT_EQ(model.erase({timer->time_ms, timer->key, timer->ns}), 1u);
            }
          }
      }
      ASSERT_EQ(timers->size(), model.size());
    }
  }
}

}  // namespace
}  // namespace weir
