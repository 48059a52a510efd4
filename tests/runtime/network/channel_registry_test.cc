#include "runtime/network/channel_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/runtime/network/network_test_support.h"

namespace weir {
namespace {

TEST(ChannelRegistryTest, BothEndsMeetInOneQueueWhoeverComesFirst) {
  MemoryBudget budget(1000);
  ChannelRegistry registry(500, &budget);
  EXPECT_EQ(registry.Find(TestKey(0)), nullptr);
  const auto queue = registry.GetOrCreate(TestKey(0));
  EXPECT_EQ(registry.GetOrCreate(TestKey(0)), queue);
  EXPECT_EQ(registry.Find(TestKey(0)), queue);
  EXPECT_NE(registry.GetOrCreate(TestKey(1)), queue);
  EXPECT_EQ(queue->capacity_bytes(), 500u);
  queue->Push(Text(10));
  EXPECT_GT(budget.used_bytes(), 0);
}

TEST(ChannelRegistryTest, WaitersAreCalledOnceWhenTheChannelComes) {
  ChannelRegistry registry(500, nullptr);
  std::shared_ptr<ChannelQueue> got;
  int calls = 0;
  const auto id = registry.WhenPresent(TestKey(0), [&](auto queue) {
    ++calls;
    got = *queue;
  });
  EXPECT_NE(id, 0u);
  EXPECT_EQ(registry.num_channels(), 0u);
  EXPECT_NE(registry.GetOrCreate(TestKey(1)), nullptr);
  EXPECT_EQ(calls, 0);
  const auto queue = registry.GetOrCreate(TestKey(0));
  EXPECT_EQ(got, queue);
  registry.CancelWait(id);
  EXPECT_EQ(registry.WhenPresent(TestKey(0), [&](auto) { ++calls; }), 0u);
  EXPECT_EQ(calls, 2);
}

TEST(ChannelRegistryTest, ACancelledWaitIsNotCalled) {
  ChannelRegistry registry(500, nullptr);
  int calls = 0;
  const auto first = registry.WhenPresent(TestKey(0), [&](auto) { calls += 1; });
  registry.WhenPresent(TestKey(0), [&](auto) { calls += 10; });
  registry.CancelWait(first);
  registry.CancelWait(first);
  registry.CancelWait(0);
  EXPECT_NE(registry.GetOrCreate(TestKey(0)), nullptr);
  EXPECT_EQ(calls, 10);
}

TEST(ChannelRegistryTest, ReleaseBreaksAllChannelsOfTheAttemptAndNoOther) {
  ChannelRegistry registry(500, nullptr);
  const auto first = registry.GetOrCreate(TestKey(0));
  const auto second = registry.GetOrCreate(TestKey(1));
  const auto other = registry.GetOrCreate(TestKey(0, 2));
  absl::Status told;
  registry.WhenPresent(TestKey(2), [&](auto queue) { told = queue.status(); });
  registry.Release(TestKey(0).producer, absl::AbortedError("failed"));
  EXPECT_EQ(first->status(), absl::AbortedError("failed"));
  EXPECT_EQ(second->status(), absl::AbortedError("failed"));
  EXPECT_EQ(told, absl::AbortedError("failed"));
  EXPECT_TRUE(other->status().ok());
  EXPECT_EQ(registry.num_channels(), 1u);
}

TEST(ChannelRegistryTest, LateConsumersOfAReleasedAttemptAreTurnedAway) {
  ChannelRegistry registry(500, nullptr);
  registry.Release(TestKey(0).producer, absl::AbortedError("failed"));
  EXPECT_EQ(registry.GetOrCreate(TestKey(0))->status(), absl::AbortedError("failed"));
  absl::Status told;
  EXPECT_EQ(registry.WhenPresent(TestKey(0), [&](auto queue) { told = queue.status(); }), 0u);
  EXPECT_EQ(told, absl::AbortedError("failed"));
  EXPECT_EQ(registry.num_channels(), 0u);
}

TEST(ChannelRegistryTest, ReleaseWithoutAReasonLetsConsumersDrain) {
  ChannelRegistry registry(500, nullptr);
  const auto queue = registry.GetOrCreate(TestKey(0));
  queue->Push(EndOfInput{});
  registry.Release(TestKey(0).producer, absl::OkStatus());
  EXPECT_TRUE(queue->Pop().has_value());
  EXPECT_TRUE(queue->status().ok());
  EXPECT_EQ(registry.GetOrCreate(TestKey(0))->status().code(), absl::StatusCode::kUnavailable);
}

TEST(ChannelRegistryTest, RemembersABoundedNumberOfReleasedAttempts) {
  ChannelRegistry registry(500, nullptr);
  for (uint64_t i = 0; i <= ChannelRegistry::kMaxReleasedAttempts; ++i) {
    registry.Release(TestKey(0, i).producer, absl::AbortedError("failed"));
  }
  EXPECT_TRUE(registry.GetOrCreate(TestKey(0, 0))->status().ok());
  EXPECT_FALSE(registry.GetOrCreate(TestKey(0, 1))->status().ok());
}

TEST(ChannelRegistryTest, AChannelHasOneRemoteConsumer) {
  ChannelRegistry registry(500, nullptr);
  EXPECT_EQ(registry.ClaimConsumer(TestKey(0)).code(), absl::StatusCode::kNotFound);
  EXPECT_NE(registry.GetOrCreate(TestKey(0)), nullptr);
  EXPECT_TRUE(registry.ClaimConsumer(TestKey(0)).ok());
  EXPECT_EQ(registry.ClaimConsumer(TestKey(0)).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ChannelRegistryTest, EveryWaitIsAnsweredOrCancelledUnderConcurrency) {
  ChannelRegistry registry(500, nullptr);
  constexpr uint32_t kChannels = 2000;
  std::atomic<uint32_t> answered{0};
  {
    std::jthread waiter([&] {
      for (uint32_t i = 0; i < kChannels; ++i) {
        registry.WhenPresent(TestKey(i), [&](auto) { ++answered; });
        registry.CancelWait(registry.WhenPresent(TestKey(i), [](auto) {}));
      }
    });
    std::jthread producer([&] {
      for (uint32_t i = 0; i < kChannels; ++i) (void)registry.GetOrCreate(TestKey(i));
    });
  }
  EXPECT_EQ(answered, kChannels);
}

}  // namespace
}  // namespace weir
