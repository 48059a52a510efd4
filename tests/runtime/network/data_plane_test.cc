#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/base/memory_budget.h"
#include "runtime/network/channel_registry.h"
#include "runtime/network/data_client.h"
#include "runtime/network/data_server.h"
#include "runtime/network/network_threads.h"
#include "tests/runtime/network/network_test_support.h"

namespace weir {

/// A record whose Serde throws when told to.
struct Bomb {
  Bomb() = default;
  explicit Bomb(int64_t value) : fuse(value) {}
  int64_t fuse = 0;
};

template <>
struct Serde<Bomb> {
  static void Write(ByteWriter& writer, const Bomb& bomb) {
    if (bomb.fuse == 1) throw std::runtime_error("boom while writing");
    writer.WriteFixed(bomb.fuse);
  }
  static bool Read(ByteReader& reader, Bomb& bomb) {
    if (!reader.ReadFixed(&bomb.fuse)) return false;
    if (bomb.fuse == 2) throw 42;
    if (bomb.fuse == 3) throw std::runtime_error("boom while reading");
    return true;
  }
  static Schema GetSchema() { return Serde<int64_t>::GetSchema(); }
};

namespace {

using ::testing::HasSubstr;

constexpr size_t kCapacity = size_t{64} << 10;

const TypedBatchType<std::string>& TextType() {
  static const TypedBatchType<std::string> type;
  return type;
}

const std::string& TextIn(const StreamElement& element) {
  return BatchValues<std::string>(*std::get<BatchPtr>(element))[0];
}

std::string Bytes(const StreamElement& element) {
  std::string bytes;
  SerializeElement(element, &bytes);
  return bytes;
}

// Two TaskManagers of one cluster: the first produces, the second consumes.
class DataPlaneTest : public ::testing::Test {
 protected:
  DataPlaneTest() { EXPECT_TRUE(server_.Start().ok()); }

  std::shared_ptr<ChannelQueue> NewTarget(size_t capacity_bytes = kCapacity) {
    auto target = std::make_shared<ChannelQueue>(capacity_bytes, &consumer_budget_);
    target->SetDataListener([this] { waiter_.Notify(); });
    return target;
  }
  ChannelHandle Connect(const ChannelKey& key, const std::shared_ptr<ChannelQueue>& target) {
    return client_.Connect("127.0.0.1", server_.port(), key, target, &TextType());
  }
  // Waits for the next element; null if the channel broke.
  std::optional<StreamElement> Next(ChannelQueue& target) {
    std::optional<ChannelQueue::Popped> popped;
    EXPECT_TRUE(waiter_.Until(
        [&] { return (popped = target.Pop()).has_value() || !target.status().ok(); }));
    if (!popped.has_value()) return std::nullopt;
    return std::move(popped->element);
  }
  absl::Status WaitForBreak(ChannelQueue& queue) {
    EXPECT_TRUE(waiter_.Until([&] { return !queue.status().ok(); }));
    return queue.status();
  }

