// The gate in unaligned checkpoints: what it gave out before a barrier and what it recorded are
// together what was sent ahead of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/record/typed_batch.h"
#include "runtime/task/input_gate.h"
#include "tests/support/seeds.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FixedClock final : public Clock {
 public:
  [[nodiscard]] absl::Time Now() const override { return now; }
  [[nodiscard]] int64_t MonotonicNanos() const override { return 0; }
  absl::Time now = absl::UnixEpoch();
};

StreamElement Record(int64_t value) {
  TypedBatchBuilder<int64_t> builder;
  builder.Add(value, EventTime::Min());
  return builder.Finish();
}

CheckpointBarrier Unaligned(uint64_t id, int64_t trigger_time_ms = 0) {
  return {.id = CheckpointId(id), .trigger_time_ms = trigger_time_ms, .unaligned = true};
}

Watermark At(int64_t millis) { return {EventTime::FromMillis(millis)}; }

std::string Text(const StreamElement& element) {
  if (const auto* batch = std::get_if<BatchPtr>(&element)) {
    return StrCat(BatchValues<int64_t>(**batch)[0]);
  }
  if (const auto* watermark = std::get_if<Watermark>(&element)) {
    return StrCat("watermark ", watermark->time.millis());
  }
  if (const auto* status = std::get_if<WatermarkStatus>(&element)) {
    return status->idle ? "idle" : "active";
  }
  if (const auto* barrier = std::get_if<CheckpointBarrier>(&element)) {
    return StrCat("barrier ", barrier->id.value());
  }
  return std::holds_alternative<EndOfInput>(element) ? "end" : "other";
}

std::vector<std::string> Texts(const std::vector<StreamElement>& elements) {
  std::vector<std::string> texts;
  for (const StreamElement& element : elements) texts.push_back(Text(element));
  return texts;
}

class UnalignedGateTest : public ::testing::Test {
 protected:
  void MakeGate(size_t num_channels, absl::Duration timeout = absl::ZeroDuration(),
                std::vector<bool> may_overtake = {}) {
    gate_.reset();
    queues_.clear();
    std::vector<InputGate::Channel> channels;
    for (size_t i = 0; i < num_channels; ++i) {
      queues_.push_back(std::make_shared<ChannelQueue>(1 << 20, nullptr));
      InputGate::Channel& channel = channels.emplace_back();
      channel.queue = queues_.back();
      channel.producer = static_cast<uint32_t>(i);
      channel.may_overtake = may_overtake.empty() || may_overtake[i];
    }
    gate_ = std::make_unique<InputGate>(std::move(channels), 1,
                                        std::vector<std::pair<uint32_t, uint32_t>>{});
    gate_->EnableUnaligned(timeout, &clock_);
  }
  void Listen() {
    gate_->Listen([] {});
  }

  std::string Next() {
    auto next = gate_->Next();
    if (!next.ok()) return std::string(next.status().message());
    return next->has_value() ? Text((*next)->element) : "";
  }
  std::vector<std::string> Drain() {
    std::vector<std::string> texts;
    for (std::string text = Next(); !text.empty(); text = Next()) texts.push_back(text);
    return texts;
  }

  FixedClock clock_;
  std::vector<std::shared_ptr<ChannelQueue>> queues_;
  std::unique_ptr<InputGate> gate_;
};

TEST_F(UnalignedGateTest, ABarrierOvertakesWhatIsQueuedAndThatIsRecorded) {
  MakeGate(2);
  Listen();
  queues_[0]->Push(Record(1));
  queues_[0]->Push(At(5));
  queues_[0]->Push(Unaligned(1));
  queues_[0]->Push(Record(2));
  queues_[1]->Push(Record(10));
  EXPECT_EQ(gate_->PollUnaligned(), absl::InfiniteFuture());
  EXPECT_TRUE(gate_->HasOvertakenBarrier());
  EXPECT_EQ(Next(), "barrier 1");
  EXPECT_FALSE(gate_->HasOvertakenBarrier());
  EXPECT_EQ(gate_->recorded_checkpoint(), CheckpointId(1));
  EXPECT_FALSE(gate_->RecordingComplete()) << "the second channel's barrier is to come";
  EXPECT_THAT(Drain(), ElementsAre("1", "10", "2")) << "nothing is held back";
  queues_[1]->Push(Record(11));
  queues_[1]->Push(Unaligned(1));
  queues_[1]->Push(Record(12));
  EXPECT_TRUE(gate_->RecordingComplete());
  const InputGate::Recordings recordings = gate_->TakeRecordings();
  ASSERT_EQ(recordings.contents.size(), 2U);
  EXPECT_THAT(Texts(recordings.contents[0].elements), ElementsAre("1", "watermark 5"));
  EXPECT_THAT(Texts(recordings.contents[1].elements), ElementsAre("10", "11"));
  EXPECT_EQ(recordings.contents[1].producer, 1U);
  EXPECT_GT(recordings.num_bytes, 0U);
  EXPECT_THAT(Drain(), ElementsAre("11", "12"));
}

