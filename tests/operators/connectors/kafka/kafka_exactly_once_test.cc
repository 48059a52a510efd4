#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/mock_kafka.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The sink's writer and committer against a mock of Kafka. What takes real brokers (isolation,
// fencing across processes) is in kafka_transactions_test.cc.
class KafkaExactlyOnceTest : public ::testing::Test {
 protected:
  KafkaExactlyOnceTest() {
    kafka_.CreateTopic("out", 2);
    context_.mutable_place().local_dir = folder_.PathOf("local");
    context_.set_state_store(std::make_shared<FileStateStore>(folder_.PathOf("shared"), "job"));
  }

  KafkaSinkOptions Options() const {
    return {.brokers = kafka_.brokers(),
            .topic = "out",
            .properties = {},
            .delivery_guarantee = DeliveryGuarantee::kExactlyOnce};
  }
  KafkaSink<int> Sink() const {
    return {Options(),
            [](const int& number, KafkaMessage* message) { message->value = StrCat(number); }};
  }
  // An epoch with the numbers, as committables.
  std::vector<Committable> Epoch(SinkWriter<int>& writer, uint64_t checkpoint,
                                 const std::vector<int>& numbers) {
    for (const int number : numbers) {
      const absl::Status status = writer.Write(number, EventTime::Min());
      EXPECT_TRUE(status.ok()) << status;
    }
    auto committables = context_.Prepare(writer, checkpoint);
    EXPECT_TRUE(committables.ok()) << committables.status();
    return *std::move(committables);
  }
  std::unique_ptr<Committer> OpenCommitter() {
    auto committer = Sink().CreateCommitter(context_);
    const absl::Status status = committer->Open(/*restored=*/false, {});
    EXPECT_TRUE(status.ok()) << status;
    return committer;
  }
  // What is in the topic, in order of the numbers.
  std::vector<int> Numbers() {
    const KafkaSource source({.brokers = kafka_.brokers(), .topics = {"out"}, .bounded = true});
    SourceHarness<KafkaRecord> harness(source, 1, &pool_);
    absl::Status status = harness.Start();
    if (status.ok()) status = harness.RunToEnd();
    EXPECT_TRUE(status.ok()) << status;
    std::vector<int> numbers;
    for (const KafkaRecord& record : harness.records()) numbers.push_back(std::stoi(record.value));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }

  MockKafka kafka_;
  TemporaryFolder folder_;
  IoPool pool_{"test-io", 2};
  FakeSinkContext context_{&pool_, 0, RandomId<JobId>()};
};

TEST_F(KafkaExactlyOnceTest, WritesAnEpochWhenItIsCommittedAndNotBefore) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  const auto committer = OpenCommitter();
  const std::vector<Committable> first = Epoch(*writer, 1, {1, 2, 3});
  const std::vector<Committable> second = Epoch(*writer, 2, {4});
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_THAT(Numbers(), IsEmpty());
  absl::Status status = committer->Commit(first);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Numbers(), ElementsAre(1, 2, 3));
  status = committer->Commit(second);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Numbers(), ElementsAre(1, 2, 3, 4));
}

TEST_F(KafkaExactlyOnceTest, CommitsManyEpochsInOrderAndSkipsWhatThisCommitterHasWritten) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  const auto committer = OpenCommitter();
  std::vector<Committable> all;
  for (int checkpoint = 1; checkpoint <= 10; ++checkpoint) {
    for (Committable& committable :
         Epoch(*writer, static_cast<uint64_t>(checkpoint), {checkpoint})) {
      all.push_back(std::move(committable));
    }
  }
  ASSERT_TRUE(committer->Commit(all).ok());
  ASSERT_TRUE(committer->Commit(all).ok());
  EXPECT_THAT(Numbers(), ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

TEST_F(KafkaExactlyOnceTest, WritesALargeEpochFromItsFileAndLeavesTheFileToTheCheckpoint) {
  const KafkaSink<std::string> sink(Options(),
                                    KafkaRecordSerializationSchema<std::string>::ValueOnly());
  const auto writer = *sink.CreateWriter(context_);
  for (int i = 0; i < 300; ++i) {
    while (!writer->Ready()) context_.task().AwaitWake();
    ASSERT_TRUE(writer->Write(StrCat(i, std::string(5'000, ' ')), EventTime::Min()).ok());
  }
  const auto committables = *context_.Prepare(*writer, 1);
  ASSERT_THAT(committables, SizeIs(1));
  ASSERT_THAT(committables[0].files, SizeIs(1));
  const absl::Status status = OpenCommitter()->Commit(committables);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(Numbers(), SizeIs(300));
  EXPECT_TRUE(std::filesystem::exists(committables[0].files[0].path));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.PathOf("local")));
}

TEST_F(KafkaExactlyOnceTest, SaysBeforeTheFirstRecordThatTransactionsMayNotBeSoLong) {
  kafka_.FailNext(MockKafka::kInitProducerId, {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT});
  KafkaSinkOptions options = Options();
  options.properties["transaction.timeout.ms"] = "3600000";
  const KafkaSink<int> sink(options, [](const int&, KafkaMessage*) {});
  const auto committer = sink.CreateCommitter(context_);
  const absl::Status status = committer->Open(/*restored=*/false, {});
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("transaction.max.timeout.ms"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("transaction.timeout.ms=3600000"));
}

TEST_F(KafkaExactlyOnceTest, TriesAgainWhatMayPass) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  kafka_.FailNext(MockKafka::kInitProducerId, {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                               RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS});
  const auto committer = OpenCommitter();
  const std::vector<Committable> epoch = Epoch(*writer, 1, {1, 2});
  kafka_.FailNext(MockKafka::kAddPartitionsToTxn,
                  {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, RD_KAFKA_RESP_ERR_NOT_COORDINATOR});
  kafka_.FailNext(MockKafka::kAddOffsetsToTxn, {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS});
  kafka_.FailNext(MockKafka::kTxnOffsetCommit, {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS});
  kafka_.FailNext(MockKafka::kEndTxn, {RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
                                       RD_KAFKA_RESP_ERR_NOT_COORDINATOR});
  const absl::Status status = committer->Commit(epoch);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(Numbers(), ElementsAre(1, 2));
}

TEST_F(KafkaExactlyOnceTest, AProducerThatWasFencedEndsTheTaskAndIsNotTriedAgain) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  const auto committer = OpenCommitter();
  const std::vector<Committable> epoch = Epoch(*writer, 1, {1});
  kafka_.FailNext(MockKafka::kEndTxn, {RD_KAFKA_RESP_ERR_PRODUCER_FENCED});
  const absl::Status status = committer->Commit(epoch);
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(committer->Identity()));
  EXPECT_THAT(std::string(status.message()), HasSubstr("newer producer"));
}

