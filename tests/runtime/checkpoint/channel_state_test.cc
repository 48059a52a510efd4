#include "runtime/checkpoint/channel_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "runtime/record/key_codec.h"
#include "runtime/record/serde.h"
#include "runtime/record/typed_batch.h"
#include "runtime/state/key_groups.h"
#include "runtime/state/operator_subtask_state.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

BatchPtr Numbers(const std::vector<int64_t>& values) {
  TypedBatchBuilder<int64_t> builder;
  for (const int64_t value : values) builder.Add(value, EventTime::Min());
  return builder.Finish();
}

BatchPtr Keyed(const std::vector<int64_t>& values) {
  BatchPtr batch = Numbers(values);
  std::vector<uint64_t> hashes;
  for (const int64_t value : values) hashes.push_back(KeyHash(value));
  batch.MakeUnique().SetKeyHashes(std::move(hashes));
  return batch;
}

class ByLastDigit final : public Partitioner {
 public:
  void Partition(const Batch& batch, uint32_t num_channels,
                 std::vector<uint32_t>* channels) const override {
    channels->clear();
    for (const int64_t value : BatchValues<int64_t>(batch)) {
      channels->push_back(static_cast<uint32_t>(value % 10) % num_channels);
    }
  }
};

class ChannelStateTest : public ::testing::Test {
 protected:
  static ChannelEdge Edge(ShipStrategy strategy, uint32_t input = 0) {
    ChannelEdge edge;
    edge.source = OperatorId(1, 2);
    edge.target_input = input;
    edge.num_producers = 2;
    edge.partitioning.strategy = strategy;
    if (strategy == ShipStrategy::kCustom) {
      edge.partitioning.partitioner = std::make_shared<ByLastDigit>();
    }
    edge.type = std::make_shared<TypedBatchType<int64_t>>();
    return edge;
  }
  static ChannelStateOwner Owner(uint32_t subtask, uint32_t parallelism) {
    return {subtask, parallelism, 128, "sum"};
  }
  ChannelStateHandle Write(const std::vector<ChannelEdge>& edges,
                           const std::vector<ChannelContent>& contents,
                           const ChannelStateOwner& owner) {
    absl::StatusOr<ChannelStateHandle> handle =
        WriteChannelState(edges, contents, owner, store_, LocalPath());
    EXPECT_TRUE(handle.ok()) << handle.status();
    EXPECT_FALSE(std::filesystem::exists(LocalPath()));
    ChannelStateHandle read;
    EXPECT_TRUE(FromBytes(ToBytes(*handle), read));
    EXPECT_EQ(read, *handle);
    return read;
  }
  absl::StatusOr<std::vector<ChannelContent>> Read(const ChannelStateHandle& handle,
                                                   const std::vector<ChannelEdge>& edges,
                                                   const ChannelStateOwner& owner) {
    return ReadChannelState(handle, edges, owner, store_, LocalPath());
  }
  std::string LocalPath() const { return StrCat(folder_.path(), "/local/channels"); }

  static std::vector<int64_t> Values(const ChannelContent& content) {
    std::vector<int64_t> values;
    for (const StreamElement& element : content.elements) {
      if (!IsBatch(element)) continue;
      const auto batch = BatchValues<int64_t>(*std::get<BatchPtr>(element));
      values.insert(values.end(), batch.begin(), batch.end());
    }
    return values;
  }

  const TemporaryFolder folder_;
  FileStateStore store_{StrCat(folder_.path(), "/shared"), "test"};
};

TEST_F(ChannelStateTest, RoundTripsEveryElementInOrder) {
  const std::vector<ChannelEdge> edges = {Edge(ShipStrategy::kHash), Edge(ShipStrategy::kHash, 1)};
  std::vector<ChannelContent> contents(3);
  contents[0] = {0, 0, {Keyed({1, 2}), Watermark{EventTime::FromMillis(5)}, Keyed({3})}};
  contents[1] = {0, 1, {}};
  contents[2] = {1, 1, {WatermarkStatus{true}, Keyed({4})}};
  const ChannelStateHandle handle = Write(edges, contents, Owner(1, 2));
  EXPECT_TRUE(handle.file.path.empty());
  const auto read = Read(handle, edges, Owner(1, 2));
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 2U) << "a channel without content is left out";
  EXPECT_THAT(Values((*read)[0]), ElementsAre(1, 2, 3));
  EXPECT_EQ(std::get<Watermark>((*read)[0].elements[1]).time, EventTime::FromMillis(5));
  EXPECT_EQ(std::get<BatchPtr>((*read)[0].elements[0])->key_hashes().size(), 2U);
  EXPECT_EQ((*read)[1].edge, 1U);
  EXPECT_EQ((*read)[1].producer, 1U);
  EXPECT_TRUE(std::get<WatermarkStatus>((*read)[1].elements[0]).idle);
}

TEST_F(ChannelStateTest, LargeContentGoesToAFileAndADamagedOneIsNamed) {
  const std::vector<ChannelEdge> edges = {Edge(ShipStrategy::kRebalance)};
  std::vector<ChannelContent> contents(1);
  for (int64_t i = 0; i < 200; ++i) {
    contents[0].elements.emplace_back(Numbers(std::vector<int64_t>(100, i)));
  }
  const ChannelStateHandle handle = Write(edges, contents, Owner(0, 1));
  ASSERT_FALSE(handle.file.path.empty());
  EXPECT_THAT(handle.file.path, HasSubstr("channels"));
  const auto read = Read(handle, edges, Owner(0, 1));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(Values((*read)[0]).size(), 20'000U);
  {
    std::fstream file(handle.file.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(1000);
    file.put('\x7f');
  }
  const absl::Status damaged = Read(handle, edges, Owner(0, 1)).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.message()), HasSubstr(handle.file.path));
  std::filesystem::remove(handle.file.path);
  const absl::Status missing = Read(handle, edges, Owner(0, 1)).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("operator=sum"));
}

