#include "runtime/base/io_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;

TEST(IoPoolTest, RunsAllWorkQueuedBeforeShutdown) {
  std::atomic<int> ran{0};
  IoPool pool("io-test", 3);
  for (int i = 0; i < 500; ++i) EXPECT_TRUE(pool.Post([&ran] { ++ran; }));
  pool.Shutdown();
  EXPECT_EQ(ran, 500);
  EXPECT_EQ(pool.queued(), 0u);
}

TEST(IoPoolTest, RunsWorkConcurrently) {
  IoPool pool("io-test", 2);
  std::latch both(2);  // Each waits for the other: one thread alone would never end.
  pool.Post([&both] { both.arrive_and_wait(); });
  pool.Post([&both] { both.arrive_and_wait(); });
  pool.Shutdown();
}

TEST(IoPoolTest, RefusesWorkAfterShutdownWhichMayComeTwice) {
  IoPool pool("io-test", 1);
  IoStrand strand(&pool);
  pool.Shutdown();
  pool.Shutdown();
  auto owned = std::make_shared<int>(1);
  EXPECT_FALSE(pool.Post([owned] { FAIL(); }));
  EXPECT_FALSE(strand.Post([owned] { FAIL(); }));
  EXPECT_EQ(owned.use_count(), 1);
}

TEST(IoPoolTest, WorkMayPostMoreWorkWhileThePoolShutsDown) {
  std::atomic<int> ran{0};
  auto pool = std::make_unique<IoPool>("io-test", 2);
  std::promise<void> shutting_down;
  std::shared_future<void> go = shutting_down.get_future().share();
  IoPool* const raw = pool.get();
  pool->Post([&ran, raw, go] {
    go.wait();
    EXPECT_TRUE(raw->Post([&ran, raw] {
      ++ran;
      EXPECT_TRUE(raw->Post([&ran] { ++ran; }));
    }));
  });
  std::jthread closer([raw] { raw->Shutdown(); });
  while (raw->Post([] {})) std::this_thread::yield();  // Until shutdown has begun.
  shutting_down.set_value();
  closer.join();
  EXPECT_EQ(ran, 2);
}

TEST(IoPoolTest, TakesWorkThatOwnsWhatCannotBeCopied) {
  IoPool pool("io-test", 1);
  std::promise<int> answer;
  std::future<int> future = answer.get_future();
  pool.Post([owned = std::make_unique<int>(7), answer = std::move(answer)]() mutable {
    answer.set_value(*owned);
  });
  EXPECT_EQ(future.get(), 7);
}

TEST(IoPoolTest, ReportsWhatWaits) {
  IoPool pool("io-test", 1);
  IoStrand strand(&pool);
  std::promise<void> started;
  std::promise<void> release;
  pool.Post([&started, &release] {
    started.set_value();
    release.get_future().wait();
  });
  started.get_future().wait();
  EXPECT_EQ(pool.queued(), 0u);
  pool.Post([] {});
  for (int i = 0; i < 3; ++i) strand.Post([] {});
  EXPECT_EQ(strand.queued(), 3u);
  EXPECT_EQ(pool.queued(), 4u);
  release.set_value();
  pool.Shutdown();
  EXPECT_EQ(pool.queued(), 0u);
}

TEST(IoStrandTest, RunsWorkInTheOrderPostedAndNeverTwoAtOnce) {
  IoPool pool("io-test", 4);
  IoStrand strand(&pool);
  std::vector<int> order;  // No lock: the strand is the lock, which ThreadSanitizer confirms.
  for (int i = 0; i < 2000; ++i) strand.Post([&order, i] { order.push_back(i); });
  pool.Shutdown();
  std::vector<int> expected(2000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(order, expected);
}

TEST(IoStrandTest, KeepsEachPostersOrderWhenManyPost) {
  constexpr int kPosters = 4;
  constexpr int kEach = 500;
  IoPool pool("io-test", 2);
  IoStrand strand(&pool);
  std::vector<std::vector<int>> seen(kPosters);
  {
    std::vector<std::jthread> posters;
    for (int p = 0; p < kPosters; ++p) {
      posters.emplace_back([&strand, &seen, p] {
        for (int i = 0; i < kEach; ++i) {
          strand.Post([&seen, p, i] { seen[static_cast<size_t>(p)].push_back(i); });
        }
      });
    }
  }
  pool.Shutdown();
  std::vector<int> expected(kEach);
  std::iota(expected.begin(), expected.end(), 0);
  for (const std::vector<int>& one : seen) EXPECT_EQ(one, expected);
}

TEST(IoStrandTest, TakesTurnsWithOtherStrandsOfTheSamePool) {
  IoPool pool("io-test", 1);
  IoStrand first(&pool);
  IoStrand second(&pool);
  std::promise<void> release;
  pool.Post([&release] { release.get_future().wait(); });
  std::vector<std::string> order;
  first.Post([&order] { order.push_back("a1"); });
  first.Post([&order] { order.push_back("a2"); });
  second.Post([&order] { order.push_back("b1"); });
  second.Post([&order] { order.push_back("b2"); });
  release.set_value();
  pool.Shutdown();
  EXPECT_THAT(order, ElementsAre("a1", "b1", "a2", "b2"));
}

TEST(IoStrandTest, WorkOutlivesItsStrand) {
  IoPool pool("io-test", 1);
  std::promise<void> release;
  pool.Post([&release] { release.get_future().wait(); });
  int ran = 0;
  {
    IoStrand strand(&pool);
    strand.Post([&ran] { ++ran; });
    strand.Post([&ran] { ++ran; });
  }
  release.set_value();
  pool.Shutdown();
  EXPECT_EQ(ran, 2);
}

TEST(IoStrandTest, WorkMayPostToItsOwnStrand) {
  IoPool pool("io-test", 2);
  IoStrand strand(&pool);
  std::promise<void> done;
  int depth = 0;
  std::function<void()> again = [&] {
    if (++depth == 100) {
      done.set_value();
    } else {
      strand.Post(again);
    }
  };
  strand.Post(again);
  done.get_future().wait();
  pool.Shutdown();
  EXPECT_EQ(depth, 100);
}

}  // namespace
}  // namespace weir
