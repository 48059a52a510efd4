#include "operators/connectors/deserializing_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "operators/api/stream_environment.h"
#include "operators/connectors/blackhole_sink.h"
#include "operators/connectors/file/file_source.h"
#include "operators/connectors/kafka/kafka_record.h"
#include "operators/connectors/values_source.h"
#include "operators/testing/collect_sink.h"
#include "operators/testing/mini_cluster.h"
#include "runtime/base/strings.h"
#include "tests/support/connector_contexts.h"
#include "tests/support/temporary_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<int64_t> ParseNumber(const std::string& line) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  if (error != std::errc() || end != line.data() + line.size()) {
    return absl::InvalidArgumentError("not a number");
  }
  if (number == 13) throw std::runtime_error("an unlucky number");
  return number;
}

// Lines of which one in a hundred is garbage.
struct Input {
  explicit Input(unsigned seed) {
    std::mt19937 random(seed);
    for (int64_t i = 0; i < 10'000; ++i) {
      std::string line = StrCat(100 + i);
      if (random() % 100 == 0) {
        line = StrCat("garbage \t\x01", std::string(random() % 200, 'x'));
        garbage.push_back(line);
        offsets.push_back(text.size());
      } else {
        sum += 100 + i;
        ++num_good;
      }
      StrAppend(&text, line, "\n");
    }
  }
  std::string text;
  std::vector<std::string> garbage;
  std::vector<uint64_t> offsets;
  int64_t sum = 0;
  size_t num_good = 0;
};

uint64_t Errors(MetricGroup& metrics) { return metrics.AddCounter("numRecordsInErrors")->value(); }

TEST(DeserializingSourceTest, SkipsGarbageAndCountsIt) {
  const Input input(1);
  TemporaryFolder folder;
  folder.Write("in.log", input.text);
  IoPool pool("test", 2);
  const DeserializingSource source(FileSource({.path = folder.PathOf("in.log")}), ParseNumber,
                                   OnMalformed::kSkip);
  SourceHarness<int64_t> harness(source, 2, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  ASSERT_EQ(harness.RunToEnd(), absl::OkStatus());
  EXPECT_EQ(harness.records().size(), input.num_good);
  int64_t sum = 0;
  for (const int64_t number : harness.records()) sum += number;
  EXPECT_EQ(sum, input.sum);
  EXPECT_EQ(Errors(harness.metrics()), input.garbage.size());
  EXPECT_THAT(harness.dead_letters(), IsEmpty());
}

TEST(DeserializingSourceTest, DeadLettersHoldTheRawBytesAndTheirPlaceAlsoAcrossARestore) {
  const Input input(2);
  TemporaryFolder folder;
  folder.Write("in.log", input.text);
  IoPool pool("test", 2);
  const DeserializingSource source(
      FileSource({.path = folder.PathOf("in.log"), .range_bytes = 20'000, .chunk_bytes = 1000}),
      ParseNumber, OnMalformed::kDeadLetter);
  std::vector<DeadLetter> letters;
  std::optional<SourceCheckpoint> checkpoint;
  while (true) {
    SourceHarness<int64_t> harness(source, 2, &pool);
    ASSERT_EQ(harness.Start(checkpoint.has_value() ? &*checkpoint : nullptr), absl::OkStatus());
    const size_t enough = 50;
    ASSERT_EQ(harness.RunUntil(
                  [&] { return harness.AllEnded() || harness.dead_letters().size() >= enough; }),
              absl::OkStatus());
    letters.insert(letters.end(), harness.dead_letters().begin(), harness.dead_letters().end());
    if (harness.AllEnded()) break;
    checkpoint = harness.Checkpoint();
  }
  std::sort(letters.begin(), letters.end(),
            [](const DeadLetter& a, const DeadLetter& b) { return a.position < b.position; });
  ASSERT_EQ(letters.size(), input.garbage.size());
  for (size_t i = 0; i < letters.size(); ++i) {
    EXPECT_EQ(letters[i].bytes, input.garbage[i]);
    EXPECT_EQ(letters[i].position, input.offsets[i]);
    EXPECT_EQ(letters[i].error, "not a number");
    EXPECT_THAT(letters[i].split, HasSubstr("in.log#"));
  }
}

TEST(DeserializingSourceTest, FailsTheJobWithThePlaceOfTheRecord) {
  TemporaryFolder folder;
  folder.Write("in.log", "1\n2\nx\x01y\n3\n");
  IoPool pool("test", 2);
  const DeserializingSource source(FileSource({.path = folder.PathOf("in.log")}), ParseNumber,
                                   OnMalformed::kFail);
  SourceHarness<int64_t> harness(source, 1, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  const absl::Status status = harness.RunToEnd();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            StrCat("malformed record; mend the input, or have the source skip such records or put "
                   "them out as dead letters (OnMalformed): split=",
                   folder.PathOf("in.log"), "#0 position=4 error=not a number record=x\\x01y"));
  EXPECT_THAT(harness.records(), ElementsAre(1, 2));
}

TEST(DeserializingSourceTest, ADeserializerThatThrowsFoundAMalformedRecord) {
  IoPool pool("test", 2);
  const DeserializingSource source(ValuesSource<std::string>({"12", "13", "14"}), ParseNumber,
                                   OnMalformed::kDeadLetter);
  SourceHarness<int64_t> harness(source, 1, &pool);
  ASSERT_EQ(harness.Start(), absl::OkStatus());
  ASSERT_EQ(harness.RunToEnd(), absl::OkStatus());
  EXPECT_THAT(harness.records(), ElementsAre(12, 14));
  ASSERT_EQ(harness.dead_letters().size(), 1u);
  EXPECT_EQ(harness.dead_letters()[0].error, "an unlucky number");
}

TEST(DeserializingSourceTest, DeadLettersOfAJobAreASideOutputOfItsSource) {
  KafkaRecord good;
  good.value = "7";
  KafkaRecord bad;
  bad.value = "seven";
  CollectSink<int64_t> numbers;
  CollectSink<DeadLetter> letters;
  BlackholeSink<int64_t> nowhere;
  MiniCluster cluster;
  ASSERT_EQ(cluster.Execute([&](StreamEnvironment& environment) {
    const auto parse = [](const KafkaRecord& record) { return ParseNumber(record.value); };
    auto parsed =
        environment.FromSource(DeserializingSource(ValuesSource<KafkaRecord>({good, bad, good}),
                                                   parse, OnMalformed::kDeadLetter),
                               WatermarkStrategy<int64_t>::NoWatermarks(), "numbers");
    parsed.SinkTo(numbers);
    parsed.SinkTo(nowhere);
    parsed.GetSideOutput(DeadLetterTag()).SinkTo(letters);
    return absl::OkStatus();
  }),
            absl::OkStatus());
  EXPECT_THAT(numbers.Values(), ElementsAre(7, 7));
  EXPECT_EQ(nowhere.num_records(), 2u);
  ASSERT_EQ(letters.Values().size(), 1u);
  EXPECT_EQ(letters.Values()[0].bytes, "seven");
}

}  // namespace
}  // namespace weir
