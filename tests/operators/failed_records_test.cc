// Row E20 of the features: records that make user code throw.

#include "operators/api/failed_records.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>
#include <stdexcept>
#include <string>

#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"
#include "runtime/state/state_error.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Twice a number; throws at negative ones, something that is no std::exception at zero.
class Twice final : public ProcessFunction<int64_t, int64_t> {
 public:
  void ProcessElement(const int64_t& value, Context&, Collector<int64_t>& out) override {
    if (value == 0) throw 7;
    if (value == -1'000) throw std::bad_alloc();
    if (value == -2'000) throw StateError(absl::DataLossError("the state is damaged"));
    if (value < 0) throw std::invalid_argument(StrCat("negative: ", value));
    out.Collect(2 * value);
  }
};

// Counts a word, and throws at "" after it has counted that; its timer throws at "timer".
class Count final : public KeyedProcessFunction<std::string, std::string, int64_t> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(count_, context.GetState(ValueStateDescriptor<int64_t>("count")));
    return absl::OkStatus();
  }
  void ProcessElement(const std::string& word, Context& context, Collector<int64_t>& out) override {
    const int64_t* const before = count_.Get();
    count_.Set((before == nullptr ? 0 : *before) + 1);
    if (word.empty()) throw std::runtime_error("no word");
    if (word == "timer") context.timer_service().RegisterEventTimeTimer(EventTime::FromMillis(5));
    out.Collect(*count_.Get());
  }
  void OnTimer(TimerKind, Context&, Collector<int64_t>&) override {
    throw std::runtime_error("in the timer");
  }

 private:
  ValueState<int64_t> count_;
};

using NumbersHarness = OperatorTestHarness<int64_t, int64_t>;
using WordsHarness = OperatorTestHarness<std::string, int64_t>;

auto Numbers(FailedRecordOptions options) {
  return [options](DataStream<int64_t> numbers) {
    return numbers.Process(ToleratingFailures(Twice(), options)).Uid("twice");
  };
}

DataStream<int64_t> Words(DataStream<std::string> words) {
  return words.KeyBy([](const std::string& word) { return word; })
      .Process(ToleratingFailures(Count()))
      .Uid("count");
}

TEST(FailedRecordsTest, PutsOutTheRecordWithTheTextAndGoesOn) {
  NumbersHarness harness(Numbers({}));
  harness.CollectSideOutput(FailedRecordTag<int64_t>());
  for (const int64_t value : {1, -5, 2, 0, 3}) harness.ProcessElement(value, 100 + value);
  EXPECT_THAT(harness.TakeValues(), ElementsAre(2, 4, 6));
  const auto failed = harness.TakeSideOutput(FailedRecordTag<int64_t>());
  ASSERT_THAT(failed, SizeIs(2));
  EXPECT_EQ(failed[0].value.record, -5);
  EXPECT_EQ(failed[0].value.error, "negative: -5");
  EXPECT_EQ(failed[0].timestamp, EventTime::FromMillis(95));
  EXPECT_EQ(failed[1].value.record, 0);
  EXPECT_THAT(failed[1].value.error, HasSubstr("not a std::exception"));
  EXPECT_EQ(harness.CounterValue("numFailedRecords"), 2u);
  EXPECT_TRUE(harness.status().ok()) << harness.status();
}

TEST(FailedRecordsTest, CountsThoseThatNobodyReads) {
  NumbersHarness harness(Numbers({}));
  for (const int64_t value : {-1, -2, 4}) harness.ProcessElement(value, 1);
  EXPECT_THAT(harness.TakeValues(), ElementsAre(8));
  EXPECT_EQ(harness.CounterValue("numFailedRecords"), 2u);
}

TEST(FailedRecordsTest, FailsTheTaskAtOneFailureTooMany) {
  NumbersHarness harness(Numbers({.max_failures = 2, .interval = absl::Seconds(10)}));
  for (const int64_t value : {-1, -2}) harness.ProcessElement(value, 1);
  EXPECT_TRUE(harness.status().ok()) << harness.status();
  harness.ProcessElement(-3, 1);
  EXPECT_THAT(harness.status().ToString(),
              AllOf(HasSubstr("too many records"), HasSubstr("max_failures=2"),
                    HasSubstr("negative: -3"), HasSubstr("operator=")));
}

TEST(FailedRecordsTest, ToleratesAsManyAgainWhenTheIntervalIsOver) {
  NumbersHarness harness(Numbers({.max_failures = 2, .interval = absl::Seconds(10)}));
  for (int span = 0; span < 3; ++span) {
    for (const int64_t value : {-1, -2}) harness.ProcessElement(value, 1);
    harness.AdvanceProcessingTime(absl::Seconds(10));
  }
  EXPECT_TRUE(harness.status().ok()) << harness.status();
  for (const int64_t value : {-1, -2, -3}) harness.ProcessElement(value, 1);
  EXPECT_FALSE(harness.status().ok());
}

TEST(FailedRecordsTest, ToleratesNothingThatIsNoRecordsFault) {
  for (const int64_t value : {-1'000, -2'000}) {
    NumbersHarness harness(Numbers({}));
    harness.ProcessElement(value, 1);
    EXPECT_FALSE(harness.status().ok()) << value;
    EXPECT_EQ(harness.CounterValue("numFailedRecords"), 0u);
  }
}

TEST(FailedRecordsTest, KeepsStateAndTimersOfKeyedFunctions) {
  WordsHarness harness(Words);
  harness.CollectSideOutput(FailedRecordTag<std::string>());
  for (const std::string word : {"a", "", "a", "", "b"}) harness.ProcessElement(word, 1);
  EXPECT_THAT(harness.TakeValues(), ElementsAre(1, 2, 1));
  EXPECT_THAT(harness.TakeSideOutput(FailedRecordTag<std::string>()), SizeIs(2));
  EXPECT_EQ(harness.NumKeyedStateEntries("count"), 3u) << "what was changed before it threw stays";
  harness.ProcessElement("timer", 1);
  EXPECT_THAT(harness.TakeValues(), ElementsAre(1));
  harness.ProcessWatermark(5);
  EXPECT_THAT(harness.status().ToString(), HasSubstr("in the timer"));
}

TEST(FailedRecordsTest, SurvivesARestore) {
  WordsHarness before(Words);
  for (const std::string word : {"a", "", "a"}) before.ProcessElement(word, 1);
  WordsHarness after(Words);
  after.Restore(before.Snapshot());
  after.ProcessElement("a", 1);
  EXPECT_THAT(after.TakeValues(), ElementsAre(3));
}

}  // namespace
}  // namespace weir
