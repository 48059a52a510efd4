#include "runtime/checkpoint/barrier_aligner.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace weir
