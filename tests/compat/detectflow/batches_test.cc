// DetectFlow's batches ("windows"): LATENCY_MODE=window.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr const char* kUserBob = "  s: {User: bob}\n  condition: s\n";

std::string Bob(int n) { return R"({"User":"bob","n":)" + std::to_string(n) + "}"; }

TEST(BatchesTest, StartOneEventComesOutWhenTheWindowEnds) {
  MatchHarness job(Buffered(absl::Seconds(30)));
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(Bob(1));
  job.harness().AdvanceProcessingTime(absl::Milliseconds(29'999));
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.harness().AdvanceProcessingTime(absl::Milliseconds(1));
  EXPECT_THAT(job.Texts(), SizeIs(1));
}

TEST(BatchesTest, StartByDefaultAnEventComesOutAtOnce) {
  MatchHarness job;
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(Bob(1));
  EXPECT_THAT(job.Texts(), SizeIs(1));
}

TEST(BatchesTest, BufferKeepsTheOrderOfArrival) {
  MatchHarness job(Buffered());
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  for (int i = 0; i < 100; ++i) job.Event(Bob(i));
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  const std::vector<Json> events = job.Events();
  ASSERT_THAT(events, SizeIs(100));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(events[static_cast<size_t>(i)]["n"], i);
}

TEST(BatchesTest, EarlyFlushGivesOneBatchAndNoShortSecondOne) {
  MatchHarness job(Buffered(absl::Seconds(30), 100));
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  for (int i = 0; i < 150; ++i) job.Event(Bob(i));
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.harness().AdvanceProcessingTime(absl::Milliseconds(1));
  EXPECT_THAT(job.Texts(), SizeIs(150));
  EXPECT_THAT(job.Metrics(), SizeIs(1));
  job.harness().AdvanceProcessingTime(absl::Seconds(60));
  EXPECT_THAT(job.Texts(), IsEmpty());
  EXPECT_THAT(job.Metrics(), IsEmpty());
  job.Event(Bob(200));
  job.harness().AdvanceProcessingTime(absl::Seconds(29));
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.harness().AdvanceProcessingTime(absl::Seconds(1));
  EXPECT_THAT(job.Texts(), SizeIs(1));
}

TEST(BatchesTest, FireClearsAndTheNextEventBeginsAFreshWindow) {
  MatchHarness job(Buffered(absl::Seconds(10)));
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(Bob(1));
  job.harness().AdvanceProcessingTime(absl::Seconds(15));
  EXPECT_THAT(job.Texts(), SizeIs(1));
  job.Event(Bob(2));
  job.harness().AdvanceProcessingTime(absl::Seconds(9));
  EXPECT_THAT(job.Texts(), IsEmpty());
  job.harness().AdvanceProcessingTime(absl::Seconds(1));
  EXPECT_THAT(job.Texts(), SizeIs(1));
}

TEST(BatchesTest, FireMatchesByTheRulesOfThatMoment) {
  MatchHarness job(Buffered());
  job.ControlCaughtUp();
  job.Event(Bob(1));
  job.Rule("r1", kUserBob);
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(job.Texts(), SizeIs(1));
}

TEST(BatchesTest, EmptyBufferAfterJsonErrorsEmitsNothing) {
  MatchHarness job(Buffered());
  job.ControlCaughtUp();
  job.Event("{broken");
  job.Event("");
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(job.Texts(), IsEmpty());
  EXPECT_THAT(job.Metrics(), IsEmpty());
  EXPECT_THAT(job.DeadLetters(), SizeIs(2));
  EXPECT_EQ(job.harness().NumKeyedStateEntries(), 0U);
}

TEST(BatchesTest, NoRulesMatchedOnlyGivesNothing) {
  MatchHarness job(Buffered());
  job.ControlCaughtUp();
  job.Event(Bob(1));
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(job.Texts(), IsEmpty());
}

TEST(BatchesTest, NoRulesAllEventsPassWithEmptyLists) {
  MatchEventsOptions options = AllEvents();
  options.buffered = true;
  MatchHarness job(options);
  job.ControlCaughtUp();
  job.Event(Bob(1));
  job.harness().AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(job.Texts(),
              ElementsAre(R"({"User":"bob","n":1,"sigma_rule_ids":[],"sigma_detections":[]})"));
}

TEST(BatchesTest, EachKeyHasItsOwnWindow) {
  KeyingOptions keying;
  keying.strategy = KeyingStrategy::kComputer;
  MatchHarness job(Buffered(absl::Seconds(10)), {}, keying);
  job.Rule("r1", kUserBob);
  job.ControlCaughtUp();
  job.Event(R"({"User":"bob","Computer":"a"})");
  job.harness().AdvanceProcessingTime(absl::Seconds(5));
  job.Event(R"({"User":"bob","Computer":"b"})");
  job.harness().AdvanceProcessingTime(absl::Seconds(5));
  EXPECT_THAT(job.Texts(), SizeIs(1));
  job.harness().AdvanceProcessingTime(absl::Seconds(5));
  EXPECT_THAT(job.Texts(), SizeIs(1));
}

}  // namespace
}  // namespace weir::sigma
