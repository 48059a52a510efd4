#include "jobs/correlation/correlation_function.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/correlation/correlation_runs.h"

namespace weir::correlation {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kMinute = 60'000;

std::vector<Detection> Detect(std::vector<CorrelationRule> rules, std::vector<Signal> signals,
                              absl::Duration out_of_orderness = absl::Minutes(5)) {
  auto detections = Correlate(std::move(rules), std::move(signals), out_of_orderness);
  EXPECT_TRUE(detections.ok()) << detections.status();
  return detections.value_or(std::vector<Detection>());
}

std::vector<CorrelationRule> TwoOfAKind() { return {MakeRule("R", {"A", "B"}, absl::Minutes(10))}; }

TEST(CorrelationFunctionTest, DetectsWhenEachRequiredTypeIsWithinTheWindow) {
  const auto found = Detect(TwoOfAKind(), {MakeSignal("A", "h", 0), MakeSignal("B", "h", kMinute)});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].detection_id, "R:h:0");
  EXPECT_EQ(found[0].detection_type, "CHAIN");
  EXPECT_EQ(found[0].src_ip, "h");
  EXPECT_EQ(found[0].severity, "CRITICAL");
  EXPECT_EQ(found[0].confidence, "HIGH");
  EXPECT_EQ(found[0].technique, "T1021");
  EXPECT_EQ(found[0].signal_count, 2);
  EXPECT_EQ(found[0].timestamp, EventTime::FromMillis(kMinute));
  EXPECT_EQ(found[0].signals, R"([{"signal_type":"A","time":0},{"signal_type":"B","time":60000}])");
}

TEST(CorrelationFunctionTest, TakesTheWindowsEndIn) {
  EXPECT_THAT(Detect(TwoOfAKind(), {MakeSignal("A", "h", 0), MakeSignal("B", "h", 10 * kMinute)}),
              SizeIs(1));
  EXPECT_THAT(
      Detect(TwoOfAKind(), {MakeSignal("A", "h", 0), MakeSignal("B", "h", 10 * kMinute + 1)}),
      IsEmpty());
}

TEST(CorrelationFunctionTest, DoesNotMixEntities) {
  EXPECT_THAT(Detect(TwoOfAKind(), {MakeSignal("A", "one", 0), MakeSignal("B", "two", 1)}),
              IsEmpty());
}

TEST(CorrelationFunctionTest, GivesTwoHostsInOneInstantTwoIds) {
  const auto found = Detect(TwoOfAKind(), {MakeSignal("A", "one", 0), MakeSignal("A", "two", 0),
                                           MakeSignal("B", "one", 5), MakeSignal("B", "two", 5)});
  ASSERT_THAT(found, SizeIs(2));
  EXPECT_EQ(found[0].detection_id, "R:one:0");
  EXPECT_EQ(found[1].detection_id, "R:two:0");
}

TEST(CorrelationFunctionTest, FindsACloseSetAmongSignalsThatSpanMoreThanTheWindow) {
  // First to last is 11 minutes, which a test of minimum and maximum would refuse.
  const auto found =
      Detect(TwoOfAKind(), {MakeSignal("A", "h", 0), MakeSignal("A", "h", 9 * kMinute),
                            MakeSignal("B", "h", 11 * kMinute)});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].detection_id, "R:h:540000");
}

TEST(CorrelationFunctionTest, NamesContributingSignalsOnly) {
  const auto found = Detect(TwoOfAKind(), {MakeSignal("A", "h", 0), MakeSignal("A", "h", 2000),
                                           MakeSignal("OTHER", "h", 2500),
                                           MakeSignal("B", "h", 3000), MakeSignal("B", "h", 4000)});
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].signals,
            R"([{"signal_type":"A","time":2000},{"signal_type":"B","time":3000}])");
}

TEST(CorrelationFunctionTest, StaysQuietUntilTheWindowHasPassedWithoutARequiredSignal) {
  std::vector<Signal> signals = {MakeSignal("A", "h", 0), MakeSignal("B", "h", 1)};
  // Repeated every 9 minutes, so the incident never ends.
  for (int64_t i = 1; i <= 10; ++i) signals.push_back(MakeSignal("A", "h", i * 9 * kMinute));
  signals.push_back(MakeSignal("B", "h", 91 * kMinute));
  EXPECT_THAT(Detect(TwoOfAKind(), signals, absl::ZeroDuration()), SizeIs(1));
  // A second incident, more than a window after the first's last signal.
  signals.push_back(MakeSignal("A", "h", 101 * kMinute + 1));
  signals.push_back(MakeSignal("B", "h", 102 * kMinute));
  EXPECT_THAT(Detect(TwoOfAKind(), signals, absl::ZeroDuration()), SizeIs(2));
}

TEST(CorrelationFunctionTest, FindsTheSameWhateverOrderSignalsComeIn) {
  std::vector<Signal> signals = {MakeSignal("A", "h", 0), MakeSignal("B", "h", 2000),
                                 MakeSignal("A", "h", 1000), MakeSignal("C", "h", 500)};
  const auto in_order = Detect(TwoOfAKind(), signals);
  std::reverse(signals.begin(), signals.end());
  EXPECT_EQ(Detect(TwoOfAKind(), signals), in_order);
}

TEST(CorrelationFunctionTest, EvaluatesSeveralRulesApart) {
  const auto found = Detect(
      {MakeRule("R1", {"A", "B"}, absl::Minutes(10)), MakeRule("R2", {"B", "C"}, absl::Minutes(1)),
       MakeRule("R3", {"A"}, absl::Minutes(1))},
      {MakeSignal("A", "h", 0), MakeSignal("B", "h", 5 * kMinute),
       MakeSignal("C", "h", 7 * kMinute)});
  std::vector<std::string> ids;
  for (const Detection& detection : found) ids.push_back(detection.detection_id);
  EXPECT_THAT(ids, ElementsAre("R1:h:0", "R3:h:0"));
}

}  // namespace
}  // namespace weir::correlation
