#include "runtime/task/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "runtime/base/mutex.h"

namespace weir {
namespace {

/// Counts its steps and notices two at once.
class CountingTask final : public Steppable {
 public:
  std::atomic<int> requests{0};
  std::atomic<int> seen{0};
  std::atomic<bool> overlapped{false};
  std::atomic<int> steps{0};
  std::atomic<int> more{0};

 protected:
  bool Step() override {
    if (running_.exchange(true)) overlapped = true;
    ++steps;
    seen = requests.load();
    running_ = false;
    return more.fetch_sub(1) > 0;
  }

 private:
  std::atomic<bool> running_{false};
};

template <class Condition>
::testing::AssertionResult Eventually(Condition condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!condition()) {
    if (absl::Now() > deadline) return ::testing::AssertionFailure() << "not within 30 s";
    std::this_thread::yield();
  }
  return ::testing::AssertionSuccess();
}

TEST(WorkerPoolTest, NoWakeIsLostAndNoTwoStepsOverlap) {
  WorkerPool pool(3);
  auto task = std::make_shared<CountingTask>();
  {
    std::vector<std::jthread> wakers;
    for (int t = 0; t < 3; ++t) {
      wakers.emplace_back([&] {
        for (int i = 0; i < 20000; ++i) {
          task->requests.fetch_add(1);
          pool.Wake(task);
        }
      });
    }
  }
  EXPECT_TRUE(Eventually([&] { return task->seen == 60000; }))
      << "the last wake had no step behind it";
  EXPECT_FALSE(task->overlapped);
}

TEST(WorkerPoolTest, StepsAgainWhileThereIsMore) {
  WorkerPool pool(1);
  auto task = std::make_shared<CountingTask>();
  task->more = 9;
  pool.Wake(task);
  EXPECT_TRUE(Eventually([&] { return task->steps == 10; }));
}

TEST(WorkerPoolTest, WakesAtATimeUnlessTheTaskIsGone) {
  WorkerPool pool(1);
  auto task = std::make_shared<CountingTask>();
  auto gone = std::make_shared<CountingTask>();
  pool.WakeAt(gone, absl::Now());
  gone.reset();
  pool.WakeAt(task, absl::Now() + absl::Milliseconds(5));
  pool.WakeAt(task, absl::Now() + absl::Hours(1));
  EXPECT_TRUE(Eventually([&] { return task->steps == 1; }));
}

TEST(WorkerPoolTest, ShutdownDropsWhatIsQueued) {
  auto task = std::make_shared<CountingTask>();
  {
    WorkerPool pool(1);
    pool.Shutdown();
    pool.Wake(task);
  }
  EXPECT_EQ(task->steps, 0);
  EXPECT_EQ(task.use_count(), 1);
}

}  // namespace
}  // namespace weir
