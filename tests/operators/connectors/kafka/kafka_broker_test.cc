#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Runs on a real broker, given by tests/support/with_kafka.
class KafkaBrokerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* servers = std::getenv("KAFKA_BOOTSTRAP_SERVERS");
    if (servers == nullptr) {
      const char* reason = std::getenv("KAFKA_UNAVAILABLE");
      GTEST_SKIP() << "NO KAFKA BROKER, nothing of the Kafka connectors was tested: "
                   << (reason != nullptr ? reason : "run it by tests/support/with_kafka");
    }
    servers_ = servers;
    // A topic per test, so that tests do not see each other's records.
    topic_ = StrCat(::testing::UnitTest::GetInstance()->current_test_info()->name(), "-",
                    ToString(RandomId<JobId>()).substr(0, 8));
  }

  void MakeTopic(int partitions) const { Service(StrCat("topic ", topic_, " ", partitions)); }
  static void Service(const std::string& arguments) {
    const std::string command = StrCat("\"$KAFKA_SERVICE\" ", arguments, " >/dev/null 2>&1");
    ASSERT_EQ(std::system(command.c_str()), 0) << arguments;
  }

  KafkaSourceOptions SourceOptions() const {
    return {.brokers = servers_, .topics = {topic_}, .bounded = true};
  }
  KafkaSinkOptions SinkOptions() const { return {.brokers = servers_, .topic = topic_}; }

  // Writes "<begin>" to "<end - 1>", with the number as key and as timestamp.
  void Produce(int begin, int end, KafkaSinkOptions options) {
    const KafkaSink<int> sink(std::move(options), [](const int& number, KafkaMessage* message) {
      message->key = message->value = StrCat(number);
      message->has_key = true;
      message->timestamp = EventTime::FromMillis(1'700'000'000'000 + number);
    });
    FakeSinkContext context(&pool_, 0, RandomId<JobId>());
    auto writer = sink.CreateWriter(context);
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (int number = begin; number < end; ++number) {
      while (!(*writer)->Ready()) context.task().AwaitWake(absl::Seconds(1));
      const absl::Status status = (*writer)->Write(number, EventTime::Min());
      ASSERT_TRUE(status.ok()) << status;
    }
    const absl::Status status = context.Prepare(**writer).status();
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(context.task().failure().ok()) << context.task().failure();
  }
  void Produce(int begin, int end) { Produce(begin, end, SinkOptions()); }

  static std::vector<int> Numbers(const std::vector<KafkaRecord>& records) {
    std::vector<int> numbers;
    for (const KafkaRecord& record : records) numbers.push_back(std::stoi(record.value));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }
  static std::vector<int> Range(int begin, int end) {
    std::vector<int> numbers;
    for (int number = begin; number < end; ++number) numbers.push_back(number);
    return numbers;
  }
  // Reads what is there to the end.
  std::vector<KafkaRecord> ReadAll(const KafkaSourceOptions& options, uint32_t parallelism = 2) {
    const KafkaSource source(options);
    SourceHarness<KafkaRecord> harness(source, parallelism, &pool_);
    absl::Status status = harness.Start();
    if (status.ok()) status = harness.RunToEnd();
    EXPECT_TRUE(status.ok()) << status;
    return harness.records();
  }

  std::string servers_;
  std::string topic_;
  IoPool pool_{"test-io", 4};
};

TEST_F(KafkaBrokerTest, ReadsWhatWasWrittenWithKeysTimesAndOffsets) {
  MakeTopic(3);
  Produce(0, 5000);
  const std::vector<KafkaRecord> records = ReadAll(SourceOptions());
  EXPECT_EQ(Numbers(records), Range(0, 5000));
  std::map<int32_t, int64_t> next_offsets;
  for (const KafkaRecord& record : records) {
    EXPECT_EQ(record.topic, topic_);
    EXPECT_EQ(record.key, record.value);
    EXPECT_TRUE(record.has_key);
    EXPECT_FALSE(record.is_tombstone);
    EXPECT_EQ(record.timestamp.millis(), 1'700'000'000'000 + std::stoi(record.value));
    EXPECT_EQ(record.offset, next_offsets[record.partition]++);
  }
  EXPECT_THAT(next_offsets, SizeIs(3));
}