  Waiter waiter_;
  MemoryBudget producer_budget_{int64_t{1} << 30};
  MemoryBudget consumer_budget_{int64_t{1} << 30};
  ChannelRegistry registry_{kCapacity, &producer_budget_};
  NetworkThreads producer_threads_{1};
  NetworkThreads consumer_threads_{2};
  DataServer server_{{.cluster_id = "test"}, &producer_threads_, &registry_};
  DataClient client_{{.cluster_id = "test"}, &consumer_threads_};
};

CheckpointBarrier Unaligned(uint64_t id) {
  return {.id = CheckpointId(id), .trigger_time_ms = 99, .unaligned = true};
}

TEST_F(DataPlaneTest, CarriesEveryKindOfElementInOrder) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const std::vector<StreamElement> elements = {Text(5),
                                               Watermark{EventTime::FromMillis(7)},
                                               WatermarkStatus{true},
                                               CaughtUp{},
                                               Text(6),
                                               Unaligned(3),
                                               LatencyMarker{8},
                                               EndOfInput{}};
  for (const StreamElement& element : elements) queue->Push(element);
  const auto target = NewTarget();
  const ChannelHandle handle = Connect(TestKey(0), target);
  for (const StreamElement& element : elements) {
    const auto got = Next(*target);
    ASSERT_TRUE(got.has_value());
    EXPECT_EQ(Bytes(*got), Bytes(element));
  }
  EXPECT_EQ(target->announced_checkpoint(), CheckpointId(3));
}

std::string Payload(std::mt19937& random) {
  std::string text(random() % 3000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  return text;
}

TEST_F(DataPlaneTest, ManyChannelsShareAConnectionAndKeepTheirOrder) {
  constexpr uint32_t kChannels = 48;
  constexpr int kElements = 400;
  std::vector<std::shared_ptr<ChannelQueue>> targets;
  std::vector<ChannelHandle> handles;
  for (uint32_t i = 0; i < kChannels; ++i) {
    targets.push_back(NewTarget(4096));
    handles.push_back(Connect(TestKey(i), targets.back()));
  }
  std::jthread producer([&] {
    std::mt19937 random(1);
    std::vector<std::shared_ptr<ChannelQueue>> queues;
    std::vector<std::mt19937> payloads;
    std::vector<int> left(kChannels, kElements);
    for (uint32_t i = 0; i < kChannels; ++i) {
      queues.push_back(registry_.GetOrCreate(TestKey(i)));
      payloads.emplace_back(i);
    }
    for (uint32_t done = 0; done < kChannels;) {
      const auto i = static_cast<uint32_t>(random() % kChannels);
      if (left[i] == 0 || queues[i]->Full()) continue;
      queues[i]->Push(MakeBatch<std::string>({Payload(payloads[i])}));
      if (--left[i] == 0) ++done;
    }
  });
  std::vector<std::mt19937> expected;
  std::vector<int> received(kChannels, 0);
  for (uint32_t i = 0; i < kChannels; ++i) expected.emplace_back(i);
  std::mt19937 random(2);
  for (uint32_t done = 0; done < kChannels;) {
    const auto i = static_cast<uint32_t>(random() % kChannels);
    if (received[i] == kElements) continue;
    // A slow consumer now and then, a fast one mostly.
    const auto element = Next(*targets[i]);
    ASSERT_TRUE(element.has_value()) << targets[i]->status();
    ASSERT_EQ(TextIn(*element), Payload(expected[i])) << "channel " << i;
    if (++received[i] == kElements) ++done;
  }
  EXPECT_EQ(client_.counters().num_connections, 1);
  EXPECT_EQ(server_.counters().num_connections, 1);
  EXPECT_EQ(consumer_budget_.used_bytes(), 0);
}

// Compressed batches cost their full size of the credit, so that the consumer's memory stays
// bounded.
TEST_F(DataPlaneTest, CompressedBatchesTakeLessOfTheWireAndAsMuchOfTheCredit) {
  DataServer compressing({.cluster_id = "test", .compress = true}, &producer_threads_, &registry_);
  ASSERT_TRUE(compressing.Start().ok());
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget();
  const ChannelHandle handle =
      client_.Connect("127.0.0.1", compressing.port(), TestKey(0), target, &TextType());
  constexpr size_t kElement = 10'000;
  constexpr int kElements = 200;
  int pushed = 0;
  size_t most_queued = 0;
  for (int received = 0; received < kElements; ++received) {
    while (pushed < kElements && !queue->Full()) {
      queue->Push(Text(kElement, static_cast<char>('a' + pushed++ % 26)));
    }
    most_queued = std::max(most_queued, target->queued_bytes());
    const auto element = Next(*target);
    ASSERT_TRUE(element.has_value()) << target->status();
    EXPECT_EQ(TextIn(*element), std::string(kElement, static_cast<char>('a' + received % 26)));
  }
  EXPECT_LE(most_queued, kCapacity + kElement + 64);
  EXPECT_LT(compressing.counters().bytes_sent, kElement * kElements / 2);
  compressing.Stop();
}

TEST_F(DataPlaneTest, AStalledConsumerFillsItsProducerAndBlocksNoOtherChannel) {
  constexpr size_t kElement = 10'000;
  const auto stalled_queue = registry_.GetOrCreate(TestKey(0));
  const auto flowing_queue = registry_.GetOrCreate(TestKey(1));
  const auto stalled = NewTarget();
  const auto flowing = NewTarget();
  const ChannelHandle stalled_handle = Connect(TestKey(0), stalled);
  const ChannelHandle flowing_handle = Connect(TestKey(1), flowing);
  // Until the credit is used up and the producer's own queue is full, too.
  size_t stalled_sent = 0;
  const auto stalled_completely = [&] {
    while (!stalled_queue->Full()) {
      stalled_queue->Push(Text(kElement));
      ++stalled_sent;
    }
    return stalled->queued_bytes() >= kCapacity;
  };
  ASSERT_TRUE(waiter_.Until([&] { return stalled_completely() && stalled_queue->Full(); }));
  for (int i = 0; i < 1000; ++i) {
    flowing_queue->Push(Text(kElement, 'y'));
    ASSERT_TRUE(Next(*flowing).has_value());
  }
  EXPECT_TRUE(stalled_queue->Full());
  EXPECT_LE(stalled->queued_bytes(), kCapacity + kElement + 64);
  EXPECT_LE(stalled_sent * kElement, 2 * (kCapacity + kElement));
  EXPECT_LE(consumer_budget_.peak_bytes() + producer_budget_.peak_bytes(),
            static_cast<int64_t>(2 * kCapacity + 6 * (kElement + 200)));
  // It is held back, not lost.
  for (size_t i = 0; i < stalled_sent; ++i) {
    const auto element = Next(*stalled);
    ASSERT_TRUE(element.has_value());
    ASSERT_EQ(TextIn(*element).size(), kElement);
  }
  EXPECT_FALSE(stalled_queue->Full());
}

TEST_F(DataPlaneTest, ALimitHoldsAtBothEndsAndIsTakenBack) {
  constexpr size_t kElement = 100;
  constexpr size_t kLimit = 2000;
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget();
  target->SetLimit(kLimit);
  const ChannelHandle handle = Connect(TestKey(0), target);
  ASSERT_TRUE(waiter_.Until([&] { return queue->limit_bytes() == kLimit; }));
  // Credit was the capacity: it shrinks as it is consumed.
  size_t sent = 0;
  size_t received = 0;
  const auto send = [&] {
    for (; !queue->Full(); ++sent) queue->Push(Text(kElement));
  };
  for (; received * kElement < 2 * kCapacity; ++received) {
    send();
    ASSERT_TRUE(Next(*target).has_value());
  }
  // At rest.
  ASSERT_TRUE(waiter_.Until([&] {
    send();
    return target->queued_bytes() >= kLimit * 3 / 4;
  }));
  send();
  EXPECT_LE(target->queued_bytes(), kLimit + 2 * kElement);
  EXPECT_LE((sent - received) * kElement, 2 * (kLimit + 2 * kElement));
  target->SetLimit(kCapacity);
  ASSERT_TRUE(waiter_.Until([&] { return queue->limit_bytes() == kCapacity; }));
  EXPECT_TRUE(waiter_.Until([&] {
    send();
    return target->queued_bytes() >= kCapacity * 3 / 4;
  })) << "withheld credit is given back without a pop";
}

TEST_F(DataPlaneTest, ARaisedLimitWakesTheProducer) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  // The registry's queue outlives the test.
  const auto space_calls = std::make_shared<std::atomic<int>>(0);
  queue->SetSpaceListener([space_calls] { ++*space_calls; });
  const auto target = NewTarget();
  target->SetLimit(10);
  const ChannelHandle handle = Connect(TestKey(0), target);
  ASSERT_TRUE(waiter_.Until([&] { return queue->limit_bytes() == 10; }));
  // All of the first credit, and some more that stays at the producer.
  for (size_t i = 0; i < 20; ++i) queue->Push(Text(kCapacity / 10));
  ASSERT_TRUE(waiter_.Until([&] { return target->queued_bytes() >= kCapacity; }));
  ASSERT_TRUE(queue->Full());
  const int before = *space_calls;
  target->SetLimit(kCapacity * 10);
  EXPECT_TRUE(waiter_.Until([&] { return queue->limit_bytes() == kCapacity; }));
  for (size_t i = 0; i < 20; ++i) ASSERT_TRUE(Next(*target).has_value());
  EXPECT_TRUE(waiter_.Until([&] { return !queue->Full() && *space_calls > before; }));
}

// Limits change at random while a fast producer and a consumer work: nothing is lost, and nobody
// waits for ever.
TEST_F(DataPlaneTest, RandomLimitsNeverStopTheFlow) {
  constexpr uint32_t kChannels = 8;
  constexpr int kElements = 1500;
  std::vector<std::shared_ptr<ChannelQueue>> targets;
  std::vector<ChannelHandle> handles;
  for (uint32_t i = 0; i < kChannels; ++i) {
    targets.push_back(NewTarget(8192));
    handles.push_back(Connect(TestKey(i), targets.back()));
  }
  std::jthread producer([&] {
    std::vector<std::shared_ptr<ChannelQueue>> queues;
    std::vector<int> sent(kChannels, 0);
    Waiter space;
    for (uint32_t i = 0; i < kChannels; ++i) {
      queues.push_back(registry_.GetOrCreate(TestKey(i)));
      queues.back()->SetSpaceListener([&] { space.Notify(); });
    }
    // Waits for each channel in turn, as a task with several outputs does.
    for (int n = 0; n < kElements; ++n) {
      for (uint32_t i = 0; i < kChannels; ++i) {
        ASSERT_TRUE(space.Until([&] { return !queues[i]->Full(); }));
        queues[i]->Push(Text(static_cast<size_t>(n) % 300, static_cast<char>('a' + n % 26)));
      }
    }
    for (const auto& queue : queues) queue->SetSpaceListener(nullptr);
  });
  std::mt19937 random(5);
  for (int n = 0; n < kElements; ++n) {
    for (uint32_t i = 0; i < kChannels; ++i) {
      if (random() % 20 == 0) targets[i]->SetLimit(1 + random() % (random() % 2 == 0 ? 9000 : 100));
      const auto element = Next(*targets[i]);
      ASSERT_TRUE(element.has_value()) << targets[i]->status();
      ASSERT_EQ(TextIn(*element),
                std::string(static_cast<size_t>(n) % 300, static_cast<char>('a' + n % 26)));
    }
  }
}

TEST_F(DataPlaneTest, ControlElementsNeedNoCredit) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget(100);
  const ChannelHandle handle = Connect(TestKey(0), target);
  queue->Push(Text(200));
  ASSERT_TRUE(waiter_.Until([&] { return target->queued_bytes() > 100; }));
  const uint64_t frames = client_.counters().frames_received;
  for (int i = 0; i < 10; ++i) queue->Push(Watermark{EventTime::FromMillis(i)});
  EXPECT_TRUE(waiter_.Until([&] { return client_.counters().frames_received >= frames + 10; }));
}

