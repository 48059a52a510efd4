#include "runtime/checkpoint/barrier_aligner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace weir {
namespace {

CheckpointBarrier Barrier(uint64_t id) { return {CheckpointId(id), 0}; }

TEST(BarrierAlignerTest, CompletesWhenEveryChannelHasDelivered) {
  BarrierAligner aligner(2);
  const auto first = aligner.OnBarrier(ChannelIndex(0), Barrier(1));
  EXPECT_TRUE(first.block_channel);
  EXPECT_FALSE(first.aligned.has_value());
  const auto second = aligner.OnBarrier(ChannelIndex(1), Barrier(1));
  ASSERT_TRUE(second.aligned.has_value());
  EXPECT_EQ(second.aligned->id, CheckpointId(1));
  EXPECT_TRUE(second.release_channels);
  EXPECT_FALSE(second.block_channel);
}

TEST(BarrierAlignerTest, AbandonsOlderCheckpointWhenNewerBarrierArrives) {
  BarrierAligner aligner(2);
  (void)aligner.OnBarrier(ChannelIndex(0), Barrier(6));
  const auto newer = aligner.OnBarrier(ChannelIndex(1), Barrier(7));
  EXPECT_EQ(newer.abandoned, CheckpointId(6));
  EXPECT_TRUE(newer.release_channels);
  EXPECT_TRUE(newer.block_channel);
  const auto done = aligner.OnBarrier(ChannelIndex(0), Barrier(7));
  EXPECT_EQ(done.aligned->id, CheckpointId(7));
}

TEST(BarrierAlignerTest, IgnoresBarriersOfTakenAndAbortedCheckpoints) {
  BarrierAligner aligner(2);
  (void)aligner.OnAborted(CheckpointId(3));
  EXPECT_FALSE(aligner.OnBarrier(ChannelIndex(0), Barrier(3)).block_channel);
  EXPECT_FALSE(aligner.aligning());
  (void)aligner.OnBarrier(ChannelIndex(0), Barrier(4));
  (void)aligner.OnBarrier(ChannelIndex(1), Barrier(4));
  EXPECT_FALSE(aligner.OnBarrier(ChannelIndex(1), Barrier(4)).block_channel);
}

TEST(BarrierAlignerTest, ReleasesChannelsWhenThePendingCheckpointIsAborted) {
  BarrierAligner aligner(2);
  (void)aligner.OnBarrier(ChannelIndex(0), Barrier(2));
  const auto aborted = aligner.OnAborted(CheckpointId(2));
  EXPECT_TRUE(aborted.release_channels);
  EXPECT_EQ(aborted.abandoned, CheckpointId(2));
}

TEST(BarrierAlignerTest, CountsEndedChannelsAsAligned) {
  BarrierAligner aligner(3);
  (void)aligner.OnChannelEnded(ChannelIndex(2));
  (void)aligner.OnBarrier(ChannelIndex(0), Barrier(1));
  EXPECT_TRUE(aligner.OnChannelEnded(ChannelIndex(1)).aligned.has_value());
  // All open channels deliver again.
  EXPECT_TRUE(aligner.OnBarrier(ChannelIndex(0), Barrier(2)).aligned.has_value());
}

TEST(BarrierAlignerTest, TakesAFinalCheckpointWhenAllChannelsHaveEnded) {
  BarrierAligner aligner(2);
  (void)aligner.OnChannelEnded(ChannelIndex(0));
  (void)aligner.OnChannelEnded(ChannelIndex(1));
  EXPECT_TRUE(aligner.OnBarrier(ChannelIndex(0), Barrier(5)).aligned.has_value());
  EXPECT_FALSE(aligner.OnBarrier(ChannelIndex(1), Barrier(5)).aligned.has_value());
}

// Against a plain model: with random deliveries in channel order, each checkpoint aligns at most
// once, in rising order, and only when every open channel has passed it.
TEST(BarrierAlignerTest, AgreesWithAPlainModelOnRandomDeliveries) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto num_channels = static_cast<uint32_t>(1 + random() % 4);
    BarrierAligner aligner(num_channels);
    std::vector<uint64_t> at(num_channels);
    std::vector<bool> ended(num_channels), blocked(num_channels);
    uint64_t last_aligned = 0;
    for (int step = 0; step < 200; ++step) {
      const auto channel = static_cast<uint32_t>(random() % num_channels);
      if (blocked[channel] || ended[channel]) continue;
      BarrierAligner::Outcome outcome;
      if (random() % 40 == 0) {
        ended[channel] = true;
        outcome = aligner.OnChannelEnded(ChannelIndex(channel));
      } else {
        at[channel] += 1 + (random() % 10 == 0);
        outcome = aligner.OnBarrier(ChannelIndex(channel), Barrier(at[channel]));
      }
      if (outcome.release_channels) blocked.assign(num_channels, false);
      if (outcome.block_channel) blocked[channel] = true;
      if (outcome.aligned.has_value()) {
        EXPECT_GT(outcome.aligned->id.value(), last_aligned);
        last_aligned = outcome.aligned->id.value();
        for (uint32_t c = 0; c < num_channels; ++c) EXPECT_TRUE(ended[c] || at[c] >= last_aligned);
      }
    }
  }
}