TEST_F(KafkaBrokerTest, KeepsTombstonesAndMissingKeysApartFromEmptyOnes) {
  MakeTopic(1);
  const KafkaSink<int> sink(SinkOptions(), [](const int& number, KafkaMessage* message) {
    message->has_key = number > 0;
    message->is_tombstone = number > 1;
    message->key = number > 0 ? "key" : "";
  });
  FakeSinkContext context(&pool_, 0, RandomId<JobId>());
  const auto writer = *sink.CreateWriter(context);
  for (int number = 0; number < 3; ++number) {
    ASSERT_TRUE(writer->Write(number, EventTime::FromMillis(5)).ok());
  }
  ASSERT_TRUE(context.Prepare(*writer).ok());
  const std::vector<KafkaRecord> records = ReadAll(SourceOptions());
  ASSERT_THAT(records, SizeIs(3));
  EXPECT_FALSE(records[0].has_key);
  EXPECT_FALSE(records[0].is_tombstone);
  EXPECT_TRUE(records[1].has_key);
  EXPECT_FALSE(records[1].is_tombstone);
  EXPECT_TRUE(records[2].has_key);
  EXPECT_TRUE(records[2].is_tombstone);
  EXPECT_EQ(records[2].timestamp, EventTime::FromMillis(5));
}

TEST_F(KafkaBrokerTest, GoesOnWhereTheCheckpointWasWithAnotherParallelism) {
  MakeTopic(4);
  Produce(0, 3000);
  KafkaSourceOptions options = SourceOptions();
  options.bounded = false;
  const KafkaSource source(options);
  SourceCheckpoint checkpoint;
  std::vector<KafkaRecord> records;
  {
    SourceHarness<KafkaRecord> harness(source, 3, &pool_);
    ASSERT_TRUE(harness.Start().ok());
    ASSERT_TRUE(harness.RunUntil([&] { return harness.records().size() >= 1000; }).ok());
    checkpoint = harness.Checkpoint();
    records = harness.records();
    ASSERT_TRUE(harness.Step().ok());  // Lost in the crash.
  }
  Produce(3000, 4000);
  SourceHarness<KafkaRecord> harness(source, 2, &pool_);
  ASSERT_TRUE(harness.Start(&checkpoint).ok());
  const size_t left = 4000 - records.size();
  const absl::Status status = harness.RunUntil([&] { return harness.records().size() >= left; });
  ASSERT_TRUE(status.ok()) << status << " " << harness.records().size();
  records.insert(records.end(), harness.records().begin(), harness.records().end());
  EXPECT_EQ(Numbers(records), Range(0, 4000));
}

TEST_F(KafkaBrokerTest, IsCaughtUpWithFullAndEmptyPartitionsAndFollowsWhatComes) {
  MakeTopic(8);
  Produce(0, 4);  // Some partitions stay empty.
  KafkaSourceOptions options = SourceOptions();
  options.bounded = false;
  const KafkaSource source(options);
  SourceHarness<KafkaRecord> harness(source, 2, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  EXPECT_FALSE(harness.AllCaughtUp());
  absl::Status status = harness.RunUntil([&] { return harness.AllCaughtUp(); });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Numbers(harness.records()), Range(0, 4));
  Produce(4, 100);
  status = harness.RunUntil([&] { return harness.records().size() >= 100; });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Numbers(harness.records()), Range(0, 100));
}

TEST_F(KafkaBrokerTest, BeginsWhereItIsTold) {
  MakeTopic(1);
  Produce(0, 10);
  KafkaSourceOptions options = SourceOptions();
  options.start = KafkaStart::kLatest;
  EXPECT_THAT(ReadAll(options), SizeIs(0));
  options.start = KafkaStart::kTimestamp;
  options.start_time = absl::FromUnixMillis(1'700'000'000'007);
  EXPECT_EQ(Numbers(ReadAll(options)), Range(7, 10));
}

TEST_F(KafkaBrokerTest, CommitsThePositionsOfACompleteCheckpointToTheGroup) {
  MakeTopic(1);
  Produce(0, 10);
  KafkaSourceOptions options = SourceOptions();
  options.group_id = topic_;
  options.start = KafkaStart::kCommitted;  // Nothing is: the beginning.
  options.bounded = false;
  {
    const KafkaSource source(options);
    SourceHarness<KafkaRecord> harness(source, 1, &pool_);
    ASSERT_TRUE(harness.Start().ok());
    ASSERT_TRUE(harness.RunUntil([&] { return harness.records().size() == 10; }).ok());
    (void)harness.Checkpoint(7);
    ASSERT_TRUE(harness.CompleteCheckpoint(7).ok());
  }
  Produce(10, 12);
  options.bounded = true;
  // The commit is asynchronous, and a broker that has just started first loads its groups.
  std::vector<int> numbers;
  for (const Stopwatch stopwatch;
       numbers != Range(10, 12) && stopwatch.Elapsed() < absl::Seconds(30);) {
    numbers = Numbers(ReadAll(options));
  }
  EXPECT_EQ(numbers, Range(10, 12));
}