TEST_F(DataPlaneTest, ABarrierIsAnnouncedAheadOfQueuedData) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget(1000);
  const ChannelHandle handle = Connect(TestKey(0), target);
  for (int i = 0; i < 20; ++i) queue->Push(Text(900));
  ASSERT_TRUE(waiter_.Until([&] { return target->queued_bytes() > 1000; }));
  queue->Push(Unaligned(5));
  ASSERT_TRUE(waiter_.Until([&] { return target->announced_checkpoint() == CheckpointId(5); }));
  EXPECT_EQ(target->announcement().trigger_time_ms, 99);
  EXPECT_GT(queue->queued_bytes(), 10'000u) << "the data is still at the producer";
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(IsBatch(*Next(*target)));
  EXPECT_EQ(Bytes(*Next(*target)), Bytes(Unaligned(5)));
}

TEST_F(DataPlaneTest, WhatIsAheadOfARecordedBarrierComesWithoutCreditAndCostsItLater) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget(1000);
  const ChannelHandle handle = Connect(TestKey(0), target);
  for (int i = 0; i < 20; ++i) queue->Push(Text(900));
  ASSERT_TRUE(waiter_.Until([&] { return target->queued_bytes() > 1000; }));
  // As long as the barrier is not there, credit counts: nobody knows how much there will be.
  target->StartRecording(CheckpointId(5));
  EXPECT_GT(queue->queued_bytes(), 10'000u);
  queue->Push(Unaligned(5));
  for (int i = 0; i < 5; ++i) queue->Push(Text(900));
  ASSERT_TRUE(waiter_.Until([&] { return target->RecordingComplete(); }));
  EXPECT_EQ(target->load().num_elements, 21u) << "nothing behind the barrier";
  EXPECT_EQ(target->TakeRecording().elements.size(), 20u);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(IsBatch(*Next(*target)));
  EXPECT_EQ(Bytes(*Next(*target)), Bytes(Unaligned(5)));
  // Credit has come back for all of it: as much may be under way as ever, and no more.
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(IsBatch(*Next(*target)));
  for (int i = 0; i < 20; ++i) queue->Push(Text(900));
  ASSERT_TRUE(waiter_.Until([&] { return target->queued_bytes() > 1000; }));
  EXPECT_LT(target->queued_bytes(), 3000u);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(IsBatch(*Next(*target)));
  EXPECT_TRUE(target->status().ok());
}