TEST_F(KafkaExactlyOnceTest, ATransactionThatMustBeAbortedIsAbortedAndLaterWrittenByTheSameEpoch) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  const auto committer = OpenCommitter();
  const std::vector<Committable> epoch = Epoch(*writer, 1, {1});
  kafka_.FailNext(MockKafka::kTxnOffsetCommit, {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE});
  absl::Status status = committer->Commit(epoch);
  EXPECT_FALSE(status.ok());
  status = committer->Commit(epoch);
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(KafkaExactlyOnceTest, ATransactionalIdThatIsNotAllowedIsNoMatterOfTime) {
  kafka_.FailNext(MockKafka::kInitProducerId,
                  {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED});
  const auto committer = Sink().CreateCommitter(context_);
  const absl::Status status = committer->Open(/*restored=*/false, {});
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("transactional_id_prefix"));
}

TEST_F(KafkaExactlyOnceTest, ACommitWaitsForABrokerThatComesBack) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  const auto committer = OpenCommitter();
  const std::vector<Committable> epoch = Epoch(*writer, 1, {1, 2, 3});
  kafka_.SetDown();
  absl::Status status;
  std::jthread commit([&] { status = committer->Commit(epoch); });
  kafka_.SetUp();
  commit.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(Numbers(), ElementsAre(1, 2, 3));
}

TEST_F(KafkaExactlyOnceTest, ACloseEndsACommitThatWaitsForADeadBroker) {
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(context_);
  const auto committer = OpenCommitter();
  const std::vector<Committable> epoch = Epoch(*writer, 1, {1, 2, 3});
  kafka_.SetDown();
  absl::Status status;
  std::jthread commit([&] { status = committer->Commit(epoch); });
  committer->Close();
  commit.join();
  EXPECT_FALSE(status.ok());
}

TEST_F(KafkaExactlyOnceTest, ARestoredSubtaskEndsTheTransactionsOfItsPredecessors) {
  const auto committer = Sink().CreateCommitter(context_);
  // Were an id not taken up, this error would not be met.
  kafka_.FailNext(MockKafka::kInitProducerId,
                  {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED});
  const absl::Status status = committer->Open(/*restored=*/true, {"another-id"});
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("another-id"));
}

TEST_F(KafkaExactlyOnceTest, ASubtaskBeyondTheOldParallelismTouchesNoIdBeforeItsFirstCommit) {
  const auto committer = Sink().CreateCommitter(context_);
  kafka_.FailNext(MockKafka::kInitProducerId,
                  {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED});
  const absl::Status status = committer->Open(/*restored=*/true, {});
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(KafkaExactlyOnceTest, TheSchemaSaysEverythingOfARecord) {
  const KafkaSink<int> sink(
      Options(),
      KafkaRecordSerializationSchema<int>()
          .SetValue([](const int& number, std::string* value) { *value = StrCat(number); })
          .SetKey([](const int& number, std::string* key) { *key = StrCat("k", number); })
          .SetTimestamp([](const int& number) { return EventTime::FromMillis(1000 + number); })
          .SetPartitioner([](const int& number, const KafkaMessage& message, int32_t partitions) {
            EXPECT_EQ(partitions, 2);
            EXPECT_EQ(message.key, StrCat("k", number));
            return number % partitions;
          }));
  const auto writer = *sink.CreateWriter(context_);
  const std::vector<Committable> epoch = Epoch(*writer, 1, {1, 2, 3});
  const absl::Status status = OpenCommitter()->Commit(epoch);
  ASSERT_TRUE(status.ok()) << status;
  const KafkaSource source({.brokers = kafka_.brokers(), .topics = {"out"}, .bounded = true});
  SourceHarness<KafkaRecord> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(harness.RunToEnd().ok());
  ASSERT_THAT(harness.records(), SizeIs(3));
  for (const KafkaRecord& record : harness.records()) {
    const int number = std::stoi(record.value);
    EXPECT_EQ(record.partition, number % 2);
    EXPECT_EQ(record.key, StrCat("k", number));
    EXPECT_EQ(record.timestamp, EventTime::FromMillis(1000 + number));
  }
}

TEST_F(KafkaExactlyOnceTest, APartitionThatThereIsNotFailsTheRecord) {
  const KafkaSink<int> sink(
      Options(), KafkaRecordSerializationSchema<int>()
                     .SetValue([](const int&, std::string*) {})
                     .SetPartitioner([](const int&, const KafkaMessage&, int32_t partitions) {
                       return partitions;
                     }));
  const auto writer = *sink.CreateWriter(context_);
  const absl::Status status = writer->Write(1, EventTime::Min());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("partition=2 partitions=2"));
}

}  // namespace
}  // namespace weir