TEST_F(KafkaBrokerTest, FindsNewPartitionsAndReadsThemFromTheirBeginning) {
  MakeTopic(1);
  Produce(0, 10);
  KafkaSourceOptions options = SourceOptions();
  options.bounded = false;
  options.discovery_interval = absl::Milliseconds(200);
  const KafkaSource source(options);
  SourceHarness<KafkaRecord> harness(source, 2, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(harness.RunUntil([&] { return harness.AllCaughtUp(); }).ok());
  Service(StrCat("tool TopicCommand --alter --topic ", topic_, " --partitions 3"));
  Produce(10, 1000);
  const absl::Status status = harness.RunUntil([&] { return harness.records().size() >= 1000; });
  ASSERT_TRUE(status.ok()) << status << " " << harness.records().size();
  EXPECT_EQ(Numbers(harness.records()), Range(0, 1000));
}

// Writes a transaction of one record, which ends with a marker that takes an offset too.
void ProduceTransaction(const std::string& servers, const std::string& topic, bool commit) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char reason[512];
  for (const auto& [name, value] :
       {std::pair<std::string, std::string>{"bootstrap.servers", servers},
        {"transactional.id", topic}}) {
    ASSERT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)),
              RD_KAFKA_CONF_OK);
  }
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
  ASSERT_NE(producer, nullptr) << reason;
  ASSERT_EQ(rd_kafka_init_transactions(producer, 60'000), nullptr);
  ASSERT_EQ(rd_kafka_begin_transaction(producer), nullptr);
  std::string value = commit ? "1" : "2";
  rd_kafka_topic_t* handle = rd_kafka_topic_new(producer, topic.c_str(), nullptr);
  ASSERT_EQ(rd_kafka_produce(handle, 0, RD_KAFKA_MSG_F_COPY, value.data(), value.size(), nullptr, 0,
                             nullptr),
            0);
  rd_kafka_topic_destroy(handle);
  if (commit) {
    ASSERT_EQ(rd_kafka_commit_transaction(producer, 60'000), nullptr);
  } else {
    ASSERT_EQ(rd_kafka_flush(producer, 60'000), RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(rd_kafka_abort_transaction(producer, 60'000), nullptr);
  }
  rd_kafka_destroy(producer);
}

TEST_F(KafkaBrokerTest, EndsBehindTransactionsWhoseMarkersAreNoRecords) {
  MakeTopic(1);
  ProduceTransaction(servers_, topic_, /*commit=*/true);
  ProduceTransaction(servers_, topic_, /*commit=*/false);
  EXPECT_EQ(Numbers(ReadAll(SourceOptions())), Range(1, 2));
}

TEST_F(KafkaBrokerTest, NamesATopicThatIsUnknownForTooLong) {
  KafkaSourceOptions options = SourceOptions();
  options.topics = {topic_};
  options.topic_timeout = absl::Milliseconds(100);
  const KafkaSource source(options);
  SourceHarness<KafkaRecord> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  const absl::Status status = harness.RunToEnd();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(topic_));
}

TEST_F(KafkaBrokerTest, WaitsForATopicThatIsMadeLater) {
  KafkaSourceOptions options = SourceOptions();
  const KafkaSource source(options);
  SourceHarness<KafkaRecord> harness(source, 1, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(harness.Step().ok());
  MakeTopic(1);
  const absl::Status status = harness.RunToEnd();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(KafkaBrokerTest, BoundsWhatIsOnItsWayAndLosesNothing) {
  MakeTopic(2);
  KafkaSinkOptions options = SinkOptions();
  options.max_buffered_bytes = 10'000;
  Produce(0, 20'000, options);
  EXPECT_EQ(Numbers(ReadAll(SourceOptions())), Range(0, 20'000));
}

TEST_F(KafkaBrokerTest, ARecordThatIsTooLargeFailsTheTask) {
  MakeTopic(1);
  const KafkaSink<std::string> sink(
      SinkOptions(), [](const std::string& text, KafkaMessage* message) { message->value = text; });
  FakeSinkContext context(&pool_, 0, RandomId<JobId>());
  const auto writer = *sink.CreateWriter(context);
  const absl::Status status = writer->Write(std::string(size_t{3} << 20, 'x'), EventTime::Min());
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
}

TEST_F(KafkaBrokerTest, SurvivesACrashOfTheBroker) {
  MakeTopic(2);
  Produce(0, 1000);
  KafkaSourceOptions options = SourceOptions();
  options.bounded = false;
  const KafkaSource source(options);
  SourceHarness<KafkaRecord> harness(source, 2, &pool_);
  ASSERT_TRUE(harness.Start().ok());
  ASSERT_TRUE(harness.RunUntil([&] { return harness.records().size() >= 1000; }).ok());
  Service("kill");
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(harness.Step().ok());
  Service("start");
  Produce(1000, 2000);
  const absl::Status status = harness.RunUntil([&] { return harness.records().size() >= 2000; });
  ASSERT_TRUE(status.ok()) << status << " " << harness.records().size();
  EXPECT_EQ(Numbers(harness.records()), Range(0, 2000));
}

}  // namespace
}  // namespace weir