TEST_F(DataPlaneTest, ARecordingThatBeginsBehindItsBarrierAsksForNothing) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget(1000);
  const ChannelHandle handle = Connect(TestKey(0), target);
  queue->Push(Unaligned(5));
  ASSERT_TRUE(waiter_.Until([&] { return !target->Empty(); }));
  target->StartRecording(CheckpointId(5));
  EXPECT_TRUE(target->RecordingComplete());
  for (int i = 0; i < 20; ++i) queue->Push(Text(900));
  ASSERT_TRUE(waiter_.Until([&] { return target->queued_bytes() > 1000; }));
  EXPECT_GT(queue->queued_bytes(), 10'000u);
}

TEST_F(DataPlaneTest, AnElementLargerThanTheCreditPasses) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget(10);
  const ChannelHandle handle = Connect(TestKey(0), target);
  for (int i = 0; i < 3; ++i) queue->Push(Text(5'000'000, static_cast<char>('a' + i)));
  for (int i = 0; i < 3; ++i) {
    const auto element = Next(*target);
    ASSERT_TRUE(element.has_value());
    EXPECT_EQ(TextIn(*element), std::string(5'000'000, static_cast<char>('a' + i)));
  }
}

TEST_F(DataPlaneTest, ARequestBeforeTheProducerIsServedOnceItAppears) {
  const auto target = NewTarget();
  const ChannelHandle handle = Connect(TestKey(0), target);
  // The request has arrived when one behind it has been answered.
  registry_.GetOrCreate(TestKey(1))->Push(Text(1));
  const auto other = NewTarget();
  const ChannelHandle other_handle = Connect(TestKey(1), other);
  ASSERT_TRUE(Next(*other).has_value());
  EXPECT_EQ(registry_.Find(TestKey(0)), nullptr) << "a request makes no queue";
  registry_.GetOrCreate(TestKey(0))->Push(Text(3));
  EXPECT_EQ(TextIn(*Next(*target)), "xxx");
}

