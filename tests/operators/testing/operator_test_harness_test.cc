#include "operators/testing/operator_test_harness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

struct Click {
  std::string user;
  int64_t count = 1;
};

const auto kUserOf = [](const Click& click) { return click.user; };
const OutputTag<std::string> kLate("late");

// Adds up the clicks of a user; emits the sum at the event-time timer a second after each click,
// and "idle" ten seconds of processing time after the first.
class SumClicks final : public KeyedProcessFunction<std::string, Click, std::string> {
 public:
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(sum_, context.GetState(ValueStateDescriptor<int64_t>("sum")));
    clicks_ = context.metrics()->AddCounter("clicks");
    return absl::OkStatus();
  }
  void ProcessElement(const Click& click, Context& context, Collector<std::string>&) override {
    if (click.user == "mallory") throw std::runtime_error("a user of bad fame");
    clicks_->Add();
    if (context.timestamp() <= context.current_watermark()) {
      context.Output(kLate, click.user);
      return;
    }
    if (sum_.Get() == nullptr) {
      context.timer_service().RegisterProcessingTimeTimer(context.current_processing_time() +
                                                          absl::Seconds(10));
    }
    sum_.Set((sum_.Get() == nullptr ? 0 : *sum_.Get()) + click.count);
    context.timer_service().RegisterEventTimeTimer(context.timestamp() + 1000);
  }
  void OnTimer(TimerKind kind, Context& context, Collector<std::string>& out) override {
    if (kind == TimerKind::kProcessingTime) {
      out.Collect(StrCat(context.current_key(), " idle"));
    } else {
      out.Collect(StrCat(context.current_key(), "=", *sum_.Get()));
    }
  }

 private:
  ValueState<int64_t> sum_;
  Counter* clicks_ = nullptr;
};

using Harness = OperatorTestHarness<Click, std::string>;

DataStream<std::string> Sums(DataStream<Click> clicks) {
  return clicks.KeyBy(kUserOf).Process(SumClicks{}).Uid("sums");
}

TEST(OperatorTestHarnessTest, ShowsRecordsTimesAndWatermarksInOrder) {
  Harness harness(Sums);
  harness.ProcessElement({"alice"}, 1000);
  harness.ProcessElement({"bob", 5}, 1500);
  EXPECT_THAT(harness.TakeOutput(), IsEmpty());
  harness.ProcessWatermark(2000);
  harness.ProcessWatermark(3000);
  using Element = OutputElement<std::string>;
  EXPECT_THAT(
      harness.TakeOutput(),
      ElementsAre(Element(StreamRecord<std::string>{"alice=1", EventTime::FromMillis(2000)}),
                  Element(Watermark{EventTime::FromMillis(2000)}),
                  Element(StreamRecord<std::string>{"bob=5", EventTime::FromMillis(2500)}),
                  Element(Watermark{EventTime::FromMillis(3000)})));
  EXPECT_EQ(harness.output_watermark(), EventTime::FromMillis(3000));
  EXPECT_EQ(harness.CounterValue("clicks"), 2u);
}

