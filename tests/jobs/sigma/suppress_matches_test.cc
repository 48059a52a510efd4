#include "jobs/sigma/suppress_matches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "operators/testing/operator_test_harness.h"

namespace weir::sigma {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Event(int n, const std::vector<std::string>& rules, const std::string& user = "bob") {
  Json event{{"n", n}, {"User", user}, {"sigma_rule_ids", rules}};
  event["sigma_detections"] = Json::array();
  for (const std::string& rule : rules) {
    event["sigma_detections"].push_back({{"rule_id", rule}, {"severity", "high"}});
  }
  return event.dump();
}

class SuppressMatchesTest : public ::testing::Test {
 protected:
  using Harness = OperatorTestHarness<TaggedEvent, TaggedEvent>;

  static Harness Make(SuppressMatchesOptions options, std::vector<std::string> fields) {
    return Harness([options, fields](DataStream<TaggedEvent> events) {
      DataStream<TaggedEvent> result =
          events
              .FlatMap<SuppressionInput>(
                  [fields](const TaggedEvent& event, Collector<SuppressionInput>& out) {
                    for (SuppressionInput& input : SplitDetections(event, fields)) {
                      out.Collect(std::move(input));
                    }
                  })
              .KeyBy([](const SuppressionInput& input) { return input.key; })
              .Process(SuppressMatches(options));
      result.Uid("suppress");
      return result;
    });
  }
  static std::vector<Json> Take(Harness& harness) {
    std::vector<Json> events;
    for (const TaggedEvent& event : harness.TakeValues()) events.push_back(Json::parse(event.json));
    return events;
  }
  static std::vector<std::string> Names(const std::vector<Json>& events) {
    std::vector<std::string> names;
    for (const Json& event : events) {
      names.push_back(std::to_string(event["n"].get<int>()) + event["sigma_rule_ids"].dump());
    }
    return names;
  }
};

TEST_F(SuppressMatchesTest, LetsOneEventOfRuleAndValuesThroughInAPeriod) {
  Harness harness = Make({.period = absl::Seconds(10)}, {"User"});
  harness.ProcessElement({Event(1, {"a"}), "", false}, 1'000);
  harness.ProcessElement({Event(2, {"a"}), "", false}, 10'999);
  harness.ProcessElement({Event(3, {"b", "a"}), "", false}, 2'000);
  harness.ProcessElement({Event(4, {"a"}, "eve"), "", false}, 3'000);
  harness.ProcessElement({Event(5, {"a"}), "", false}, 11'000);
  EXPECT_THAT(Names(Take(harness)),
              ElementsAre(R"(1["a"])", R"(3["b"])", R"(4["a"])", R"(5["a"])"));
}

TEST_F(SuppressMatchesTest, EventsWithoutDetectionsPass) {
  Harness harness = Make({}, {});
  harness.ProcessElement({Event(1, {}), "", false}, 1'000);
  harness.ProcessElement({Event(2, {}), "", false}, 1'000);
  EXPECT_THAT(Names(Take(harness)), ElementsAre("1[]", "2[]"));
}

TEST_F(SuppressMatchesTest, ASummaryTellsWhatWasHeldBack) {
  Harness harness = Make({.period = absl::Seconds(10), .summary = true}, {});
  harness.ProcessElement({Event(1, {"a"}), "k", true}, 1'000);
  harness.ProcessElement({Event(2, {"a"}), "k", true}, 3'000);
  harness.ProcessElement({Event(3, {"a"}), "k", true}, 2'000);
  EXPECT_THAT(Take(harness), SizeIs(1));
  harness.AdvanceProcessingTime(absl::Seconds(10));
  const std::vector<Json> summary = Take(harness);
  ASSERT_THAT(summary, SizeIs(1));
  EXPECT_EQ(summary[0]["n"], 3);
  EXPECT_EQ(summary[0]["sigma_suppressed"], Json::parse(R"({"count":2,
      "first":"1970-01-01T00:00:02.000Z","last":"1970-01-01T00:00:03.000Z"})"));
  EXPECT_EQ(harness.NumKeyedStateEntries(), 0);
  harness.ProcessElement({Event(4, {"a"}), "", false}, 4'000);
  EXPECT_THAT(Names(Take(harness)), ElementsAre(R"(4["a"])"));
}

TEST_F(SuppressMatchesTest, TheNextPeriodAndTheEndOfTheInputBringTheSummary) {
  Harness harness = Make({.period = absl::Seconds(10), .summary = true}, {});
  harness.ProcessElement({Event(1, {"a"}), "", false}, 1'000);
  harness.ProcessElement({Event(2, {"a"}), "", false}, 2'000);
  harness.ProcessElement({Event(3, {"a"}), "", false}, 20'000);
  harness.ProcessElement({Event(4, {"a"}), "", false}, 21'000);
  EXPECT_THAT(Names(Take(harness)), ElementsAre(R"(1["a"])", R"(2["a"])", R"(3["a"])"));
  harness.ProcessWatermark(EventTime::Max().millis());
  const std::vector<Json> end = Take(harness);
  ASSERT_THAT(end, SizeIs(1));
  EXPECT_EQ(end[0]["sigma_suppressed"]["count"], 1);
}

TEST_F(SuppressMatchesTest, PeriodsSurviveARestore) {
  Harness harness = Make({.period = absl::Seconds(10), .summary = true}, {});
  harness.ProcessElement({Event(1, {"a"}), "", false}, 1'000);
  harness.ProcessElement({Event(2, {"a"}), "", false}, 2'000);
  EXPECT_THAT(Take(harness), SizeIs(1));
  Harness restored = Make({.period = absl::Seconds(10), .summary = true}, {});
  restored.Restore(harness.Snapshot());
  restored.ProcessElement({Event(3, {"a"}), "", false}, 3'000);
  EXPECT_THAT(Take(restored), IsEmpty());
  restored.AdvanceProcessingTime(absl::Seconds(10));
  const std::vector<Json> summary = Take(restored);
  ASSERT_THAT(summary, SizeIs(1));
  EXPECT_EQ(summary[0]["sigma_suppressed"]["count"], 2);
}

TEST(SplitDetectionsTest, ACorrelationIsKeyedByItsGroup) {
  TaggedEvent alert;
  alert.json = R"({"correlation":{"group":{"User":"bob"}},"sigma_rule_ids":["c"],)"
               R"("sigma_detections":[{"rule_id":"c"}]})";
  const auto inputs = SplitDetections(alert, {"User", "Host"});
  ASSERT_THAT(inputs, SizeIs(1));
  EXPECT_EQ(inputs[0].key, "c\x1f\"bob\"\x1f");
  EXPECT_EQ(Json::parse(inputs[0].event.json), Json::parse(alert.json));
}

}  // namespace
}  // namespace weir::sigma