TEST_F(DataPlaneTest, TheProducersStatusArrivesBehindItsData) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  queue->Push(Text(1));
  queue->Push(Text(2));
  registry_.Release(TestKey(0).producer, absl::AbortedError("the producer failed"));
  const auto target = NewTarget();
  const ChannelHandle late = Connect(TestKey(0), target);
  EXPECT_EQ(WaitForBreak(*target), absl::AbortedError("the producer failed"))
      << "released before it was asked for";

  const auto second_queue = registry_.GetOrCreate(TestKey(0, 2));
  const auto second = NewTarget();
  const ChannelHandle handle = Connect(TestKey(0, 2), second);
  second_queue->Push(Text(1));
  EXPECT_TRUE(Next(*second).has_value());
  second_queue->Push(Text(2));
  second_queue->Break(absl::AbortedError("failed again"));
  EXPECT_TRUE(Next(*second).has_value());
  EXPECT_FALSE(Next(*second).has_value());
  EXPECT_EQ(second->status(), absl::AbortedError("failed again"));
}

TEST_F(DataPlaneTest, ClosingTheHandleReleasesTheProducerAndTheConnection) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  queue->SetSpaceListener([this] { waiter_.Notify(); });
  const auto target = NewTarget();
  ChannelHandle handle = Connect(TestKey(0), target);
  queue->Push(Text(1));
  ASSERT_TRUE(Next(*target).has_value());
  handle.Close();
  handle.Close();
  EXPECT_EQ(WaitForBreak(*queue).code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(waiter_.Until([&] {
    return client_.counters().num_connections == 0 && server_.counters().num_connections == 0;
  }));
  EXPECT_TRUE(target->status().ok());
  // And the next channel gets a new connection.
  registry_.GetOrCreate(TestKey(1))->Push(Text(1));
  const ChannelHandle again = Connect(TestKey(1), target);
  EXPECT_TRUE(Next(*target).has_value());
}