TEST_F(UnalignedGateTest, StaysAlignedUntilTheTimeoutAfterTheTrigger) {
  MakeGate(2, absl::Milliseconds(50));
  Listen();
  clock_.now = absl::FromUnixMillis(1020);
  queues_[0]->Push(Unaligned(1, 1000));
  queues_[0]->Push(Record(2));
  queues_[1]->Push(Record(10));
  queues_[1]->Push(Record(11));
  EXPECT_EQ(gate_->PollUnaligned(), absl::FromUnixMillis(1050));
  EXPECT_EQ(Next(), "10");
  clock_.now = absl::FromUnixMillis(1050);
  (void)gate_->PollUnaligned();
  EXPECT_THAT(Drain(), ElementsAre("barrier 1", "2", "11"));
  queues_[1]->Push(Unaligned(1, 1000));
  const InputGate::Recordings recordings = gate_->TakeRecordings();
  ASSERT_EQ(recordings.contents.size(), 1U) << "the first channel had delivered";
  EXPECT_THAT(Texts(recordings.contents[0].elements), ElementsAre("11"));
}

TEST_F(UnalignedGateTest, IsAlignedIfAllBarriersComeBeforeTheTimeout) {
  MakeGate(2, absl::Milliseconds(50));
  Listen();
  for (const auto& queue : queues_) queue->Push(Unaligned(1));
  EXPECT_THAT(Drain(), ElementsAre("barrier 1"));
  EXPECT_EQ(gate_->recorded_checkpoint(), CheckpointId(0));
  EXPECT_EQ(gate_->PollUnaligned(), absl::InfiniteFuture());
}

TEST_F(UnalignedGateTest, ASavepointStaysAligned) {
  MakeGate(2);
  Listen();
  queues_[0]->Push(CheckpointBarrier{CheckpointId(1), 0});
  queues_[0]->Push(Record(2));
  queues_[1]->Push(Record(10));
  (void)gate_->PollUnaligned();
  EXPECT_THAT(Drain(), ElementsAre("10"));
  queues_[1]->Push(CheckpointBarrier{CheckpointId(1), 0});
  EXPECT_THAT(Drain(), ElementsAre("barrier 1", "2"));
}

TEST_F(UnalignedGateTest, WaitsForTheBarriersOfChannelsWithoutState) {
  MakeGate(2, absl::ZeroDuration(), {true, false});
  Listen();
  queues_[0]->Push(Record(1));
  queues_[0]->Push(Unaligned(1));
  queues_[1]->Push(Record(10));
  queues_[1]->Push(Record(11));
  (void)gate_->PollUnaligned();
  EXPECT_EQ(Next(), "1");
  EXPECT_THAT(Drain(), ElementsAre("10", "11"));
  queues_[1]->Push(Unaligned(1));
  queues_[1]->Push(Record(12));
  EXPECT_THAT(Drain(), ElementsAre("barrier 1", "12"));
}

TEST_F(UnalignedGateTest, AnAbortedCheckpointIsNotRecorded) {
  MakeGate(1);
  Listen();
  queues_[0]->Push(Record(1));
  queues_[0]->Announce({CheckpointId(1), 0});
  (void)gate_->PollUnaligned();
  EXPECT_EQ(gate_->recorded_checkpoint(), CheckpointId(1));
  gate_->OnCheckpointAborted(CheckpointId(1));
  EXPECT_EQ(gate_->recorded_checkpoint(), CheckpointId(0));
  EXPECT_EQ(queues_[0]->awaited_barrier(), CheckpointId(0));
}

TEST_F(UnalignedGateTest, GivesRestoredContentOutAheadOfNewInput) {
  MakeGate(2);
  std::vector<ChannelContent> contents(1);
  contents[0].producer = 1;
  contents[0].elements = {Record(1), At(7), WatermarkStatus{true}, Record(2)};
  gate_->Restore(std::move(contents), nullptr);
  queues_[1]->Push(Record(3));
  queues_[0]->Push(At(9));
  Listen();
  // While the channel was idle, time came to 9; with the end of the content it counts as active.
  EXPECT_THAT(Drain(), ElementsAre("1", "watermark 7", "watermark 9", "2", "3"));
  queues_[1]->Push(At(8));
  queues_[0]->Push(At(20));
  EXPECT_THAT(Drain(), IsEmpty());
  queues_[1]->Push(At(12));
  EXPECT_THAT(Drain(), ElementsAre("watermark 12"));
}

