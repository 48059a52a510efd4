#include "operators/cep/cep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "operators/testing/operator_test_harness.h"
#include "runtime/base/strings.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Login {
  std::string user;
  std::string result;
  int64_t id = 0;
};

bool Failed(const Login& login) { return login.result == "failed"; }
bool Passed(const Login& login) { return login.result == "ok"; }
std::string UserOf(const Login& login) { return login.user; }

Pattern<Login> BruteForce() {
  return Pattern<Login>::Begin("failures", AfterMatchSkipStrategy::SkipPastLastEvent())
      .Where(&Failed)
      .Times(3)
      .Consecutive()
      .Next("success")
      .Where(&Passed)
      .Within(absl::Milliseconds(100));
}

std::string Ids(const PatternMatch<Login>& match) {
  std::string text;
  match.ForEach([&](std::string_view stage, const Login& login) {
    StrAppend(&text, text.empty() ? "" : " ", stage.substr(0, 1), login.id);
  });
  return text;
}

using Harness = OperatorTestHarness<Login, std::string>;

TEST(CepTest, FindsAPatternPerKeyInTheOrderOfEventTime) {
  Harness harness([](DataStream<Login> in) {
    return CEP::Pattern(in.KeyBy(&UserOf), BruteForce()).Select(&Ids);
  });
  // Bob's attempts lie between Alice's, and hers come out of order.
  harness.ProcessElement({"alice", "ok", 4}, 40);
  harness.ProcessElement({"bob", "failed", 11}, 11);
  harness.ProcessElement({"alice", "failed", 2}, 20);
  harness.ProcessElement({"alice", "failed", 3}, 30);
  harness.ProcessElement({"bob", "ok", 12}, 41);
  harness.ProcessElement({"alice", "failed", 1}, 10);
  EXPECT_THAT(harness.TakeValues(), IsEmpty());
  harness.ProcessWatermark(39);
  EXPECT_THAT(harness.TakeValues(), IsEmpty());
  harness.ProcessWatermark(40);
  const auto records = harness.TakeRecords();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value, "f1 f2 f3 s4");
  EXPECT_EQ(records[0].timestamp.millis(), 40);
}

TEST(CepTest, WhatRunsOutOfTimeGoesToTheSideOutputAndLeavesNoState) {
  const OutputTag<std::string> slow("slow");
  Harness harness([&](DataStream<Login> in) {
    return CEP::Pattern(in.KeyBy(&UserOf), BruteForce())
        .Select(
            slow,
            [](const PatternMatch<Login>& match, EventTime time) {
              return StrCat(Ids(match), " at ", time.millis());
            },
            &Ids);
  });
  harness.CollectSideOutput(slow);
  harness.ProcessElement({"alice", "failed", 1}, 10);
  harness.ProcessElement({"alice", "failed", 2}, 60);
  harness.ProcessElement({"alice", "failed", 3}, 109);
  harness.ProcessElement({"alice", "ok", 4}, 110);  // 100 ms after the first: too late.
  harness.ProcessWatermark(109);
  EXPECT_THAT(harness.TakeSideOutput(slow), IsEmpty());
  harness.ProcessWatermark(1000);
  EXPECT_THAT(harness.TakeValues(), IsEmpty());
  // Those begun by 2 and 3 met the success too early and were given up, not timed out.
  const auto timed_out = harness.TakeSideOutput(slow);
  ASSERT_EQ(timed_out.size(), 1u);
  EXPECT_EQ(timed_out[0].value, "f1 f2 f3 at 110");
  EXPECT_EQ(harness.NumKeyedStateEntries(), 0u);
  EXPECT_EQ(harness.NumEventTimeTimers(), 0u);
}

TEST(CepTest, LateEventsAreCountedAndSentToTheirSideOutput) {
  const OutputTag<Login> late("late");
  Harness harness([&](DataStream<Login> in) {
    return CEP::Pattern(in.KeyBy(&UserOf), Pattern<Login>::Begin("any"))
        .SideOutputLateData(late)
        .Select(&Ids);
  });
  harness.CollectSideOutput(late);
  harness.ProcessWatermark(100);
  harness.ProcessElement({"alice", "ok", 1}, 100);
  harness.ProcessElement({"alice", "ok", 2}, 101);
  harness.ProcessWatermark(200);
  EXPECT_THAT(harness.TakeValues(), ElementsAre("a2"));
  const auto records = harness.TakeSideOutput(late);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].value.id, 1);
  EXPECT_EQ(harness.CounterValue("numLateRecordsDropped"), 1u);
}

TEST(CepTest, ProcessingTimeTakesEventsAsTheyComeAndTimesOutByTheClock) {
  const OutputTag<std::string> slow("slow");
  Harness harness([&](DataStream<Login> in) {
    return CEP::Pattern(in.KeyBy(&UserOf), Pattern<Login>::Begin("first")
                                               .Where(&Failed)
                                               .FollowedBy("second")
                                               .Where(&Passed)
                                               .Within(absl::Milliseconds(50)))
        .InProcessingTime()
        .Select(slow, [](const PatternMatch<Login>& match, EventTime) { return Ids(match); }, &Ids);
  });
  harness.CollectSideOutput(slow);
  harness.SetProcessingTime(1000);
  harness.ProcessElement({"alice", "failed", 1});
  harness.SetProcessingTime(1049);
  harness.ProcessElement({"alice", "ok", 2});
  EXPECT_THAT(harness.TakeValues(), ElementsAre("f1 s2"));
  harness.ProcessElement({"alice", "failed", 3});
  harness.SetProcessingTime(1099);
  const auto timed_out = harness.TakeSideOutput(slow);
  ASSERT_EQ(timed_out.size(), 1u);
  EXPECT_EQ(timed_out[0].value, "f3");
  EXPECT_EQ(harness.NumKeyedStateEntries(), 0u);
}