TEST_F(DataPlaneTest, AChannelIsServedToOneConsumerOnly) {
  registry_.GetOrCreate(TestKey(0))->Push(Text(1));
  const auto first = NewTarget();
  const auto second = NewTarget();
  const ChannelHandle first_handle = Connect(TestKey(0), first);
  ASSERT_TRUE(Next(*first).has_value());
  const ChannelHandle second_handle = Connect(TestKey(0), second);
  EXPECT_EQ(WaitForBreak(*second).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(first->status().ok());
}

TEST_F(DataPlaneTest, AStoppedServerBreaksBothEndsNamingPeerAndChannel) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget();
  const ChannelHandle handle = Connect(TestKey(0), target);
  for (int i = 0; i < 100; ++i) queue->Push(Text(10'000));
  ASSERT_TRUE(Next(*target).has_value());
  server_.Stop();
  server_.Stop();
  EXPECT_EQ(queue->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(producer_budget_.used_bytes(), 0) << "what will never be sent is let go";
  while (Next(*target).has_value()) {
  }
  EXPECT_EQ(target->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(target->status().ToString(), HasSubstr(" peer=127.0.0.1:"));
  EXPECT_THAT(target->status().ToString(), HasSubstr("channel=" + ToString(TestKey(0))));
}

TEST_F(DataPlaneTest, AStoppedClientBreaksBothEnds) {
  const auto queue = registry_.GetOrCreate(TestKey(0));
  const auto target = NewTarget();
  const ChannelHandle handle = Connect(TestKey(0), target);
  queue->Push(Text(1));
  ASSERT_TRUE(Next(*target).has_value());
  client_.Stop();
  client_.Stop();
  EXPECT_EQ(target->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(WaitForBreak(*queue).code(), absl::StatusCode::kUnavailable);
  const auto late = NewTarget();
  const ChannelHandle late_handle = Connect(TestKey(1), late);
  EXPECT_EQ(late->status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(DataPlaneTest, ARefusedConnectionIsRetriedUntilTheServerIsThere) {
  const uint16_t port = server_.port();
  server_.Stop();
  const auto target = NewTarget();
  const ChannelHandle handle = client_.Connect("127.0.0.1", port, TestKey(0), target, &TextType());
  registry_.GetOrCreate(TestKey(0))->Push(Text(1));
  DataServer second({.port = port, .cluster_id = "test"}, &producer_threads_, &registry_);
  ASSERT_TRUE(second.Start().ok());
  EXPECT_TRUE(Next(*target).has_value()) << target->status();
}

TEST_F(DataPlaneTest, APeerThatCannotBeReachedBreaksTheChannel) {
  const uint16_t port = server_.port();
  server_.Stop();
  DataClient client({.cluster_id = "test", .connect_timeout = absl::Milliseconds(100)},
                    &consumer_threads_);
  const auto target = NewTarget();
  const ChannelHandle handle = client.Connect("127.0.0.1", port, TestKey(0), target, &TextType());
  EXPECT_EQ(WaitForBreak(*target).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(target->status().ToString(), HasSubstr("cannot be reached"));
  EXPECT_THAT(target->status().ToString(), HasSubstr(std::to_string(port)));
}

TEST_F(DataPlaneTest, AnUnknownHostBreaksTheChannel) {
  DataClient client({.cluster_id = "test", .connect_timeout = absl::Milliseconds(50)},
                    &consumer_threads_);
  const auto target = NewTarget();
  const ChannelHandle handle = client.Connect("no such host", 1, TestKey(0), target, &TextType());
  EXPECT_EQ(WaitForBreak(*target).code(), absl::StatusCode::kUnavailable);
}

TEST_F(DataPlaneTest, AnotherClusterIsRefused) {
  DataClient client({.cluster_id = "other"}, &consumer_threads_);
  const auto target = NewTarget();
  const ChannelHandle handle =
      client.Connect("127.0.0.1", server_.port(), TestKey(0), target, &TextType());
  EXPECT_EQ(WaitForBreak(*target).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(target->status().ToString(), HasSubstr("another cluster"));
}

TEST_F(DataPlaneTest, ATakenPortAndABadAddressAreReported) {
  DataServer taken({.port = server_.port(), .cluster_id = "test"}, &producer_threads_, &registry_);
  EXPECT_EQ(taken.Start().code(), absl::StatusCode::kUnavailable);
  DataServer bad({.bind_address = "nowhere", .cluster_id = "test"}, &producer_threads_, &registry_);
  EXPECT_EQ(bad.Start().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(DataPlaneTest, ABatchThatCannotBeReadBreaksItsChannelOnly) {
  const auto good_queue = registry_.GetOrCreate(TestKey(1));
  const auto good = NewTarget();
  const ChannelHandle good_handle = Connect(TestKey(1), good);
  const auto queue = registry_.GetOrCreate(TestKey(0));
  queue->Push(MakeBatch<int64_t>({-1}));
  const auto target = NewTarget();
  const ChannelHandle handle = Connect(TestKey(0), target);
  EXPECT_EQ(WaitForBreak(*target).code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(target->status().ToString(), HasSubstr("channel=" + ToString(TestKey(0))));
  EXPECT_EQ(WaitForBreak(*queue).code(), absl::StatusCode::kCancelled);
  good_queue->Push(Text(1));
  EXPECT_TRUE(Next(*good).has_value());
}

TEST_F(DataPlaneTest, WhatUserCodeThrowsBreaksItsChannelOnly) {
  const TypedBatchType<Bomb> type;
  std::vector<std::shared_ptr<ChannelQueue>> targets;
  std::vector<ChannelHandle> handles;
  for (uint32_t fuse = 0; fuse < 4; ++fuse) {
    registry_.GetOrCreate(TestKey(fuse))->Push(MakeBatch<Bomb>({Bomb(fuse)}));
    targets.push_back(NewTarget());
    handles.push_back(
        client_.Connect("127.0.0.1", server_.port(), TestKey(fuse), targets.back(), &type));
  }
  EXPECT_EQ(WaitForBreak(*targets[1]).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(targets[1]->status().ToString(), HasSubstr("boom while writing"));
  EXPECT_EQ(WaitForBreak(*targets[2]).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(WaitForBreak(*targets[3]).code(), absl::StatusCode::kInternal);
  EXPECT_THAT(targets[3]->status().ToString(), HasSubstr("boom while reading"));
  EXPECT_TRUE(Next(*targets[0]).has_value());
  EXPECT_TRUE(targets[0]->status().ok());
}

// Channels come and go from several threads, some closed half-way, and the server is stopped at the
// end: nothing hangs, nothing comes out of order, and no memory stays behind.
TEST_F(DataPlaneTest, ChannelsComeAndGoFromManyThreads) {
  constexpr uint32_t kThreads = 4;
  constexpr uint32_t kRounds = 60;
  std::vector<std::jthread> threads;
  for (uint32_t thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      std::mt19937 random(thread);
      for (uint32_t round = 0; round < kRounds; ++round) {
        const ChannelKey key = TestKey(thread, 100 + round);
        const auto target = NewTarget(2000);
        ChannelHandle handle = Connect(key, target);
        const auto queue = registry_.GetOrCreate(key);
        const int total = static_cast<int>(random() % 40);
        for (int i = 0; i < total; ++i) queue->Push(Text(random() % 500, static_cast<char>(i)));
        if (random() % 2 == 0) queue->Break(absl::AbortedError("end"));
        const int wanted = total == 0 ? 0 : static_cast<int>(random() % 40) % total;
        for (int i = 0; i < wanted; ++i) ASSERT_TRUE(Next(*target).has_value());
      }
    });
  }
  threads.clear();
  for (uint32_t round = 0; round < kRounds; ++round) {
    registry_.Release(TestKey(0, 100 + round).producer, absl::AbortedError("end"));
  }
  server_.Stop();
  client_.Stop();
  EXPECT_EQ(registry_.num_channels(), 0u);
  EXPECT_EQ(producer_budget_.used_bytes(), 0);
}

}  // namespace
}  // namespace weir