TEST_F(UnalignedGateTest, RestoredContentThatWasNotGivenOutIsRecordedAgain) {
  MakeGate(1);
  std::vector<ChannelContent> contents(1);
  contents[0].elements = {Record(1), Record(2)};
  gate_->Restore(std::move(contents), nullptr);
  Listen();
  EXPECT_EQ(Next(), "1");
  queues_[0]->Push(Record(3));
  queues_[0]->Push(Unaligned(1));
  (void)gate_->PollUnaligned();
  EXPECT_EQ(Next(), "barrier 1");
  EXPECT_THAT(Texts(gate_->TakeRecordings().contents.at(0).elements), ElementsAre("2", "3"));
  EXPECT_THAT(Drain(), ElementsAre("2", "3"));
}

// What was given out before the barrier, and what a restored gate gives out, is what each producer
// sent ahead of its barrier, in its order; whatever the schedule, also out of an unaligned
// checkpoint of a gate that was itself restored.
TEST_F(UnalignedGateTest, NothingIsLostAndNothingTwiceForEverySchedule) {
  for (unsigned seed = 1; seed <= NumSeeds(600); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const size_t num_channels = 1 + random() % 3;
    std::vector<bool> may_overtake(num_channels);
    for (size_t i = 0; i < num_channels; ++i) may_overtake[i] = random() % 4 != 0;
    std::vector<ChannelContent> restored;
    std::vector<std::vector<std::string>> processed(num_channels);  // By producer.
    std::vector<std::vector<std::string>> sent(num_channels);
    int64_t next = 0;
    clock_.now = absl::UnixEpoch();
    for (int attempt = 0; attempt < 3; ++attempt) {
      MakeGate(num_channels, absl::Milliseconds(random() % 3 == 0 ? 5 : 0), may_overtake);
      if (!restored.empty()) gate_->Restore(std::move(restored), nullptr);
      restored.clear();
      Listen();
      const auto id = static_cast<uint64_t>(attempt + 1);
      const int64_t trigger_ms = absl::ToUnixMillis(clock_.now);
      std::vector<bool> barrier_sent(num_channels);
      std::vector<std::vector<std::string>> sent_since(num_channels);
      bool taken = false;
      const auto producer_of = [&](const std::string& text) {
        return static_cast<size_t>(std::stoll(text)) % num_channels;
      };
      const auto step = [&](bool may_send) {
        const size_t channel = random() % num_channels;
        clock_.now += absl::Milliseconds(random() % 2);
        switch (random() % 4) {
          case 0: {
            if (!may_send) break;
            const int64_t value =
                next++ * static_cast<int64_t>(num_channels) + static_cast<int64_t>(channel);
            queues_[channel]->Push(Record(value));
            if (!barrier_sent[channel]) sent_since[channel].push_back(StrCat(value));
            break;
          }
          case 1:
            if (!may_send || barrier_sent[channel] || random() % 4 != 0) break;
            barrier_sent[channel] = true;
            queues_[channel]->Push(Unaligned(id, trigger_ms));
            break;
          case 2:
            (void)gate_->PollUnaligned();
            break;
          default: {
            const std::string text = Next();
            if (text == StrCat("barrier ", id)) {
              EXPECT_FALSE(taken);
              taken = true;
            } else if (!text.empty() && !taken) {
              processed[producer_of(text)].push_back(text);
            }
            break;
          }
        }
      };
      for (int i = 0; i < 60; ++i) step(true);
      for (size_t i = 0; i < num_channels; ++i) {
        if (!barrier_sent[i]) queues_[i]->Push(Unaligned(id, trigger_ms));
      }
      for (int i = 0; i < 500 && !taken; ++i) step(false);
      ASSERT_TRUE(taken);
      if (gate_->recorded_checkpoint() == CheckpointId(id)) {
        ASSERT_TRUE(gate_->RecordingComplete());
        restored = gate_->TakeRecordings().contents;
        for (const ChannelContent& content : restored) {
          EXPECT_TRUE(may_overtake[content.producer]);
        }
      }
      for (size_t i = 0; i < num_channels; ++i) {
        sent[i].insert(sent[i].end(), sent_since[i].begin(), sent_since[i].end());
      }
    }
    for (const ChannelContent& content : restored) {
      for (const std::string& text : Texts(content.elements)) {
        processed[content.producer].push_back(text);
      }
    }
    EXPECT_EQ(processed, sent);
  }
}

}  // namespace
}  // namespace weir
