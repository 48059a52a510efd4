#include "runtime/task/record_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/typed_batch.h"
#include "runtime/state/key_groups.h"

namespace weir {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Hashes the number itself.
class NumberHasher final : public KeyHasher {
 public:
  void HashKeys(const Batch& batch, std::vector<uint64_t>* hashes) const override {
    hashes->clear();
    for (const int64_t value : BatchValues<int64_t>(batch)) {
      if (value < 0) throw std::runtime_error("no key");
      hashes->push_back(KeyHash<int64_t>(value));
    }
  }
};

/// Sends n to channel n modulo the number of channels.
class ModuloPartitioner final : public Partitioner {
 public:
  void Partition(const Batch& batch, uint32_t num_channels,
                 std::vector<uint32_t>* channels) const override {
    channels->clear();
    for (const int64_t value : BatchValues<int64_t>(batch))
      channels->push_back(static_cast<uint32_t>(value % num_channels));
  }
};

class RecordWriterTest : public ::testing::Test {
 protected:
  void MakeWriter(ShipStrategy strategy, size_t num_channels, uint32_t subtask = 0) {
    channels_.clear();
    for (size_t i = 0; i < num_channels; ++i)
      channels_.push_back(std::make_shared<ChannelQueue>(size_t{1} << 30, nullptr));
    Partitioning partitioning{.strategy = strategy};
    if (strategy == ShipStrategy::kHash) partitioning.key_hasher = std::make_shared<NumberHasher>();
    if (strategy == ShipStrategy::kCustom)
      partitioning.partitioner = std::make_shared<ModuloPartitioner>();
    writer_ = std::make_unique<RecordWriter>(
        RecordWriter::Options{std::move(partitioning), 128, subtask}, channels_);
  }

  // Consecutive numbers, with their event times.
  BatchPtr Batch(size_t count) {
    TypedBatchBuilder<int64_t> builder;
    for (size_t i = 0; i < count; ++i, ++next_) builder.Add(next_, EventTime::FromMillis(next_));
    return builder.Finish();
  }

  // Everything in a channel: numbers, checking their times and hashes, and "w" and "m" for
  // watermarks and latency markers.
  std::vector<std::string> Drain(size_t channel) {
    std::vector<std::string> all;
    while (auto popped = channels_[channel]->Pop()) {
      if (const auto* batch = std::get_if<BatchPtr>(&popped->element)) {
        const auto values = BatchValues<int64_t>(**batch);
        for (size_t row = 0; row < values.size(); ++row) {
          EXPECT_EQ((*batch)->event_time(row), EventTime::FromMillis(values[row]));
          if (!(*batch)->key_hashes().empty()) {
            EXPECT_EQ((*batch)->key_hashes()[row], KeyHash<int64_t>(values[row]));
          }
          all.push_back(StrCat(values[row]));
        }
      } else if (std::holds_alternative<Watermark>(popped->element)) {
        all.push_back("w");
      } else if (std::holds_alternative<LatencyMarker>(popped->element)) {
        all.push_back("m");
      }
    }
    return all;
  }
  std::vector<size_t> Counts() {
    writer_->Flush();
    std::vector<size_t> counts;
    for (size_t i = 0; i < channels_.size(); ++i) counts.push_back(Drain(i).size());
    return counts;
  }

