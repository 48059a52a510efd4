#include "runtime/network/channel_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "tests/runtime/network/network_test_support.h"

namespace weir {
namespace {

constexpr size_t kCapacity = 100;

CheckpointBarrier Barrier(uint64_t id) {
  return {.id = CheckpointId(id), .trigger_time_ms = 0, .unaligned = true};
}
StreamElement Number(int64_t n) { return MakeBatch<int64_t>({n}); }
int64_t NumberIn(const StreamElement& element) {
  return BatchValues<int64_t>(*std::get<BatchPtr>(element))[0];
}

TEST(ChannelQueueTest, PopsInOrderWithCosts) {
  ChannelQueue queue(kCapacity, nullptr);
  queue.Push(Number(1), 10);
  queue.Push(Watermark{EventTime::FromMillis(5)});
  queue.Push(Number(2), 20);
  EXPECT_EQ(queue.queued_bytes(), 30u);
  auto first = queue.Pop();
  EXPECT_EQ(NumberIn(first->element), 1);
  EXPECT_EQ(first->cost_bytes, 10u);
  EXPECT_TRUE(std::holds_alternative<Watermark>(queue.Pop()->element));
  EXPECT_EQ(NumberIn(queue.Pop()->element), 2);
  EXPECT_FALSE(queue.Pop().has_value());
  EXPECT_TRUE(queue.Empty());
}

TEST(ChannelQueueTest, ChargesTheBudgetForWhatIsQueuedOnly) {
  MemoryBudget budget(1000);
  {
    ChannelQueue queue(kCapacity, &budget);
    queue.Push(Number(1), 10);
    queue.Push(Number(2), 20);
    EXPECT_EQ(budget.used_bytes(), 30);
    (void)queue.Pop();
    EXPECT_EQ(budget.used_bytes(), 20);
  }
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(ChannelQueueTest, TakesAnOverdraftAndStaysFullUntilHalfEmpty) {
  ChannelQueue queue(kCapacity, nullptr);
  int space_calls = 0;
  queue.SetSpaceListener([&] {
    EXPECT_FALSE(queue.Full());
    ++space_calls;
  });
  queue.Push(Number(1), 60);
  EXPECT_FALSE(queue.Full());
  queue.Push(Number(2), 40);
  queue.Push(Number(3), 30);
  EXPECT_TRUE(queue.Full());
  (void)queue.Pop();
  EXPECT_TRUE(queue.Full());
  EXPECT_EQ(space_calls, 0);
  (void)queue.Pop();
  EXPECT_FALSE(queue.Full());
  EXPECT_EQ(space_calls, 1);
  (void)queue.Pop();
  EXPECT_EQ(space_calls, 1);
}

TEST(ChannelQueueTest, TellsOfDataOnlyWhenItWasEmpty) {
  ChannelQueue queue(kCapacity, nullptr);
  queue.Push(Number(1), 1);
  int calls = 0;
  queue.SetDataListener([&] { ++calls; });
  EXPECT_EQ(calls, 1) << "there was something already";
  queue.Push(Number(2), 1);
  EXPECT_EQ(calls, 1);
  (void)queue.Pop();
  (void)queue.Pop();
  queue.Push(Number(3), 1);
  EXPECT_EQ(calls, 2);
}

TEST(ChannelQueueTest, AnEmptyListenerTakesTheListenerAway) {
  ChannelQueue queue(kCapacity, nullptr);
  int calls = 0;
  queue.SetDataListener([&] { ++calls; });
  queue.SetSpaceListener([&] { ++calls; });
  queue.SetConsumedListener(1, [&] { ++calls; });
  queue.SetDataListener(nullptr);
  queue.SetSpaceListener(nullptr);
  queue.SetConsumedListener(0, nullptr);
  queue.Push(Number(1), 200);
  queue.SetDataListener(nullptr);
  (void)queue.Pop();
  queue.Break(absl::CancelledError("x"));
  EXPECT_EQ(calls, 0);
}

TEST(ChannelQueueTest, DrainsBeforeItShowsWhyItBroke) {
  ChannelQueue queue(kCapacity, nullptr);
  int data_calls = 0;
  int space_calls = 0;
  queue.Push(Number(1), 200);
  queue.SetDataListener([&] { ++data_calls; });
  queue.SetSpaceListener([&] { ++space_calls; });
  queue.Break(absl::UnavailableError("first"));
  queue.Break(absl::InternalError("second"));
  EXPECT_EQ(data_calls, 2);
  EXPECT_EQ(space_calls, 1);
  EXPECT_FALSE(queue.Full()) << "the producer must not wait for ever";
  queue.Push(Number(2), 1);
  EXPECT_TRUE(queue.status().ok());
  EXPECT_EQ(NumberIn(queue.Pop()->element), 1);
  EXPECT_EQ(queue.status(), absl::UnavailableError("first"));
  EXPECT_FALSE(queue.Pop().has_value()) << "pushed after the break";
}

TEST(ChannelQueueTest, AnnouncesBarriersAheadOfQueuedDataAndNeverBackwards) {
  ChannelQueue queue(kCapacity, nullptr);
  int calls = 0;
  queue.Push(Number(1), 1);
  queue.SetDataListener([&] { ++calls; });
  EXPECT_EQ(queue.announced_checkpoint(), CheckpointId(0));
  queue.Push(Barrier(4), 0);
  EXPECT_EQ(queue.announced_checkpoint(), CheckpointId(4));
  EXPECT_EQ(calls, 2) << "a barrier wakes the consumer though the queue was not empty";
  queue.Announce({CheckpointId(6), 60});
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(queue.announcement().trigger_time_ms, 60);
  queue.Push(Barrier(5), 0);
  queue.Announce({CheckpointId(6), 70});
  EXPECT_EQ(queue.announced_checkpoint(), CheckpointId(6));
  EXPECT_EQ(calls, 3);
}

TEST(ChannelQueueTest, DoesNotAnnounceAlignedBarriers) {
  ChannelQueue queue(kCapacity, nullptr);
  queue.Push(CheckpointBarrier{CheckpointId(4), 0});
  EXPECT_EQ(queue.announced_checkpoint(), CheckpointId(0));
  EXPECT_EQ(queue.pushed_barrier(), CheckpointId(4));
}

// The numbers of the recorded batches.
std::vector<int64_t> Recorded(ChannelQueue& queue) {
  std::vector<int64_t> numbers;
  for (const StreamElement& element : queue.TakeRecording().elements) {
    if (IsBatch(element)) numbers.push_back(NumberIn(element));
  }
  return numbers;
}

TEST(ChannelQueueTest, RecordsWhatIsAheadOfABarrierWhileItStaysQueued) {
  MemoryBudget budget(1 << 20);
  ChannelQueue queue(kCapacity, &budget);
  queue.Push(Number(1), 10);
  queue.Push(Watermark{EventTime::FromMillis(5)});
  queue.Push(Barrier(3), 0);
  queue.Push(Number(2), 10);
  queue.Push(Barrier(4), 0);
  queue.Push(Number(3), 10);
  queue.StartRecording(CheckpointId(4));
  EXPECT_TRUE(queue.RecordingComplete());
  EXPECT_EQ(queue.awaited_barrier(), CheckpointId(0));
  EXPECT_EQ(budget.used_bytes(), 50) << "three are queued, two of them are recorded too";
  {
    const ChannelQueue::Recording recording = queue.TakeRecording();
    ASSERT_EQ(recording.elements.size(), 3U);
    EXPECT_EQ(NumberIn(recording.elements[0]), 1);
    EXPECT_TRUE(std::holds_alternative<Watermark>(recording.elements[1]));
    EXPECT_EQ(NumberIn(recording.elements[2]), 2);
    EXPECT_EQ(recording.num_bytes, 20U);
  }
  EXPECT_EQ(budget.used_bytes(), 30);
  EXPECT_EQ(NumberIn(queue.Pop()->element), 1);
}

TEST(ChannelQueueTest, RecordsWhatComesUntilTheBarrierThoughItIsPopped) {
  ChannelQueue queue(kCapacity, nullptr);
  int data = 0;
  int consumed = 0;
  queue.SetDataListener([&] { ++data; });
  queue.SetConsumedListener(kCapacity, [&] { ++consumed; });
  queue.Push(Number(1), 10);
  queue.StartRecording(CheckpointId(4));
  EXPECT_EQ(consumed, 1) << "the network is to ask for the rest";
  EXPECT_EQ(queue.awaited_barrier(), CheckpointId(4));
  (void)queue.Pop();
  queue.Push(Number(2), 10);
  EXPECT_FALSE(queue.RecordingComplete());
  const int before = data;
  queue.Push(CheckpointBarrier{CheckpointId(4), 0});
  EXPECT_EQ(data, before + 1) << "the consumer hears that all has come";
  queue.Push(Number(3), 10);
  EXPECT_TRUE(queue.RecordingComplete());
  EXPECT_EQ(Recorded(queue), (std::vector<int64_t>{1, 2}));
}

TEST(ChannelQueueTest, TheEndOfInputAndABreakCompleteARecording) {
  ChannelQueue ended(kCapacity, nullptr);
  ended.StartRecording(CheckpointId(1));
  ended.Push(Number(1), 10);
  ended.Push(EndOfInput{});
  EXPECT_TRUE(ended.RecordingComplete());
  EXPECT_EQ(Recorded(ended), (std::vector<int64_t>{1}));
  ChannelQueue broken(kCapacity, nullptr);
  broken.StartRecording(CheckpointId(1));
  broken.Break(absl::UnavailableError("gone"));
  EXPECT_TRUE(broken.RecordingComplete());
}

TEST(ChannelQueueTest, GivesARecordingUpThatMemoryHasNoRoomFor) {
  MemoryBudget budget(50);
  ChannelQueue queue(kCapacity, &budget);
  queue.Push(Number(1), 20);
  queue.StartRecording(CheckpointId(1));
  EXPECT_FALSE(queue.RecordingComplete());
  queue.Push(Number(2), 20);
  EXPECT_TRUE(queue.RecordingComplete());
  const ChannelQueue::Recording recording = queue.TakeRecording();
  EXPECT_TRUE(recording.overflowed);
  EXPECT_TRUE(recording.elements.empty());
  EXPECT_EQ(budget.used_bytes(), 40) << "what is queued stays";
}

TEST(ChannelQueueTest, PopsControlElementsAloneForAConsumerWithoutRoom) {
  ChannelQueue queue(kCapacity, nullptr);
  queue.Push(CaughtUp{});
  queue.Push(Number(1), 1);
  queue.Push(EndOfInput{});
  EXPECT_TRUE(std::holds_alternative<CaughtUp>(queue.PopControl()->element));
  EXPECT_FALSE(queue.PopControl().has_value());
  EXPECT_EQ(NumberIn(queue.Pop()->element), 1);
  EXPECT_TRUE(std::holds_alternative<EndOfInput>(queue.PopControl()->element));
}

TEST(ChannelQueueTest, ReportsConsumptionOncePerThreshold) {
  ChannelQueue queue(kCapacity, nullptr);
  int calls = 0;
  queue.SetConsumedListener(25, [&] { ++calls; });
  for (int i = 0; i < 6; ++i) queue.Push(Number(i), 10);
  for (int i = 0; i < 2; ++i) (void)queue.Pop();
  EXPECT_EQ(calls, 0);
  for (int i = 0; i < 2; ++i) (void)queue.Pop();
  EXPECT_EQ(calls, 1) << "until it is taken, the report stands";
  EXPECT_EQ(queue.TakeConsumedBytes(), 40u);
  EXPECT_EQ(queue.TakeConsumedBytes(), 0u);
  for (int i = 0; i < 2; ++i) (void)queue.Pop();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(queue.TakeConsumedBytes(), 20u);
}

// A flag that a listener sets and a thread waits for, as a scheduler would: a wake-up that comes
// while the thread runs is not lost. No time-outs: a lost wake-up hangs the test.
class Wakeup {
 public:
  void Set() {
    MutexLock lock(&mutex_);
    set_ = true;
    changed_.Signal();
  }
  void Wait() {
    MutexLock lock(&mutex_);
    while (!set_) changed_.Wait(&mutex_);
    set_ = false;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ = false;
};

void Stress(size_t capacity_bytes, int64_t num_elements) {
  MemoryBudget budget(1 << 20);
  ChannelQueue queue(capacity_bytes, &budget);
  Wakeup data;
  Wakeup space;
  std::atomic<size_t> reported{0};
  queue.SetSpaceListener([&] { space.Set(); });
  queue.SetConsumedListener(capacity_bytes / 4 + 1, [&] { reported += queue.TakeConsumedBytes(); });
  std::jthread producer([&] {
    for (int64_t i = 1; i <= num_elements; ++i) {
      while (queue.Full()) space.Wait();
      if (i % 100 == 0) queue.Push(Barrier(static_cast<uint64_t>(i)), 0);
      queue.Push(Number(i), 10);
    }
    queue.Break(absl::CancelledError("end"));
  });
  int64_t next = 1;
  uint64_t last_barrier = 0;
  queue.SetDataListener([&] { data.Set(); });
  while (true) {
    auto popped = queue.Pop();
    if (!popped.has_value()) {
      if (!queue.status().ok()) break;
      data.Wait();
      continue;
    }
    if (const auto* barrier = std::get_if<CheckpointBarrier>(&popped->element)) {
      last_barrier = barrier->id.value();
      ASSERT_GE(queue.announced_checkpoint(), barrier->id);
    } else {
      ASSERT_EQ(NumberIn(popped->element), next++);
    }
    ASSERT_LE(queue.queued_bytes(), capacity_bytes + 10);
  }
  EXPECT_EQ(next, num_elements + 1);
  EXPECT_EQ(last_barrier, static_cast<uint64_t>(num_elements / 100 * 100));
  EXPECT_EQ(reported + queue.TakeConsumedBytes(), static_cast<size_t>(num_elements) * 10);
  EXPECT_EQ(budget.used_bytes(), 0);
}

TEST(ChannelQueueTest, LosesNoWakeUpBetweenTwoThreadsWhenOneElementFits) { Stress(1, 50'000); }

TEST(ChannelQueueTest, LosesNoWakeUpBetweenTwoThreadsWhenManyElementsFit) { Stress(500, 200'000); }

TEST(ChannelQueueTest, ListenersMayBeReplacedWhileTheyAreCalled) {
  ChannelQueue queue(20, nullptr);
  Wakeup data;
  std::atomic<bool> done{false};
  std::jthread replacer([&] {
    while (!done) {
      queue.SetDataListener([&] { data.Set(); });
      queue.SetSpaceListener([] {});
      queue.SetConsumedListener(5, [] {});
    }
  });
  std::jthread producer([&] {
    for (int64_t i = 1; i <= 20'000; ++i) queue.Push(Number(i), 10);
  });
  for (int64_t next = 1; next <= 20'000;) {
    auto popped = queue.Pop();
    if (!popped.has_value()) {
      data.Wait();
      continue;
    }
    ASSERT_EQ(NumberIn(popped->element), next++);
  }
  done = true;
}

TEST(ChannelQueueTest, ALimitCountsInsteadOfTheCapacity) {
  ChannelQueue queue(kCapacity, nullptr);
  int space_calls = 0;
  queue.SetSpaceListener([&] { ++space_calls; });
  queue.SetLimit(30);
  EXPECT_EQ(queue.limit_bytes(), 30u);
  queue.Push(Number(1), 20);
  EXPECT_FALSE(queue.Full());
  queue.Push(Number(2), 10);
  EXPECT_TRUE(queue.Full());
  (void)queue.Pop();
  EXPECT_FALSE(queue.Full()) << "half-empty";
  EXPECT_EQ(space_calls, 1);
  queue.SetLimit(10);
  EXPECT_TRUE(queue.Full()) << "what is queued beyond a lower limit stays";
  queue.SetLimit(19);
  EXPECT_TRUE(queue.Full()) << "more than half";
  queue.SetLimit(20);
  EXPECT_FALSE(queue.Full());
  EXPECT_EQ(space_calls, 2);
  queue.SetLimit(0);
  EXPECT_EQ(queue.limit_bytes(), 1u);
  queue.SetLimit(1000);
  EXPECT_EQ(queue.limit_bytes(), kCapacity);
  queue.Break(absl::CancelledError("x"));
  queue.SetLimit(1);
  EXPECT_FALSE(queue.Full()) << "a broken queue holds nobody back";
}

TEST(ChannelQueueTest, WithholdsConsumedBytesBelowTheCapacity) {
  ChannelQueue queue(kCapacity, nullptr);
  int calls = 0;
  queue.SetConsumedListener(25, [&] { ++calls; });
  queue.SetLimit(40);
  EXPECT_EQ(calls, 1) << "it learns of the limit";
  for (int i = 0; i < 10; ++i) queue.Push(Number(i), 10);
  for (int i = 0; i < 6; ++i) (void)queue.Pop();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(queue.TakeConsumedBytes(), 0u) << "the sender has the limit under way: 40";
  (void)queue.Pop();
  EXPECT_EQ(calls, 2) << "a quarter of the limit";
  EXPECT_EQ(queue.TakeConsumedBytes(), 10u);
  queue.SetLimit(70);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(queue.TakeConsumedBytes(), 30u) << "what was withheld comes back";
  queue.SetLimit(kCapacity);
  EXPECT_EQ(queue.TakeConsumedBytes(), 30u);
}

// The sender of a remote channel, without a network: it spends credit, and gets back what the queue
// gives.
TEST(ChannelQueueTest, NoSequenceOfLimitsLosesCreditOrDeadlocks) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const size_t capacity = 1 + random() % 1000;
    ChannelQueue queue(capacity, nullptr);
    auto credit = static_cast<int64_t>(capacity);
    bool due = false;  // As the network does, credit is returned some time after the call.
    queue.SetConsumedListener(std::max<size_t>(capacity / 4, 1), [&] { due = true; });
    const auto return_credit = [&] {
      if (std::exchange(due, false)) credit += static_cast<int64_t>(queue.TakeConsumedBytes());
    };
    size_t limit = capacity;
    int64_t sent = 0;
    int64_t received = 0;
    for (int step = 0; step < 2000; ++step) {
      switch (random() % 8) {
        case 0:
          limit = random() % 3 == 0 ? 1 + random() % 8 : 1 + random() % (capacity + 10);
          queue.SetLimit(limit);
          break;
        case 1:
          return_credit();
          break;
        case 2:
        case 3:
        case 4:
          if (auto popped = queue.Pop()) {
            ASSERT_EQ(NumberIn(popped->element), received++);
          }
          break;
        default:
          if (credit > 0) {
            const size_t cost = 1 + random() % 64;
            credit -= static_cast<int64_t>(cost);
            queue.Push(Number(sent++), cost);
          }
      }
      ASSERT_LE(credit, static_cast<int64_t>(capacity));
    }
    while (queue.Pop().has_value()) ++received;
    EXPECT_EQ(sent, received);
    return_credit();
    limit = std::min(limit, capacity);
    EXPECT_GT(credit, 0) << "the sender would wait for ever";
    EXPECT_GE(credit, static_cast<int64_t>(limit - limit / 4));
    queue.SetLimit(capacity);
    queue.SetLimit(std::max<size_t>(capacity - 1, 1));
    queue.SetLimit(capacity);
    due = true;
    return_credit();
    EXPECT_EQ(credit, static_cast<int64_t>(capacity)) << "nothing is lost";
  }
}

}  // namespace
}  // namespace weir