CheckpointBarrier Unaligned(uint64_t id) {
  CheckpointBarrier barrier = Barrier(id);
  barrier.unaligned = true;
  return barrier;
}

TEST(BarrierAlignerTest, HoldsNoChannelBackInAtLeastOnceMode) {
  BarrierAligner aligner(2, CheckpointMode::kAtLeastOnce);
  EXPECT_FALSE(aligner.OnBarrier(ChannelIndex(0), Barrier(1)).block_channel);
  EXPECT_TRUE(aligner.aligning());
  EXPECT_EQ(aligner.OnBarrier(ChannelIndex(1), Barrier(1)).aligned->id, CheckpointId(1));
  (void)aligner.OnBarrier(ChannelIndex(0), Unaligned(2));
  EXPECT_FALSE(aligner.CanOvertake()) << "there is nothing to gain";
}

TEST(BarrierAlignerTest, AnAnnouncedBarrierOvertakesWhatOtherChannelsHold) {
  BarrierAligner aligner(3);
  EXPECT_FALSE(aligner.CanOvertake());
  (void)aligner.OnChannelEnded(ChannelIndex(1));
  (void)aligner.OnAnnounced(Unaligned(1));
  EXPECT_TRUE(aligner.OnBarrier(ChannelIndex(2), Unaligned(1)).block_channel);
  ASSERT_TRUE(aligner.CanOvertake());
  const auto overtaken = aligner.Overtake();
  EXPECT_EQ(overtaken.aligned->id, CheckpointId(1));
  EXPECT_TRUE(overtaken.release_channels);
  EXPECT_EQ(overtaken.record, std::vector{ChannelIndex(0)});
  const auto late = aligner.OnBarrier(ChannelIndex(0), Unaligned(1));
  EXPECT_FALSE(late.block_channel || late.aligned.has_value());
  EXPECT_FALSE(aligner.aligning());
}

TEST(BarrierAlignerTest, WaitsForChannelsWhoseStateCannotBePartOfACheckpoint) {
  BarrierAligner aligner(2, CheckpointMode::kExactlyOnce, {true, false});
  (void)aligner.OnAnnounced(Unaligned(1));
  EXPECT_FALSE(aligner.CanOvertake());
  EXPECT_TRUE(aligner.OnBarrier(ChannelIndex(1), Unaligned(1)).block_channel);
  EXPECT_TRUE(aligner.CanOvertake());
}

TEST(BarrierAlignerTest, AnAlignedBarrierNeverOvertakes) {
  BarrierAligner aligner(2);
  (void)aligner.OnBarrier(ChannelIndex(0), Barrier(1));
  EXPECT_FALSE(aligner.CanOvertake());
  // Of a task that has come to its end; the other one has not.
  (void)aligner.OnBarrier(ChannelIndex(0), Barrier(2));
  (void)aligner.OnAnnounced(Unaligned(2));
  EXPECT_TRUE(aligner.CanOvertake());
}

