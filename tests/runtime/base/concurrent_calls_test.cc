#include "runtime/base/concurrent_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/mutex.h"

namespace weir {
namespace {

using ::testing::Each;
using ::testing::Le;
using ::testing::SizeIs;

TEST(ConcurrentCallsTest, CallsEachIndexOnce) {
  for (const size_t num_calls : {size_t{0}, size_t{1}, size_t{3}, size_t{100}}) {
    std::vector<std::atomic<int>> calls(num_calls);
    EXPECT_TRUE(CallConcurrently(num_calls, 4, [&](size_t index) {
                  ++calls[index];
                  return absl::OkStatus();
                }).ok());
    for (const auto& count : calls) EXPECT_EQ(count, 1);
  }
}

// Each call waits until so many are under way, so it ends only if they are at one time.
TEST(ConcurrentCallsTest, CallsSoManyAtOnceAndNoMore) {
  constexpr int kThreads = 3;
  Mutex mutex;
  CondVar changed;
  int running = 0;
  int most = 0;
  int arrived = 0;
  const absl::Status status = CallConcurrently(9, kThreads, [&](size_t) {
    const MutexLock lock(&mutex);
    most = std::max(most, ++running);
    ++arrived;
    changed.SignalAll();
    while (arrived < kThreads) changed.Wait(&mutex);
    --running;
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(most, kThreads);
}

TEST(ConcurrentCallsTest, WorksOnTheCallersThreadAloneIfThereIsToBeOneOnly) {
  std::set<std::thread::id> threads;
  for (const int num_threads : {1, 0, -1}) {
    EXPECT_TRUE(CallConcurrently(5, num_threads, [&](size_t) {
                  threads.insert(std::this_thread::get_id());
                  return absl::OkStatus();
                }).ok());
  }
  EXPECT_THAT(threads, testing::ElementsAre(std::this_thread::get_id()));
}

TEST(ConcurrentCallsTest, BeginsNothingAfterAnError) {
  std::vector<size_t> called;
  const absl::Status status = CallConcurrently(10, 1, [&](size_t index) {
    called.push_back(index);
    return index == 3 ? absl::UnavailableError("three") : absl::OkStatus();
  });
  EXPECT_EQ(status.message(), "three");
  EXPECT_THAT(called, SizeIs(4));
  EXPECT_THAT(called, Each(Le(size_t{3})));
}

TEST(ConcurrentCallsTest, ReturnsTheErrorOfTheSmallestIndexOnceNoneRuns) {
  Mutex mutex;
  CondVar changed;
  int arrived = 0;
  std::atomic<int> running{0};
  const absl::Status status = CallConcurrently(4, 4, [&](size_t index) {
    ++running;
    {
      const MutexLock lock(&mutex);
      ++arrived;
      changed.SignalAll();
      while (arrived < 4) changed.Wait(&mutex);
    }
    --running;
    return absl::UnavailableError(std::to_string(index));
  });
  EXPECT_EQ(status.message(), "0");
  EXPECT_EQ(running, 0);
}

}  // namespace
}  // namespace weir