TEST(OperatorTestHarnessTest, FiresProcessingTimersAtTheirTimesAndNotBefore) {
  Harness harness(Sums);
  harness.ProcessElement({"alice"}, 1000);
  harness.AdvanceProcessingTime(absl::Seconds(4));
  harness.ProcessElement({"bob"}, 1000);
  EXPECT_EQ(harness.NumProcessingTimeTimers(), 2u);
  harness.AdvanceProcessingTime(absl::Milliseconds(5999));
  EXPECT_THAT(harness.TakeValues(), IsEmpty());
  harness.AdvanceProcessingTime(absl::Milliseconds(1));
  EXPECT_THAT(harness.TakeValues(), ElementsAre("alice idle"));
  harness.SetProcessingTime(20'000);
  EXPECT_THAT(harness.TakeValues(), ElementsAre("bob idle"));
}

TEST(OperatorTestHarnessTest, CollectsSideOutputs) {
  Harness harness(Sums);
  harness.CollectSideOutput(kLate);
  harness.ProcessWatermark(5000);
  harness.ProcessElement({"alice"}, 4000);
  EXPECT_THAT(harness.TakeSideOutput(kLate),
              ElementsAre(StreamRecord<std::string>{"alice", EventTime::FromMillis(4000)}));
  EXPECT_THAT(harness.TakeSideOutput(kLate), IsEmpty());
  EXPECT_THAT(harness.TakeSideOutput(OutputTag<std::string>("other")), IsEmpty());
  EXPECT_THAT(harness.status().ToString(), HasSubstr("CollectSideOutput"));
}

TEST(OperatorTestHarnessTest, CountsStateAndTimers) {
  Harness harness(Sums);
  harness.ProcessElement({"alice"}, 1000);
  harness.ProcessElement({"alice"}, 1001);
  harness.ProcessElement({"bob"}, 1000);
  EXPECT_EQ(harness.NumKeyedStateEntries(), 2u);
  EXPECT_EQ(harness.NumKeyedStateEntries("sum"), 2u);
  EXPECT_EQ(harness.NumKeyedStateEntries("other"), 0u);
  EXPECT_EQ(harness.NumEventTimeTimers(), 3u);
  harness.ProcessWatermark(2000);
  EXPECT_EQ(harness.NumEventTimeTimers(), 1u);
}

TEST(OperatorTestHarnessTest, RestoresASnapshotAtAnotherParallelism) {
  std::map<uint32_t, std::vector<std::string>> values;
  Harness before(Sums, {.parallelism = 3});
  for (int i = 0; i < 50; ++i) before.ProcessElement({StrCat("user-", i), i}, 1000);
  const CheckpointId checkpoint = before.BeginSnapshot();
  before.ProcessElement({"user-0", 1000}, 1000);  // Must not show in the snapshot.
  before.ProcessElement({"new user"}, 1000);
  const OperatorTestSnapshot snapshot = before.FinishSnapshot();
  EXPECT_EQ(snapshot.checkpoint(), checkpoint);
  EXPECT_GT(snapshot.SizeBytes(), 50u);

  Harness after(Sums, {.parallelism = 5});
  after.Restore(snapshot);
  EXPECT_EQ(after.NumKeyedStateEntries(), 50u);
  EXPECT_EQ(after.NumEventTimeTimers(), 50u);
  after.ProcessElement({"user-7", 100}, 1000);
  after.ProcessWatermark(2000);
  std::vector<std::string> sums = after.TakeValues();
  EXPECT_EQ(sums.size(), 50u);
  EXPECT_THAT(sums, ::testing::IsSupersetOf({"user-0=0", "user-7=107", "user-49=49"}));
}

TEST(OperatorTestHarnessTest, SnapshotsThatNeedFilesOutliveTheirHarness) {
  std::optional<OperatorTestSnapshot> snapshot;
  const std::string filler(5000, 'x');
  {
    Harness harness(Sums);
    for (int i = 0; i < 100; ++i) harness.ProcessElement({StrCat(filler, i)}, 1000);
    snapshot = harness.Snapshot();
    harness.NotifyCheckpointComplete(snapshot->checkpoint());
    harness.ProcessElement({"one more"}, 1000);
    snapshot = harness.Snapshot();
  }
  Harness harness(Sums);
  harness.Restore(*snapshot);
  EXPECT_EQ(harness.NumKeyedStateEntries(), 101u);
}

TEST(OperatorTestHarnessTest, ReportsAFailureWithItsPlaceAndStops) {
  Harness harness(Sums);
  harness.ProcessElement({"mallory"}, 1);
  harness.ProcessElement({"alice"}, 1);
  EXPECT_THAT(harness.status().ToString(), HasSubstr("a user of bad fame (operator=KeyedProcess"));
  EXPECT_EQ(harness.NumKeyedStateEntries(), 0u);
}

TEST(OperatorTestHarnessDeathTest, AFailureThatNobodyLooksAtEndsTheProcess) {
  EXPECT_DEATH(
      {
        Harness harness(Sums);
        harness.ProcessElement({"mallory"}, 1);
      },
      "a user of bad fame");
}

TEST(OperatorTestHarnessTest, RefusesStateOfAnOperatorThatIsNotThere) {
  Harness before(Sums);
  before.ProcessElement({"alice"}, 1);
  const OperatorTestSnapshot snapshot = before.Snapshot();
  Harness after([](DataStream<Click> clicks) { return Sums(clicks).Uid("renamed"); });
  after.Restore(snapshot);
  EXPECT_EQ(after.NumKeyedStateEntries(), 0u);
  EXPECT_THAT(after.status().ToString(), HasSubstr("give operators uids that stay the same"));
}

TEST(OperatorTestHarnessTest, RunsSeveralOperatorsWithAKeyExchangeBetweenThem) {
  OperatorTestHarness<int64_t, std::string> harness(
      [](DataStream<int64_t> numbers) {
        return Sums(numbers.Map([](int64_t n) { return Click{StrCat("k", n % 3), n}; }))
            .Filter([](const std::string& text) { return text != "k1=12"; });
      },
      {.parallelism = 2});
  for (int64_t n = 0; n < 9; ++n) harness.ProcessElement(n, 500);
  harness.ProcessWatermark(1500);
  EXPECT_THAT(harness.TakeValues(), UnorderedElementsAre("k0=9", "k2=15"));
  EXPECT_EQ(harness.output_watermark(), EventTime::FromMillis(1500));
}

// Emits each number as often as it says.
struct Repeat final : ProcessFunction<int64_t, int64_t> {
  void ProcessElement(const int64_t& n, Context&, Collector<int64_t>& out) override {
    for (int64_t i = 0; i < n; ++i) out.Collect(n);
  }
};

TEST(OperatorTestHarnessTest, ABoundedOutputSuspendsOperatorsWithoutLosingRecords) {
  std::mt19937 random(7);
  std::vector<StreamRecord<int64_t>> input;
  std::vector<int64_t> expected;
  for (int i = 0; i < 100; ++i) {
    const auto n = static_cast<int64_t>(random() % 5);
    input.push_back({n, EventTime::FromMillis(i)});
    expected.insert(expected.end(), static_cast<size_t>(2 * n), n);
  }
  OperatorTestHarness<int64_t, int64_t> harness(
      [](DataStream<int64_t> in) {
        return in.Process(Repeat{}).FlatMap<int64_t>([](int64_t n, Collector<int64_t>& out) {
          out.Collect(n);
          out.Collect(n);
        });
      },
      {.output_capacity = 3});
  harness.ProcessElements(input);
  EXPECT_EQ(harness.TakeValues(), expected);
  EXPECT_GT(harness.num_suspensions(), 50u);
}

TEST(OperatorTestHarnessTest, TimersFireInSlicesWhenTheOutputIsBounded) {
  Harness harness(Sums, {.output_capacity = 1});
  for (int i = 0; i < 20; ++i) harness.ProcessElement({StrCat("user-", i)}, i);
  harness.ProcessWatermark(5000);
  EXPECT_EQ(harness.TakeValues().size(), 20u);
  EXPECT_GE(harness.num_suspensions(), 19u);
}

TEST(OperatorTestHarnessTest, EndsAndStatusesOfAllSubtasksAreOne) {
  OperatorTestHarness<int64_t, int64_t> harness(
      [](DataStream<int64_t> in) { return in.Map([](int64_t n) { return n; }); },
      {.parallelism = 3});
  harness.ProcessWatermarkStatus({true});
  harness.ProcessWatermarkStatus({false});
  harness.ProcessWatermark(7);
  harness.EndInput();
  using Element = OutputElement<int64_t>;
  EXPECT_THAT(harness.TakeOutput(),
              ElementsAre(Element(WatermarkStatus{true}), Element(WatermarkStatus{false}),
                          Element(Watermark{EventTime::FromMillis(7)}), Element(CaughtUp{}),
                          Element(EndOfInput{})));
}

struct Rule {
  std::string user;
  int64_t limit = 0;
};

// Clicks above the limit that the last rule for the user gave.
struct AboveLimit final : KeyedBroadcastProcessFunction<std::string, Click, Rule, std::string> {
  absl::Status Open(KeyedOpenContext<std::string>& context) override {
    ASSIGN_OR_RETURN(limits, context.GetBroadcastState(
                                 BroadcastStateDescriptor<std::string, int64_t>("limits")));
    return absl::OkStatus();
  }
  void ProcessElement(const Click& click, Context&, Collector<std::string>& out) override {
    const int64_t* limit = limits->Get(click.user);
    if (limit != nullptr && click.count > *limit) out.Collect(StrCat(click.user, ":", click.count));
  }
  void ProcessBroadcastElement(const Rule& rule, BroadcastContext&,
                               Collector<std::string>&) override {
    limits->Put(rule.user, rule.limit);
  }
  std::optional<BroadcastState<std::string, int64_t>> limits;
};

using TwoInputs = TwoInputOperatorTestHarness<Click, Rule, std::string>;

DataStream<std::string> Limited(const DataStream<Click>& clicks, const DataStream<Rule>& rules) {
  return clicks.KeyBy(kUserOf).Connect(rules.Broadcast()).Process(AboveLimit{});
}

TEST(TwoInputOperatorTestHarnessTest, FeedsBothInputsAndTakesTheLowerWatermark) {
  TwoInputs harness(Limited, {.parallelism = 2});
  harness.ProcessElement2({"alice", 3});
  harness.ProcessElement1({"alice", 3}, 10);
  harness.ProcessElement1({"alice", 4}, 11);
  harness.ProcessElement1({"bob", 4}, 11);
  EXPECT_THAT(harness.TakeValues(), ElementsAre("alice:4"));
  harness.ProcessWatermark1(100);
  EXPECT_EQ(harness.output_watermark(), EventTime::Min());
  harness.ProcessWatermark2(50);
  EXPECT_EQ(harness.output_watermark(), EventTime::FromMillis(50));

  TwoInputs after(Limited, {.parallelism = 3});
  after.Restore(harness.Snapshot());
  after.ProcessElement1({"alice", 5}, 10);
  EXPECT_THAT(after.TakeValues(), ElementsAre("alice:5"));
}

}  // namespace
}  // namespace weir