  std::vector<std::shared_ptr<ChannelQueue>> channels_;
  std::unique_ptr<RecordWriter> writer_;
  int64_t next_ = 0;
};

TEST_F(RecordWriterTest, AnUnalignedBarrierMayOverdrawAFullChannel) {
  MakeWriter(ShipStrategy::kForward, 1);
  channels_[0]->SetLimit(100);
  writer_->Accept(Batch(50));
  ASSERT_TRUE(writer_->Full());
  writer_->set_overdraft_bytes(10'000);
  EXPECT_FALSE(writer_->Full());
  for (int i = 0; i < 20; ++i) writer_->Accept(Batch(50));
  EXPECT_GT(channels_[0]->queued_bytes(), 10'100U);
  EXPECT_TRUE(writer_->Full());
  writer_->set_overdraft_bytes(0);
  EXPECT_TRUE(writer_->Full());
}

TEST_F(RecordWriterTest, HashSendsEachKeyToTheSubtaskOfItsKeyGroupWithItsHash) {
  MakeWriter(ShipStrategy::kHash, 3);
  for (int i = 0; i < 20; ++i) writer_->Accept(Batch(100));
  writer_->Flush();
  size_t total = 0;
  for (uint32_t channel = 0; channel < 3; ++channel) {
    for (const std::string& number : Drain(channel)) {
      const uint64_t hash = KeyHash<int64_t>(std::stoll(number));
      EXPECT_EQ(SubtaskOfHash(hash, 128, 3), channel);
      ++total;
    }
  }
  EXPECT_EQ(total, 2000U);
}

TEST_F(RecordWriterTest, HashToOneSubtaskSendsTheBatchItselfWithHashes) {
  MakeWriter(ShipStrategy::kHash, 1);
  BatchPtr batch = Batch(5);
  const weir::Batch* const address = batch.get();
  writer_->Accept(std::move(batch));
  const auto popped = channels_[0]->Pop();
  ASSERT_TRUE(popped.has_value());
  const auto& sent = std::get<BatchPtr>(popped->element);
  EXPECT_EQ(sent.get(), address);
  EXPECT_THAT(sent->key_hashes(), SizeIs(5));
  EXPECT_EQ(sent->key_hashes()[3], KeyHash<int64_t>(3));
}

TEST_F(RecordWriterTest, HashToOneSubtaskLeavesASharedBatchAsItIs) {
  MakeWriter(ShipStrategy::kHash, 1);
  const BatchPtr shared = Batch(5);
  writer_->Accept(shared);
  EXPECT_THAT(shared->key_hashes(), IsEmpty());
  EXPECT_THAT(Drain(0), ElementsAre("0", "1", "2", "3", "4"));
}

TEST_F(RecordWriterTest, AKeySelectorThatThrowsLeavesTheWriterUsable) {
  MakeWriter(ShipStrategy::kHash, 2);
  TypedBatchBuilder<int64_t> builder;
  builder.Add(-1, EventTime::Min());
  EXPECT_THROW(writer_->Accept(builder.Finish()), std::runtime_error);
  writer_->Accept(Batch(10));
  const std::vector<size_t> counts = Counts();
  EXPECT_EQ(counts[0] + counts[1], 10U);
}

TEST_F(RecordWriterTest, GlobalSendsEverythingToTheFirstSubtask) {
  MakeWriter(ShipStrategy::kGlobal, 3, 2);
  writer_->Accept(Batch(10));
  EXPECT_THAT(Counts(), ElementsAre(10, 0, 0));
}

TEST_F(RecordWriterTest, BroadcastSendsEverythingToAll) {
  MakeWriter(ShipStrategy::kBroadcast, 3);
  writer_->Accept(Batch(10));
  EXPECT_THAT(Counts(), ElementsAre(10, 10, 10));
}

TEST_F(RecordWriterTest, CustomAsksThePartitioner) {
  MakeWriter(ShipStrategy::kCustom, 3);
  writer_->Accept(Batch(7));
  writer_->Flush();
  EXPECT_THAT(Drain(0), ElementsAre("0", "3", "6"));
  EXPECT_THAT(Drain(1), ElementsAre("1", "4"));
  EXPECT_THAT(Drain(2), ElementsAre("2", "5"));
}

TEST_F(RecordWriterTest, ShuffleSpreadsRecordsLikeDice) {
  MakeWriter(ShipStrategy::kShuffle, 4);
  for (int i = 0; i < 40; ++i) writer_->Accept(Batch(1000));
  // 10,000 expected with a standard deviation of 87.
  for (const size_t count : Counts()) EXPECT_NEAR(static_cast<double>(count), 10'000, 450);
}

TEST_F(RecordWriterTest, LargeBatchesOfALargeStreamAreRebalancedByReference) {
  MakeWriter(ShipStrategy::kRebalance, 2);
  for (int i = 0; i < 210; ++i) writer_->Accept(Batch(1000));
  for (const auto& channel : channels_) {
    while (channel->Pop().has_value()) {
    }
  }
  BatchPtr batch = Batch(1000);
  const weir::Batch* const address = batch.get();
  writer_->Accept(std::move(batch));
  const auto sent = channels_[0]->Empty() ? channels_[1]->Pop() : channels_[0]->Pop();
  ASSERT_TRUE(sent.has_value());
  EXPECT_EQ(std::get<BatchPtr>(sent->element).get(), address);
}

// At any time every channel has got as much as any other, within 1 % or one record.
TEST_F(RecordWriterTest, RebalanceIsFairAtAnyTimeWhateverTheBatches) {
  for (uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const size_t num_channels = 1 + random() % 7;
    MakeWriter(seed % 2 == 0 ? ShipStrategy::kRebalance : ShipStrategy::kRescale, num_channels,
               static_cast<uint32_t>(random() % 7));
    next_ = 0;
    std::vector<int64_t> last(num_channels, -1);
    std::vector<size_t> totals(num_channels);
    const size_t largest = size_t{1} << (random() % 11);
    for (int i = 0; i < 300; ++i) {
      writer_->Accept(Batch(1 + random() % largest));
      if (i % 50 != 49) continue;
      writer_->Flush();
      size_t sum = 0;
      for (size_t channel = 0; channel < num_channels; ++channel) {
        for (const std::string& number : Drain(channel)) {
          EXPECT_GT(std::stoll(number), last[channel]) << "order is kept";
          last[channel] = std::stoll(number);
          ++totals[channel];
        }
        sum += totals[channel];
      }
      EXPECT_EQ(sum, static_cast<size_t>(next_));
      const auto [least, most] = std::minmax_element(totals.begin(), totals.end());
      EXPECT_LE(*most - *least, std::max<size_t>(1, *least / 100));
    }
  }
}

TEST_F(RecordWriterTest, AFewRecordsOfManyProducersAreSpreadToo) {
  std::vector<size_t> totals(4);
  for (uint32_t producer = 0; producer < 100; ++producer) {
    MakeWriter(ShipStrategy::kRebalance, 4, producer);
    writer_->Accept(Batch(1));
    const std::vector<size_t> counts = Counts();
    for (size_t i = 0; i < 4; ++i) totals[i] += counts[i];
  }
  EXPECT_THAT(totals, Each(25));
}

TEST_F(RecordWriterTest, ALatencyMarkerFollowsItsRecordsOnOneChannelInTurns) {
  MakeWriter(ShipStrategy::kCustom, 2);
  writer_->Accept(Batch(2));
  writer_->Accept(LatencyMarker{1, OperatorId(1, 2), 0});
  writer_->Accept(Batch(2));
  writer_->Accept(LatencyMarker{2, OperatorId(1, 2), 0});
  writer_->Flush();
  EXPECT_THAT(Drain(0), ElementsAre("0", "m", "2"));
  EXPECT_THAT(Drain(1), ElementsAre("1", "3", "m"));
}

TEST_F(RecordWriterTest, AWatermarkFollowsTheRecordsBeforeIt) {
  MakeWriter(ShipStrategy::kRebalance, 2);
  writer_->Accept(Batch(2));
  writer_->Accept(Watermark{EventTime::FromMillis(1)});
  writer_->Flush();
  EXPECT_THAT(Drain(0), ElementsAre("0", "w"));
  EXPECT_THAT(Drain(1), ElementsAre("1", "w"));
}

TEST_F(RecordWriterTest, CutsBatchesAtHalfOfAChannelsLimit) {
  MakeWriter(ShipStrategy::kHash, 4);
  writer_->Accept(Batch(1000));
  writer_->Flush();
  EXPECT_EQ(writer_->MaxBatchRecords(), kMaxBatchRecords);
  for (size_t i = 0; i < 4; ++i) (void)Drain(i);
  channels_[2]->SetLimit(2048);
  for (int i = 0; i < 10; ++i) writer_->Accept(Batch(1000));
  EXPECT_GT(channels_[2]->load().num_elements, 30U);
  while (auto popped = channels_[2]->Pop()) {
    const auto& batch = *std::get<BatchPtr>(popped->element);
    EXPECT_LE(batch.SizeBytes(), 1024 + 100U);
    EXPECT_GT(batch.SizeBytes(), 900U);
  }
  EXPECT_LT(channels_[1]->load().num_elements, 5U) << "a channel without a limit gets full ones";
  channels_[2]->SetLimit(1);
  writer_->Accept(Batch(1000));
  EXPECT_GE(std::get<BatchPtr>(channels_[2]->Pop()->element)->size(), 1U);
  for (const auto& channel : channels_) channel->SetLimit(2048);
  // 24 bytes a record, and 1,024 bytes for each of four channels.
  EXPECT_NEAR(static_cast<double>(writer_->MaxBatchRecords()), 4 * 1024 / 24, 30);
}

}  // namespace
}  // namespace weir
