#include "operators/connectors/kafka/internal/kafka_spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "operators/connectors/kafka/internal/kafka_spool_writer.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir::internal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

KafkaMessage RandomMessage(std::mt19937_64& random, size_t max_bytes) {
  const auto text = [&] {
    return std::string(random() % (max_bytes + 1), "abcdefgh"[random() % 8]);
  };
  KafkaMessage message;
  message.value = text();
  if (random() % 2 == 0) {
    message.has_key = true;
    message.key = text();
  }
  if (random() % 4 == 0) {
    message.is_tombstone = true;
    message.value.clear();
  }
  if (random() % 2 == 0) message.timestamp = EventTime::FromMillis(static_cast<int64_t>(random()));
  if (message.timestamp == EventTime::Max()) message.timestamp = EventTime::Min();
  if (random() % 4 == 0) message.topic = "another";
  if (random() % 4 == 0) message.partition = static_cast<int32_t>(random() % 100);
  for (uint64_t i = random() % 3; i > 0; --i) {
    message.headers.push_back({.key = text(), .value = text(), .is_null = false});
  }
  if (random() % 4 == 0) message.headers.push_back({.key = "none", .value = "", .is_null = true});
  return message;
}

class KafkaSpoolTest : public ::testing::Test {
 protected:
  KafkaSpoolTest() {
    context_.mutable_place().local_dir = folder_.PathOf("local");
    context_.set_state_store(std::make_shared<FileStateStore>(folder_.PathOf("shared"), "job"));
  }

  std::unique_ptr<KafkaSpoolWriter> NewWriter(size_t max_message_bytes = 1'000'000) {
    return std::make_unique<KafkaSpoolWriter>(
        context_, KafkaSpoolWriter::Options{.transactional_id = "id",
                                            .group = "group",
                                            .topic = "topic",
                                            .max_buffered_bytes = size_t{1} << 20,
                                            .max_message_bytes = max_message_bytes});
  }
  void Write(KafkaSpoolWriter& writer, const KafkaMessage& message) {
    while (!writer.Ready()) context_.task().AwaitWake();
    const absl::Status status = writer.Write(message, EventTime::Min());
    ASSERT_TRUE(status.ok()) << status;
  }
  std::vector<Committable> Prepare(KafkaSpoolWriter& writer, uint64_t checkpoint) {
    auto prepare = writer.BeginCommit(CheckpointId(checkpoint));
    EXPECT_TRUE(prepare.ok()) << prepare.status();
    auto committables = (*prepare)(*context_.state_store());
    EXPECT_TRUE(committables.ok()) << committables.status();
    return *std::move(committables);
  }
  absl::StatusOr<std::vector<KafkaMessage>> ReadBack(const Committable& committable) {
    absl::StatusOr<KafkaEpoch> epoch = ParseKafkaEpoch(committable.bytes);
    if (!epoch.ok()) return epoch.status();
    std::string path;
    if (!epoch->file.path.empty()) {
      path = folder_.PathOf("fetched");
      std::filesystem::remove(path);
      const absl::Status fetched = context_.state_store()->Fetch(epoch->file, path);
      if (!fetched.ok()) return fetched;
    }
    return ReadFrom(epoch->messages, path);
  }
  static absl::StatusOr<std::vector<KafkaMessage>> ReadFrom(const std::string& bytes,
                                                            const std::string& path) {
    auto reader = KafkaSpoolReader::Open(bytes, path);
    if (!reader.ok()) return reader.status();
    std::vector<KafkaMessage> messages;
    while (true) {
      KafkaMessage message;
      const absl::StatusOr<bool> more = (*reader)->Next(&message);
      if (!more.ok()) return more.status();
      if (!*more) return messages;
      messages.push_back(std::move(message));
    }
  }
  size_t NumFiles(const std::string& name) const {
    std::error_code error;
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.PathOf(name), error)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  TemporaryFolder folder_;
  IoPool pool_{"test-io", 2};
  FakeSinkContext context_{&pool_, 3, RandomId<JobId>()};
};

TEST_F(KafkaSpoolTest, GivesEveryPartOfMessagesBackFromMemoryAndFromFiles) {
  for (unsigned seed = 0; seed < NumSeeds(6); ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const auto writer = NewWriter();
    for (uint64_t checkpoint = 1; checkpoint <= 3; ++checkpoint) {
      std::vector<KafkaMessage> messages;
      const uint64_t count = 1 + random() % 300;
      const size_t max_bytes = random() % 2 == 0 ? 20 : 20'000;
      for (uint64_t i = 0; i < count; ++i) {
        messages.push_back(RandomMessage(random, max_bytes));
        Write(*writer, messages.back());
      }
      const std::vector<Committable> committables = Prepare(*writer, checkpoint);
      ASSERT_THAT(committables, SizeIs(1));
      const auto read = ReadBack(committables[0]);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(*read, messages);
      const KafkaEpoch epoch = *ParseKafkaEpoch(committables[0].bytes);
      EXPECT_EQ(epoch.checkpoint, checkpoint);
      EXPECT_EQ(epoch.num_messages, count);
      EXPECT_EQ(epoch.offset_topic, messages[0].topic.empty() ? "topic" : "another");
    }
  }
}

TEST_F(KafkaSpoolTest, AnEmptyEpochHasNothingToCommit) {
  const auto writer = NewWriter();
  EXPECT_THAT(Prepare(*writer, 1), IsEmpty());
  Write(*writer, {.value = "1"});
  EXPECT_THAT(Prepare(*writer, 2), SizeIs(1));
  EXPECT_THAT(Prepare(*writer, 3), IsEmpty());
}