TEST_F(ChannelStateTest, RefusesWhatItCannotReadAndSaysWhy) {
  const std::vector<ChannelEdge> edges = {Edge(ShipStrategy::kHash)};
  std::vector<ChannelContent> contents(1);
  contents[0].elements = {Keyed({1, 2, 3})};
  const ChannelStateHandle good = Write(edges, contents, Owner(0, 1));

  ChannelStateHandle flipped = good;
  flipped.inline_bytes[5] = static_cast<char>(flipped.inline_bytes[5] ^ 1);
  EXPECT_THAT(Read(flipped, edges, Owner(0, 1)).status().ToString(), HasSubstr("checksum"));
  ChannelStateHandle newer = good;
  newer.format_version = 9;
  EXPECT_THAT(Read(newer, edges, Owner(0, 1)).status().ToString(), HasSubstr("format_version=9"));

  ChannelEdge other_input = Edge(ShipStrategy::kHash, 1);
  EXPECT_THAT(Read(good, {other_input}, Owner(0, 1)).status().ToString(),
              HasSubstr("does not have the connection"));
  ChannelEdge other_type = Edge(ShipStrategy::kHash);
  other_type.type = std::make_shared<TypedBatchType<std::string>>();
  EXPECT_THAT(Read(good, {other_type}, Owner(0, 1)).status().ToString(),
              HasSubstr("their type has changed"));
  EXPECT_THAT(Read(good, {Edge(ShipStrategy::kBroadcast)}, Owner(0, 2)).status().ToString(),
              HasSubstr("broadcast now"));
}

TEST_F(ChannelStateTest, ItsOwnSubtaskReadsItOrAnyOfAnotherParallelism) {
  ChannelStateHandle handle;
  handle.subtask = 1;
  handle.parallelism = 2;
  EXPECT_TRUE(ReadsChannelState(handle, 1, 2));
  EXPECT_FALSE(ReadsChannelState(handle, 0, 2));
  EXPECT_TRUE(ReadsChannelState(handle, 0, 3));
}

// Each record comes to exactly one of the new subtasks; by its key, or by the partitioner, to the
// one that new records of its kind come to; records of one channel keep their order.
TEST_F(ChannelStateTest, DividesRecordsAmongAnotherNumberOfSubtasks) {
  for (unsigned seed = 1; seed <= NumSeeds(60); ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto strategy =
        std::vector{ShipStrategy::kHash, ShipStrategy::kRebalance, ShipStrategy::kShuffle,
                    ShipStrategy::kGlobal, ShipStrategy::kCustom}[random() % 5];
    const std::vector<ChannelEdge> edges = {Edge(strategy)};
    const uint32_t old_parallelism = 1 + static_cast<uint32_t>(random() % 4);
    uint32_t parallelism = 1 + static_cast<uint32_t>(random() % 4);
    if (parallelism == old_parallelism) ++parallelism;
    std::vector<ChannelStateHandle> handles;
    std::map<int64_t, std::pair<uint32_t, uint32_t>> sent;  // Old subtask and producer.
    int64_t next = 0;
    for (uint32_t subtask = 0; subtask < old_parallelism; ++subtask) {
      std::vector<ChannelContent> contents;
      for (uint32_t producer = 0; producer < 2; ++producer) {
        ChannelContent& content = contents.emplace_back();
        content.producer = producer;
        for (auto batches = random() % 6; batches > 0; --batches) {
          std::vector<int64_t> values;
          for (auto n = 1 + random() % 20; n > 0; --n) {
            sent[next] = {subtask, producer};
            values.push_back(next++);
          }
          content.elements.emplace_back(Keyed(values));
          content.elements.emplace_back(Watermark{EventTime::FromMillis(next)});
        }
      }
      handles.push_back(Write(edges, contents, Owner(subtask, old_parallelism)));
    }
    std::set<int64_t> received;
    for (uint32_t subtask = 0; subtask < parallelism; ++subtask) {
      for (const ChannelStateHandle& handle : handles) {
        const auto read = Read(handle, edges, Owner(subtask, parallelism));
        ASSERT_TRUE(read.ok()) << read.status();
        for (const ChannelContent& content : *read) {
          int64_t last = -1;
          for (const StreamElement& element : content.elements) EXPECT_TRUE(IsBatch(element));
          for (const int64_t value : Values(content)) {
            EXPECT_TRUE(received.insert(value).second) << value;
            EXPECT_EQ(sent[value], std::pair(handle.subtask, content.producer));
            EXPECT_GT(value, last);
            last = value;
            if (strategy == ShipStrategy::kHash) {
              EXPECT_EQ(SubtaskOfHash(KeyHash(value), 128, parallelism), subtask);
            } else if (strategy == ShipStrategy::kCustom) {
              EXPECT_EQ(static_cast<uint32_t>(value % 10) % parallelism, subtask);
            } else if (strategy == ShipStrategy::kGlobal) {
              EXPECT_EQ(subtask, 0U);
            }
          }
        }
      }
    }
    EXPECT_EQ(received.size(), sent.size());
  }
}

}  // namespace
}  // namespace weir