TEST(CepTest, ATimeBetweenEventsLimitsEachStepAndNotTheWholeMatch) {
  const OutputTag<std::string> slow("slow");
  Harness harness([&](DataStream<Login> in) {
    return CEP::Pattern(in.KeyBy(&UserOf), Pattern<Login>::Begin("failures")
                                               .Where(&Failed)
                                               .Times(3)
                                               .Consecutive()
                                               .Next("success")
                                               .Where(&Passed)
                                               .WithinPreviousAndCurrent(absl::Milliseconds(50)))
        .Select(
            slow,
            [](const PatternMatch<Login>& match, EventTime time) {
              return StrCat(Ids(match), " at ", time.millis());
            },
            &Ids);
  });
  harness.CollectSideOutput(slow);
  // Each step takes 49 ms, all of them three times as long as the limit.
  for (int id = 1; id <= 3; ++id) harness.ProcessElement({"alice", "failed", id}, (id - 1) * 49);
  harness.ProcessElement({"alice", "ok", 4}, 3 * 49);
  // The third step of bob is a millisecond too long.
  for (int id = 11; id <= 13; ++id) harness.ProcessElement({"bob", "failed", id}, (id - 11) * 49);
  harness.ProcessElement({"bob", "ok", 14}, 2 * 49 + 50);
  harness.ProcessWatermark(10'000);
  EXPECT_THAT(harness.TakeRecords(),
              ElementsAre(StreamRecord<std::string>{"f1 f2 f3 s4", EventTime::FromMillis(147)}));
  std::vector<std::string> timed_out;
  for (const auto& record : harness.TakeSideOutput(slow)) timed_out.push_back(record.value);
  EXPECT_THAT(timed_out, ::testing::UnorderedElementsAre("f11 f12 f13 at 148", "f12 f13 at 148",
                                                         "f13 at 148"));
  EXPECT_EQ(harness.NumKeyedStateEntries(), 0u);
}

TEST(CepTest, APatternOverAWholeStreamSeesAllOfIt) {
  Harness harness(
      [](DataStream<Login> in) {
        return CEP::Pattern(in, Pattern<Login>::Begin("first").Where(&Failed).Next("second"))
            .Select(&Ids);
      },
      OperatorTestOptions{.parallelism = 3});
  harness.ProcessElement({"alice", "failed", 1}, 1);
  harness.ProcessElement({"bob", "ok", 2}, 2);
  harness.ProcessWatermark(10);
  EXPECT_THAT(harness.TakeValues(), ElementsAre("f1 s2"));
}

// The example of Flink's documentation of skip strategies: pattern b+ c over b1 b2 b3 c.
TEST(CepTest, SkipStrategiesGiveTheMatchesOfFlinksDocumentation) {
  const auto matches = [](AfterMatchSkipStrategy skip) {
    Harness harness([&](DataStream<Login> in) {
      return CEP::Pattern(in.KeyBy([](const Login&) { return 1; }),
                          Pattern<Login>::Begin("b", std::move(skip))
                              .Where([](const Login& login) { return login.user == "b"; })
                              .OneOrMore()
                              .FollowedBy("c")
                              .Where([](const Login& login) { return login.user == "c"; }))
          .Select(&Ids);
    });
    for (int64_t i = 1; i <= 3; ++i) harness.ProcessElement({"b", "", i}, i);
    harness.ProcessElement({"c", "", 4}, 4);
    harness.ProcessWatermark(EventTime::Max());
    return harness.TakeValues();
  };
  EXPECT_THAT(matches(AfterMatchSkipStrategy::NoSkip()),
              ::testing::UnorderedElementsAre("b1 b2 b3 c4", "b1 b2 c4", "b1 c4", "b2 b3 c4",
                                              "b2 c4", "b3 c4"));
  EXPECT_THAT(matches(AfterMatchSkipStrategy::SkipToNext()),
              ElementsAre("b1 b2 b3 c4", "b2 b3 c4", "b3 c4"));
  EXPECT_THAT(matches(AfterMatchSkipStrategy::SkipPastLastEvent()), ElementsAre("b1 b2 b3 c4"));
  EXPECT_THAT(matches(AfterMatchSkipStrategy::SkipToFirst("c")), ElementsAre("b1 b2 b3 c4"));
  EXPECT_THAT(matches(AfterMatchSkipStrategy::SkipToLast("b")),
              ElementsAre("b1 b2 b3 c4", "b3 c4"));
}

TEST(CepTest, AMistakeInThePatternIsAnErrorOfTheGraph) {
  StreamGraph graph;
  internal::StreamOrigin origin;
  origin.graph = &graph;
  StreamNode source;
  source.name = "source";
  source.num_inputs = 0;
  source.outputs.push_back({"", internal::BatchTypeOf<Login>()});
  origin.ports = {{graph.AddNode(std::move(source)), 0}};
  (void)CEP::Pattern(DataStream<Login>(origin), Pattern<Login>::Begin("a").NotFollowedBy("b"))
      .Select(&Ids);
  const absl::Status status = graph.Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("add Within(): stage=b"));
}

TEST(CepTest, AStageNameThatThePatternLacksFailsTheTaskWithItsName) {
  Harness harness([](DataStream<Login> in) {
    return CEP::Pattern(in.KeyBy(&UserOf), Pattern<Login>::Begin("a"))
        .Select([](const PatternMatch<Login>& match) { return match["b"].user; });
  });
  harness.ProcessElement({"alice", "ok", 1}, 1);
  harness.ProcessWatermark(1);
  EXPECT_THAT(harness.status().ToString(), HasSubstr("name=b"));
}

}  // namespace
}  // namespace weir