TEST(BarrierAlignerTest, AnAbortedCheckpointThatWasAnnouncedIsForgotten) {
  BarrierAligner aligner(2);
  (void)aligner.OnAnnounced(Unaligned(1));
  EXPECT_EQ(aligner.OnAborted(CheckpointId(1)).abandoned, CheckpointId(1));
  EXPECT_FALSE(aligner.CanOvertake());
  (void)aligner.OnAnnounced(Unaligned(1));
  EXPECT_FALSE(aligner.aligning());
}

// Against a plain model: channels are lists of barriers, announced before they are delivered, and
// the caller overtakes whenever it may and likes to.
TEST(BarrierAlignerTest, AgreesWithAPlainModelOnRandomAnnouncementsAndOvertaking) {
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto num_channels = static_cast<uint32_t>(1 + random() % 4);
    const bool at_least_once = random() % 5 == 0;
    std::vector<bool> may_overtake(num_channels);
    for (uint32_t c = 0; c < num_channels; ++c) may_overtake[c] = random() % 4 != 0;
    BarrierAligner aligner(
        num_channels, at_least_once ? CheckpointMode::kAtLeastOnce : CheckpointMode::kExactlyOnce,
        may_overtake);
    std::vector<uint64_t> sent(num_channels);       // The newest barrier in the channel.
    std::vector<uint64_t> delivered(num_channels);  // The newest that came out of it.
    std::vector<bool> ended(num_channels), blocked(num_channels);
    std::set<uint64_t> aborted;
    uint64_t last_taken = 0;
    const auto check = [&](uint32_t channel, const BarrierAligner::Outcome& outcome) {
      if (outcome.release_channels) blocked.assign(num_channels, false);
      if (outcome.block_channel) {
        EXPECT_FALSE(at_least_once);
        blocked[channel] = true;
      }
      if (!outcome.aligned.has_value()) {
        EXPECT_TRUE(outcome.record.empty());
        return;
      }
      const uint64_t id = outcome.aligned->id.value();
      EXPECT_GT(id, last_taken);
      EXPECT_FALSE(aborted.contains(id));
      last_taken = id;
      std::set<uint32_t> missing;
      for (uint32_t c = 0; c < num_channels; ++c) {
        if (!ended[c] && delivered[c] < id) missing.insert(c);
      }
      std::set<uint32_t> recorded;
      for (const ChannelIndex index : outcome.record) recorded.insert(index.value());
      EXPECT_EQ(recorded, missing) << "what did not deliver its barrier is recorded";
      for (const uint32_t c : recorded) EXPECT_TRUE(may_overtake[c]);
      EXPECT_FALSE(aligner.aligning());
      EXPECT_EQ(std::count(blocked.begin(), blocked.end(), true), 0);
    };
    for (int step = 0; step < 300; ++step) {
      const auto channel = static_cast<uint32_t>(random() % num_channels);
      switch (random() % 8) {
        case 0:
        case 1:
          if (ended[channel]) break;
          sent[channel] += 1 + (random() % 10 == 0);
          check(channel, aligner.OnAnnounced(Unaligned(sent[channel])));
          break;
        case 2:
          if (random() % 10 != 0 || blocked[channel] || delivered[channel] < sent[channel]) break;
          ended[channel] = true;
          check(channel, aligner.OnChannelEnded(ChannelIndex(channel)));
          break;
        case 3:
          if (random() % 5 != 0) break;
          aborted.insert(last_taken + 1);
          check(channel, aligner.OnAborted(CheckpointId(last_taken + 1)));
          break;
        case 4:
          if (aligner.CanOvertake()) check(channel, aligner.Overtake());
          break;
        default:
          if (blocked[channel] || ended[channel] || delivered[channel] == sent[channel]) break;
          ++delivered[channel];
          check(channel, aligner.OnBarrier(ChannelIndex(channel), Unaligned(delivered[channel])));
          break;
      }
    }
  }
}

}  // namespace
}  // namespace weir
