#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operators/connectors/kafka/kafka_sink.h"
#include "operators/connectors/kafka/kafka_source.h"
#include "runtime/base/clock.h"
#include "runtime/base/strings.h"
#include "runtime/checkpoint/file_state_store.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/seeds.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The exactly-once sink on a real broker, given by tests/support/with_kafka.
class KafkaTransactionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* servers = std::getenv("KAFKA_BOOTSTRAP_SERVERS");
    if (servers == nullptr) {
      const char* reason = std::getenv("KAFKA_UNAVAILABLE");
      GTEST_SKIP() << "NO KAFKA BROKER, nothing of Kafka's transactions was tested: "
                   << (reason != nullptr ? reason : "run it by tests/support/with_kafka");
    }
    servers_ = servers;
    topic_ = StrCat(::testing::UnitTest::GetInstance()->current_test_info()->name(), "-",
                    ToString(job_).substr(0, 8));
    Service(StrCat("topic ", topic_, " 2"));
    store_ = std::make_shared<FileStateStore>(folder_.PathOf("shared"), "job");
  }
  static void Service(const std::string& arguments) {
    const std::string command = StrCat("\"$KAFKA_SERVICE\" ", arguments, " >/dev/null 2>&1");
    ASSERT_EQ(std::system(command.c_str()), 0) << arguments;
  }

  KafkaSinkOptions Options() const {
    return {.brokers = servers_,
            .topic = topic_,
            .properties = {},
            .delivery_guarantee = DeliveryGuarantee::kExactlyOnce};
  }
  KafkaSink<int> Sink() const {
    return {Options(), [](const int& number, KafkaMessage* message) {
              // Some epochs are small and some are not.
              message->value = StrCat(number, std::string(number % 3 == 0 ? 3'000 : 0, ' '));
            }};
  }
  std::unique_ptr<FakeSinkContext> NewAttempt(uint32_t subtask) {
    auto context = std::make_unique<FakeSinkContext>(&pool_, subtask, job_);
    context->mutable_place().local_dir = folder_.PathOf(StrCat("local-", num_attempts_++));
    context->set_state_store(store_);
    return context;
  }
  std::vector<Committable> Epoch(FakeSinkContext& context, SinkWriter<int>& writer,
                                 uint64_t checkpoint, const std::vector<int>& numbers) {
    for (const int number : numbers) {
      while (!writer.Ready()) context.task().AwaitWake();
      const absl::Status status = writer.Write(number, EventTime::Min());
      EXPECT_TRUE(status.ok()) << status;
    }
    auto committables = context.Prepare(writer, checkpoint);
    EXPECT_TRUE(committables.ok()) << committables.status();
    return *std::move(committables);
  }
  std::unique_ptr<Committer> OpenCommitter(FakeSinkContext& context, bool restored = false,
                                           const std::vector<std::string>& predecessors = {}) {
    auto committer = Sink().CreateCommitter(context);
    const absl::Status status = committer->Open(restored, predecessors);
    EXPECT_TRUE(status.ok()) << status;
    return committer;
  }
  static std::vector<int> Range(int begin, int end) {
    std::vector<int> numbers;
    for (int number = begin; number < end; ++number) numbers.push_back(number);
    return numbers;
  }
  // Returns where the topic's two partitions end for a reader of that isolation level.
  std::vector<int64_t> EndOffsets(const char* isolation_level) const {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char reason[512];
    for (const auto& [name, value] :
         {std::pair<std::string, std::string>{"bootstrap.servers", servers_},
          {"isolation.level", isolation_level}}) {
      EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)),
                RD_KAFKA_CONF_OK);
    }
    rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
    std::vector<int64_t> ends;
    for (int partition = 0; partition < 2; ++partition) {
      int64_t begin = 0;
      EXPECT_EQ(rd_kafka_query_watermark_offsets(consumer, topic_.c_str(), partition, &begin,
                                                 &ends.emplace_back(), 60'000),
                RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    rd_kafka_destroy(consumer);
    return ends;
  }
  // A commit has succeeded a moment before readers see it: waits until no transaction is open.
  void WaitUntilVisible(absl::Duration timeout) const {
    const Stopwatch watch;
    while (EndOffsets("read_committed") != EndOffsets("read_uncommitted")) {
      ASSERT_LT(watch.Elapsed(), timeout) << "a transaction is open";
      absl::SleepFor(absl::Milliseconds(20));
    }
  }
  // What a consumer with isolation.level=read_committed, which is the default, gets up to the ends
  // that the partitions have now, once no transaction is open.
  std::vector<int> ReadCommitted(absl::Duration timeout = absl::Seconds(60)) {
    WaitUntilVisible(timeout);
    const KafkaSource source({.brokers = servers_, .topics = {topic_}, .bounded = true});
    SourceHarness<KafkaRecord> harness(source, 1, &pool_);
    absl::Status status = harness.Start();
    if (status.ok()) status = harness.RunUntil([&] { return harness.AllEnded(); }, timeout);
    EXPECT_TRUE(status.ok()) << status;
    std::vector<int> numbers;
    for (const KafkaRecord& record : harness.records()) numbers.push_back(std::stoi(record.value));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }
  // Begins a transaction as an attempt would that then dies, and leaves it open.
  rd_kafka_t* LeaveTransactionOpen(const std::string& id) const {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char reason[512];
    for (const auto& [name, value] :
         {std::pair<std::string, std::string>{"bootstrap.servers", servers_},
          {"transactional.id", id}}) {
      EXPECT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), reason, sizeof(reason)),
                RD_KAFKA_CONF_OK);
    }
    rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
    EXPECT_EQ(rd_kafka_init_transactions(producer, 60'000), nullptr);
    EXPECT_EQ(rd_kafka_begin_transaction(producer), nullptr);
    for (int partition = 0; partition < 2; ++partition) {
      EXPECT_EQ(rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic_.c_str()),
                                  RD_KAFKA_V_PARTITION(partition),
                                  RD_KAFKA_V_VALUE(const_cast<char*>("-1"), 2),
                                  RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    EXPECT_EQ(rd_kafka_flush(producer, 60'000), RD_KAFKA_RESP_ERR_NO_ERROR);
    return producer;
  }

  const JobId job_ = RandomId<JobId>();
  std::string servers_;
  std::string topic_;
  TemporaryFolder folder_;
  std::shared_ptr<FileStateStore> store_;
  IoPool pool_{"test-io", 4};
  int num_attempts_ = 0;
};

TEST_F(KafkaTransactionsTest, ACrashBetweenTheCommitAndItsAcknowledgementWritesNothingTwice) {
  const auto context = NewAttempt(0);
  const KafkaSink<int> sink = Sink();
  const auto writer = *sink.CreateWriter(*context);
  const auto first = Epoch(*context, *writer, 1, Range(0, 100));
  const auto second = Epoch(*context, *writer, 2, Range(100, 200));
  std::string identity;
  {
    const auto committer = OpenCommitter(*context);
    identity = committer->Identity();
    ASSERT_TRUE(committer->Commit(first).ok());
  }
  // The checkpoint still holds both.
  std::vector<Committable> left = first;
  left.insert(left.end(), second.begin(), second.end());
  const auto restarted = NewAttempt(0);
  const auto committer = OpenCommitter(*restarted, /*restored=*/true, {identity});
  const absl::Status status = committer->Commit(left);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadCommitted(), Range(0, 200));
}

TEST_F(KafkaTransactionsTest, ARestartEndsWhatADeadAttemptLeftOpenAlsoWithFewerSubtasks) {
  std::vector<std::string> identities;
  std::vector<rd_kafka_t*> dead;
  for (uint32_t subtask = 0; subtask < 3; ++subtask) {
    const auto context = NewAttempt(subtask);
    identities.push_back(Sink().CreateCommitter(*context)->Identity());
    dead.push_back(LeaveTransactionOpen(identities.back()));
  }
  const auto context = NewAttempt(0);
  const auto writer = *Sink().CreateWriter(*context);
  const auto committer = OpenCommitter(*context, /*restored=*/true, identities);
  ASSERT_TRUE(committer->Commit(Epoch(*context, *writer, 1, Range(0, 10))).ok());
  // An open transaction would hold the consumer back for a minute, its timeout.
  EXPECT_EQ(ReadCommitted(absl::Seconds(30)), Range(0, 10));
  for (rd_kafka_t* producer : dead) {
    // The dead, were they alive, cannot go on.
    rd_kafka_error_t* error = rd_kafka_commit_transaction(producer, 10'000);
    EXPECT_NE(error, nullptr);
    rd_kafka_error_destroy(error);
    rd_kafka_purge(producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(producer);
  }
}

TEST_F(KafkaTransactionsTest, AnOlderAttemptThatStillLivesIsFenced) {
  const auto old_context = NewAttempt(0);
  const auto writer = *Sink().CreateWriter(*old_context);
  const auto old_committer = OpenCommitter(*old_context);
  const auto epoch = Epoch(*old_context, *writer, 1, Range(0, 10));
  const auto new_context = NewAttempt(0);
  const auto new_committer =
      OpenCommitter(*new_context, /*restored=*/true, {old_committer->Identity()});
  ASSERT_TRUE(new_committer->Commit(epoch).ok());
  const absl::Status status = old_committer->Commit(epoch);
  EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
  EXPECT_EQ(ReadCommitted(), Range(0, 10));
}

TEST_F(KafkaTransactionsTest, SaysBeforeTheFirstRecordThatTheBrokersAllowNoSuchTransactions) {
  KafkaSinkOptions options = Options();
  options.properties["transaction.timeout.ms"] = "3600000";
  const auto context = NewAttempt(0);
  const auto committer =
      KafkaSink<int>(options, [](const int&, KafkaMessage*) {}).CreateCommitter(*context);
  const absl::Status status = committer->Open(/*restored=*/false, {});
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("transaction.max.timeout.ms"));
}

TEST_F(KafkaTransactionsTest, ACancelInTheMiddleOfACommitLeavesNoTransactionOpen) {
  const auto context = NewAttempt(0);
  const auto writer = *Sink().CreateWriter(*context);
  auto committer = OpenCommitter(*context);
  std::vector<Committable> epochs;
  std::mt19937_64 random(7);
  for (uint64_t checkpoint = 1; checkpoint <= 20; ++checkpoint) {
    for (Committable& committable : Epoch(*context, *writer, checkpoint, Range(0, 3'000))) {
      epochs.push_back(std::move(committable));
    }
  }
  absl::Status status;
  {
    std::jthread commit([&] { status = committer->Commit(epochs); });
    // Somewhere between two epochs, or within one.
    const auto now = std::chrono::steady_clock::now();
    while (std::chrono::steady_clock::now() < now + std::chrono::milliseconds(random() % 300)) {
      std::this_thread::yield();
    }
    committer->Close();
  }
  committer.reset();
  // Whole epochs, however many; and nobody waits for the end of a transaction.
  EXPECT_EQ(ReadCommitted(absl::Seconds(30)).size() % 3'000, 0U);
}

TEST_F(KafkaTransactionsTest, ACommitSurvivesACrashOfTheBroker) {
  const auto context = NewAttempt(0);
  const auto writer = *Sink().CreateWriter(*context);
  const auto committer = OpenCommitter(*context);
  std::vector<Committable> epochs;
  for (int checkpoint = 1; checkpoint <= 20; ++checkpoint) {
    const int begin = (checkpoint - 1) * 500;
    for (Committable& committable :
         Epoch(*context, *writer, static_cast<uint64_t>(checkpoint), Range(begin, begin + 500))) {
      epochs.push_back(std::move(committable));
    }
  }
  absl::Status status;
  {
    std::jthread commit([&] {
      // As Committing does: again, while the error is one that passes.
      const Stopwatch stopwatch;
      do {
        status = committer->Commit(epochs);
      } while (absl::IsUnavailable(status) && stopwatch.Elapsed() < absl::Seconds(90));
    });
    Service("kill");
    Service("start");
  }
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(ReadCommitted(), Range(0, 10'000));
}

TEST_F(KafkaTransactionsTest, HeadersKeepTheirOrderAndNullsAreNotEmptyOnes) {
  const KafkaSink<int> sink(
      Options(), KafkaRecordSerializationSchema<int>()
                     .SetValue([](const int&, std::string* value) { *value = "1"; })
                     .SetHeaders([](const int&, std::vector<KafkaHeader>* headers) {
                       headers->push_back({.key = "a", .value = "1", .is_null = false});
                       headers->push_back({.key = "a", .value = "", .is_null = false});
                       headers->push_back({.key = "b", .value = "", .is_null = true});
                     })
                     .SetPartitioner([](const int&, const KafkaMessage&, int32_t) { return 1; }));
  const auto context = NewAttempt(0);
  const auto writer = *sink.CreateWriter(*context);
  const auto committer = OpenCommitter(*context);
  ASSERT_TRUE(committer->Commit(Epoch(*context, *writer, 1, {1})).ok());

  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char reason[512];
  rd_kafka_conf_set(conf, "bootstrap.servers", servers_.c_str(), reason, sizeof(reason));
  rd_kafka_conf_set(conf, "group.id", "headers", reason, sizeof(reason));
  rd_kafka_t* consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
  rd_kafka_topic_partition_list_t* partitions = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(partitions, topic_.c_str(), 1)->offset = 0;
  rd_kafka_assign(consumer, partitions);
  rd_kafka_topic_partition_list_destroy(partitions);
  rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, 30'000);
  ASSERT_NE(message, nullptr);
  ASSERT_EQ(message->err, RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_headers_t* headers = nullptr;
  ASSERT_EQ(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
  std::vector<KafkaHeader> read;
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (rd_kafka_header_get_all(headers, read.size(), &name, &value, &size) ==
         RD_KAFKA_RESP_ERR_NO_ERROR) {
    read.push_back({.key = name,
                    .value = std::string(static_cast<const char*>(value), size),
                    .is_null = value == nullptr});
  }
  rd_kafka_message_destroy(message);
  rd_kafka_destroy(consumer);
  EXPECT_THAT(read, ElementsAre(KafkaHeader{"a", "1", false}, KafkaHeader{"a", "", false},
                                KafkaHeader{"b", "", true}));
}

// What a checkpoint holds of one subtask.
struct Share {
  std::string identity;
  std::vector<Committable> committables;
};

// One subtask of the sink, with what its task would know.
struct Subtask {
  std::unique_ptr<FakeSinkContext> context;
  std::unique_ptr<Committer> committer;
  std::unique_ptr<SinkWriter<int>> writer;
  std::vector<Committable> pending;
};

// Checkpoints that fail, commits that lag, crashes at any moment, changes of parallelism: what a
// consumer reads is what was in completed checkpoints.
TEST_F(KafkaTransactionsTest, WritesWhatCompletedCheckpointsHoldWhateverHappens) {
  std::vector<int> expected;
  int next_number = 0;
  uint64_t next_checkpoint = 1;
  for (unsigned seed = 1; seed <= NumSeeds(6); ++seed) {
    SCOPED_TRACE(StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const auto chance = [&](int percent) {
      return random() % 100 < static_cast<uint64_t>(percent);
    };
    std::vector<Share> restored;  // Of the last seed's end, too.
    for (int attempt = 0; attempt < 4; ++attempt) {
      std::vector<Subtask> subtasks(1 + random() % 3);
      for (size_t i = 0; i < subtasks.size(); ++i) {
        Subtask& subtask = subtasks[i];
        subtask.context = NewAttempt(static_cast<uint32_t>(i));
        std::vector<std::string> predecessors;
        std::vector<Committable> left;
        for (size_t j = i * restored.size() / subtasks.size();
             j < (i + 1) * restored.size() / subtasks.size(); ++j) {
          predecessors.push_back(restored[j].identity);
          left.insert(left.end(), restored[j].committables.begin(), restored[j].committables.end());
        }
        subtask.committer = OpenCommitter(*subtask.context, !restored.empty(), predecessors);
        const absl::Status status = subtask.committer->Commit(left);
        ASSERT_TRUE(status.ok()) << status;
        subtask.writer = *Sink().CreateWriter(*subtask.context);
      }
      std::vector<int> unconfirmed;
      for (uint64_t rounds = random() % 5; rounds > 0; --rounds) {
        const uint64_t checkpoint = next_checkpoint++;
        std::vector<Share> snapshot;
        for (Subtask& subtask : subtasks) {
          std::vector<int> numbers;
          for (uint64_t n = chance(20) ? 0 : random() % 200; n > 0; --n) {
            numbers.push_back(next_number++);
          }
          for (Committable& committable :
               Epoch(*subtask.context, *subtask.writer, checkpoint, numbers)) {
            subtask.pending.push_back(std::move(committable));
          }
          unconfirmed.insert(unconfirmed.end(), numbers.begin(), numbers.end());
          snapshot.push_back({subtask.committer->Identity(), subtask.pending});
        }
        if (chance(20)) continue;  // The checkpoint fails; the next one carries its epochs.
        restored = std::move(snapshot);
        expected.insert(expected.end(), unconfirmed.begin(), unconfirmed.end());
        unconfirmed.clear();
        for (Subtask& subtask : subtasks) {
          if (chance(30)) continue;  // Not told yet.
          const absl::Status status = subtask.committer->Commit(subtask.pending);
          ASSERT_TRUE(status.ok()) << status;
          if (chance(80)) subtask.pending.clear();  // Else it dies before it knows.
        }
      }
      for (Subtask& subtask : subtasks) {
        if (!chance(30)) continue;
        // Dies in the middle of a commit of what is in a completed checkpoint.
        absl::Status ignored;
        const size_t index = static_cast<size_t>(&subtask - subtasks.data());
        if (index >= restored.size()) continue;
        std::jthread commit(
            [&] { ignored = subtask.committer->Commit(restored[index].committables); });
        for (uint64_t i = random() % 100'000; i > 0; --i) std::this_thread::yield();
        subtask.committer->Close();
      }
    }
    // The end: all that is left is committed.
    for (const Share& share : restored) {
      const auto context = NewAttempt(0);
      const auto committer = OpenCommitter(*context, /*restored=*/true, {share.identity});
      const absl::Status status = committer->Commit(share.committables);
      ASSERT_TRUE(status.ok()) << status;
    }
    std::sort(expected.begin(), expected.end());
    const std::vector<int> actual = ReadCommitted();
    std::vector<int> missing;
    std::vector<int> extra;
    std::set_difference(expected.begin(), expected.end(), actual.begin(), actual.end(),
                        std::back_inserter(missing));
    std::set_difference(actual.begin(), actual.end(), expected.begin(), expected.end(),
                        std::back_inserter(extra));
    ASSERT_THAT(missing, ElementsAre());
    ASSERT_THAT(extra, ElementsAre());
  }
  EXPECT_GT(expected.size(), 500U);
}

}  // namespace
}  // namespace weir