TEST_F(KafkaSpoolTest, ALargeEpochLiesInTheCheckpointsStoreAndNoLongerOnTheLocalDisk) {
  const auto writer = NewWriter();
  for (int i = 0; i < 100; ++i) Write(*writer, {.value = std::string(10'000, 'x')});
  const std::vector<Committable> committables = Prepare(*writer, 7);
  ASSERT_THAT(committables, SizeIs(1));
  ASSERT_THAT(committables[0].files, SizeIs(1));
  EXPECT_THAT(committables[0].files[0].path, HasSubstr("-alerts.3."));
  EXPECT_THAT(committables[0].files[0].path, ::testing::EndsWith(".7.epoch"));
  EXPECT_EQ(NumFiles("shared"), 1U);
  EXPECT_EQ(NumFiles("local"), 0U);
  EXPECT_LT(committables[0].bytes.size(), 1'000U);
}

TEST_F(KafkaSpoolTest, AWriterThatEndsLeavesNoFile) {
  auto writer = NewWriter();
  for (int i = 0; i < 100; ++i) Write(*writer, {.value = std::string(10'000, 'x')});
  auto prepare = writer->BeginCommit(CheckpointId(1));
  for (int i = 0; i < 100; ++i) Write(*writer, {.value = std::string(10'000, 'x')});
  writer->Close();
  writer.reset();
  *prepare = nullptr;
  EXPECT_EQ(NumFiles("local"), 0U);
  EXPECT_EQ(NumFiles("shared"), 0U);
}

TEST_F(KafkaSpoolTest, RefusesARecordThatKafkaWouldRefuseAtTheCommit) {
  const auto writer = NewWriter(/*max_message_bytes=*/1'000);
  Write(*writer, {.value = std::string(800, 'x')});
  const absl::Status status = writer->Write({.value = std::string(1'000, 'x')}, EventTime::Min());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("message.max.bytes"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("topic=topic"));
}

TEST_F(KafkaSpoolTest, TheEventTimeCountsWhereAMessageHasNoTimestamp) {
  std::string bytes;
  AppendKafkaMessage({.value = "1"}, EventTime::FromMillis(5), &bytes);
  AppendKafkaMessage({.value = "2", .timestamp = EventTime::FromMillis(7)},
                     EventTime::FromMillis(5), &bytes);
  AppendKafkaMessage({.value = "3"}, EventTime::Max(), &bytes);
  const auto messages = ReadFrom(bytes, "");
  ASSERT_TRUE(messages.ok());
  ASSERT_THAT(*messages, SizeIs(3));
  EXPECT_EQ((*messages)[0].timestamp, EventTime::FromMillis(5));
  EXPECT_EQ((*messages)[1].timestamp, EventTime::FromMillis(7));
  EXPECT_EQ((*messages)[2].timestamp, EventTime::Min());
}

TEST_F(KafkaSpoolTest, DamagedBytesAreDataLossAndNoCrash) {
  std::string bytes;
  for (int i = 0; i < 5; ++i) {
    AppendKafkaMessage({.key = "key",
                        .value = StrCat(i),
                        .has_key = true,
                        .headers = {{.key = "h", .value = "v"}}},
                       EventTime::FromMillis(5), &bytes);
  }
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = ReadFrom(bytes.substr(0, size), "");
    EXPECT_TRUE(cut.ok() ? cut->size() < 5 : absl::IsDataLoss(cut.status())) << size;
  }
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0xff);
    (void)ReadFrom(damaged, "");
  }
  EXPECT_TRUE(absl::IsDataLoss(ParseKafkaEpoch("").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseKafkaEpoch("\x02").status()));
  EXPECT_TRUE(absl::IsDataLoss(ParseKafkaEpoch("\x01 and something else").status()));
}

TEST_F(KafkaSpoolTest, AnEpochIsFoundAfterItsSnapshotWasMoved) {
  const auto writer = NewWriter();
  for (int i = 0; i < 100; ++i) Write(*writer, {.value = std::string(10'000, 'x')});
  const std::vector<Committable> committables = Prepare(*writer, 7);
  const std::string path = committables[0].files[0].path;
  // As a savepoint, and the job that takes it over, name it.
  const std::string ending = path.substr(path.rfind('-'));
  folder_.Write(StrCat("shared/restored-0", ending), "another content");
  std::filesystem::rename(path, folder_.PathOf(StrCat("shared/restored-1", ending)));
  const auto read = ReadBack(committables[0]);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_THAT(*read, SizeIs(100));
  std::filesystem::remove(folder_.PathOf(StrCat("shared/restored-1", ending)));
  EXPECT_TRUE(absl::IsDataLoss(ReadBack(committables[0]).status()));
}

TEST_F(KafkaSpoolTest, AFileThatWasChangedInTheStoreIsFoundByItsChecksum) {
  const auto writer = NewWriter();
  for (int i = 0; i < 100; ++i) Write(*writer, {.value = std::string(10'000, 'x')});
  const std::vector<Committable> committables = Prepare(*writer, 1);
  const std::string path = committables[0].files[0].path;
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5'000);
    file.put('y');
  }
  const auto read = ReadBack(committables[0]);
  EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
  EXPECT_THAT(std::string(read.status().message()), HasSubstr(path));
}

}  // namespace
}  // namespace weir::internal
