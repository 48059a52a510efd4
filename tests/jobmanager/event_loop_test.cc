#include "jobmanager/event_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace weir {
namespace {

class EventLoopTest : public testing::Test {
 protected:
  void TearDown() override {
    loop_.Stop();
    pool_.Shutdown();
  }

  IoPool pool_{"test-io", 2};
  EventLoop loop_{SystemClock(), &pool_};
};

TEST_F(EventLoopTest, RunsMailOfOneThreadInOrderOnOneThread) {
  loop_.Start();
  std::vector<int> order;
  std::promise<std::thread::id> thread;
  for (int i = 0; i < 100; ++i) loop_.Post([&order, i] { order.push_back(i); });
  loop_.Post([&] { thread.set_value(std::this_thread::get_id()); });
  EXPECT_NE(thread.get_future().get(), std::this_thread::get_id());
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST_F(EventLoopTest, RunsTimersInTheOrderOfTheirDeadlines) {
  std::vector<int> order;
  std::promise<void> done;
  loop_.PostAfter(absl::Milliseconds(20), [&] {
    order.push_back(3);
    done.set_value();
  });
  loop_.PostAfter(absl::Milliseconds(10), [&] { order.push_back(2); });
  loop_.PostAfter(absl::ZeroDuration(), [&] { order.push_back(1); });
  loop_.Start();
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST_F(EventLoopTest, ForgetsACancelledTimerEvenIfItIsDue) {
  bool ran = false;
  std::promise<void> done;
  loop_.Start();
  loop_.Post([&] {
    const TimerId timer = loop_.PostAfter(absl::ZeroDuration(), [&ran] { ran = true; });
    loop_.CancelTimer(timer);
    loop_.CancelTimer(timer);
    loop_.PostAfter(absl::Milliseconds(2), [&done] { done.set_value(); });
  });
  done.get_future().wait();
  EXPECT_FALSE(ran);
}

TEST_F(EventLoopTest, RunsBlockingWorkElsewhereAndItsContinuationOnTheLoop) {
  loop_.Start();
  std::promise<std::thread::id> loop_thread;
  loop_.Post([&] { loop_thread.set_value(std::this_thread::get_id()); });
  std::thread::id work_thread;
  std::promise<std::thread::id> continuation_thread;
  loop_.RunBlocking([&]() -> Mail {
    work_thread = std::this_thread::get_id();
    return [&] { continuation_thread.set_value(std::this_thread::get_id()); };
  });
  const std::thread::id continued_on = continuation_thread.get_future().get();
  EXPECT_EQ(continued_on, loop_thread.get_future().get());
  EXPECT_NE(work_thread, continued_on);
}

TEST_F(EventLoopTest, DestroysUnrunMailAtStopAndRefusesMore) {
  const auto token = std::make_shared<int>(1);
  bool ran = false;
  loop_.Post([token, &ran] { ran = true; });
  loop_.PostAfter(absl::Hours(1), [token, &ran] { ran = true; });
  loop_.Stop();
  loop_.Post([token, &ran] { ran = true; });
  EXPECT_EQ(token.use_count(), 1);
  EXPECT_FALSE(ran);
}

TEST_F(EventLoopTest, TakesMailFromManyThreads) {
  loop_.Start();
  int sum = 0;
  std::promise<void> done;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) loop_.Post([&sum] { ++sum; });
      });
    }
  }
  loop_.Post([&] { done.set_value(); });
  done.get_future().wait();
  EXPECT_EQ(sum, 4000);
}

}  // namespace
}  // namespace weir
