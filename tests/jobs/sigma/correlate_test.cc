#include "jobs/sigma/correlate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "operators/testing/operator_test_harness.h"
#include "tests/jobs/sigma/correlation/naive_correlation.h"
#include "tests/jobs/sigma/correlation/random_correlation.h"

namespace weir::sigma {
namespace {

using Json = nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Harness = TwoInputOperatorTestHarness<CorrelationInput, CorrelationUpdate, TaggedEvent>;

constexpr const char* kCorrelation = R"(
title: Guessing
id: guessing
level: high
correlation:
  type: event_count
  rules: [failure]
  group-by: [User]
  timespan: 10s
  condition: {gte: 3}
)";

Harness MakeHarness(CorrelateOptions options = {}, OperatorTestOptions test_options = {}) {
  return Harness(
      [options](DataStream<CorrelationInput> inputs, DataStream<CorrelationUpdate> updates) {
        DataStream<TaggedEvent> alerts =
            inputs.KeyBy([](const CorrelationInput& input) { return input.group; })
                .Connect(updates.Broadcast())
                .StartAfterBroadcast()
                .Process(Correlate(options));
        alerts.Uid("correlate");
        return alerts;
      },
      std::move(test_options));
}

CorrelationUpdate SetText(const std::string& key, const std::string& text) {
  ControlUpdate update;
  update.kind = ControlUpdate::Kind::kSetRule;
  update.key = key;
  update.rule.source = key;
  update.rule.text = text;
  return *ToCorrelationUpdate(update);
}

CorrelationUpdate Rules(const std::vector<std::string>& ids) {
  std::string text;
  for (const std::string& id : ids) {
    text += "---\ntitle: " + id + "\nid: " + id + "\ndetection: {s: {a: 1}, condition: s}\n";
  }
  return SetText("rules", text);
}

CorrelationInput Input(const std::string& text, const std::string& id, const std::string& user,
                       int64_t time_ms) {
  CorrelationInput input;
  input.group = id + "|" + user;
  input.correlation = id;
  input.definition = DefinitionNumber(text, id);
  input.group_values = {user};
  input.match.time_ms = time_ms;
  return input;
}

class CorrelateTest : public ::testing::Test {
 protected:
  explicit CorrelateTest(CorrelateOptions options = {}) : harness_(MakeHarness(options)) {
    harness_.ProcessElement2(Rules({"failure"}));
    harness_.ProcessElement2(SetText("c", kCorrelation));
    harness_.ProcessCaughtUp2();
  }
  void Match(int64_t time_ms, const std::string& user = "bob") {
    harness_.ProcessElement1(Input(kCorrelation, "guessing", user, time_ms),
                             EventTime::FromMillis(time_ms));
  }
  std::vector<std::string> Times() {
    std::vector<std::string> times;
    for (const TaggedEvent& alert : harness_.TakeValues()) {
      times.push_back(Json::parse(alert.json)["correlation"]["time"]);
    }
    return times;
  }
  Harness harness_;
};

TEST_F(CorrelateTest, FiresWhenEventTimeReachesTheMatchThatCompletes) {
  Match(5'000);
  Match(1'000);
  Match(9'000, "eve");
  Match(11'000);
  EXPECT_THAT(Times(), IsEmpty());
  harness_.ProcessWatermark(10'999);
  EXPECT_THAT(Times(), IsEmpty());
  harness_.ProcessWatermark(11'000);
  const std::vector<TaggedEvent> alerts = harness_.TakeValues();
  ASSERT_THAT(alerts, SizeIs(1));
  EXPECT_EQ(alerts[0].key, "bob");
  const Json alert = Json::parse(alerts[0].json);
  EXPECT_EQ(alert["sigma_rule_ids"], Json::array({"guessing"}));
  EXPECT_EQ(alert["sigma_detections"][0]["severity"], "high");
  EXPECT_EQ(alert["correlation"]["group"], Json::parse(R"({"User":"bob"})"));
  harness_.ProcessWatermark(100'000);
  EXPECT_EQ(harness_.NumKeyedStateEntries(), 0) << "groups expire";
}

TEST_F(CorrelateTest, CustomFieldsAreAddedToAlerts) {
  CorrelationUpdate update;
  update.kind = CorrelationUpdate::Kind::kSetCustomFields;
  update.custom_fields.yaml = "tenant: emea\n";
  harness_.ProcessElement2(update);
  for (int64_t i = 0; i < 3; ++i) Match(i);
  harness_.ProcessWatermark(10);
  const std::vector<TaggedEvent> alerts = harness_.TakeValues();
  ASSERT_THAT(alerts, SizeIs(1));
  EXPECT_EQ(Json::parse(alerts[0].json)["tenant"], "emea");
}

TEST_F(CorrelateTest, AChangedCorrelationBeginsAnewAndTakesNothingOfTheOld) {
  Match(1'000);
  Match(2'000);
  const std::string changed = std::string(kCorrelation) + "# changed\n";
  harness_.ProcessElement2(SetText("c", changed));
  Match(3'000);  // From a sender that does not know the change yet.
  harness_.ProcessElement1(Input(changed, "guessing", "bob", 4'000), EventTime::FromMillis(4'000));
  harness_.ProcessWatermark(5'000);
  EXPECT_THAT(Times(), IsEmpty());
  for (const int64_t time_ms : {6'000, 7'000}) {
    harness_.ProcessElement1(Input(changed, "guessing", "bob", time_ms),
                             EventTime::FromMillis(time_ms));
  }
  harness_.ProcessWatermark(8'000);
  EXPECT_THAT(Times(), ElementsAre("1970-01-01T00:00:07.000Z"));
}

TEST_F(CorrelateTest, ADeletedCorrelationFiresNoMoreAndLeavesNoState) {
  for (int64_t i = 0; i < 3; ++i) Match(1'000 + i);
  CorrelationUpdate deletion;
  deletion.kind = CorrelationUpdate::Kind::kDelete;
  deletion.key = "c";
  harness_.ProcessElement2(deletion);
  harness_.ProcessWatermark(2'000);
  EXPECT_THAT(Times(), IsEmpty());
  EXPECT_EQ(harness_.NumKeyedStateEntries(), 0);
}

class IdleCorrelateTest : public CorrelateTest {
 protected:
  IdleCorrelateTest() : CorrelateTest({.idle = absl::Seconds(60)}) {}
};

TEST_F(IdleCorrelateTest, EventTimeThatStandsStillHoldsNoAlertBack) {
  for (int64_t i = 0; i < 3; ++i) Match(1'000 + i);
  harness_.AdvanceProcessingTime(absl::Seconds(59));
  EXPECT_THAT(Times(), IsEmpty());
  harness_.AdvanceProcessingTime(absl::Seconds(1));
  EXPECT_THAT(Times(), ElementsAre("1970-01-01T00:00:01.002Z"));
}

TEST_F(IdleCorrelateTest, EventTimeThatMovesIsWaitedFor) {
  for (int64_t i = 0; i < 3; ++i) Match(100'000 + i);
  harness_.AdvanceProcessingTime(absl::Seconds(30));
  harness_.ProcessWatermark(50'000);
  harness_.AdvanceProcessingTime(absl::Seconds(30));
  EXPECT_THAT(Times(), IsEmpty());
  harness_.ProcessWatermark(100'002);
  EXPECT_THAT(Times(), ElementsAre("1970-01-01T00:01:40.002Z"));
}

TEST(CorrelateChainTest, WhatFiresGoesToTheLevelAbove) {
  const std::string text = std::string(kCorrelation) +
                           "---\ntitle: Twice\nid: twice\ncorrelation:\n  type: event_count\n"
                           "  rules: [guessing]\n  group-by: [User]\n  timespan: 1h\n"
                           "  condition: {gte: 2}\n";
  Harness harness = MakeHarness({.level = 0, .num_levels = 2});
  harness.CollectSideOutput(CorrelationTag());
  harness.ProcessElement2(Rules({"failure"}));
  harness.ProcessElement2(SetText("c", text));
  harness.ProcessCaughtUp2();
  for (int64_t i = 0; i < 3; ++i) {
    harness.ProcessElement1(Input(text, "guessing", "bob", 1'000 + i),
                            EventTime::FromMillis(1'000));
  }
  harness.ProcessWatermark(2'000);
  EXPECT_THAT(harness.TakeValues(), IsEmpty()) << "it only feeds the correlation above";
  const auto inputs = harness.TakeSideOutput(CorrelationTag());
  ASSERT_THAT(inputs, SizeIs(1));
  EXPECT_EQ(inputs[0].value.correlation, "twice");
  EXPECT_EQ(inputs[0].value.level, 1U);
  EXPECT_THAT(inputs[0].value.group_values, ElementsAre("bob"));
  EXPECT_EQ(inputs[0].value.match.time_ms, 1'002);
}

// ---- Property: the operator, with matches out of order, watermarks and restores at random points,
// says what the reference says of each group. ----

std::string BoundText(const CorrelationBound& bound) {
  constexpr const char* kNames[] = {"lt", "lte", "gt", "gte", "eq", "neq"};
  return std::string(kNames[static_cast<size_t>(bound.op)]) + ": " +
         std::to_string(static_cast<int>(bound.limit));
}

/// Writes a correlation as a rule text. Bounds of one operator cannot be written twice.
std::string TextOf(const CorrelationRule& rule) {
  std::string text =
      "title: x\nid: x\ncorrelation:\n  type: " + std::string(CorrelationTypeName(rule.type)) +
      "\n  group-by: [g]\n";
  text += "  timespan: " + std::to_string(absl::ToInt64Seconds(rule.timespan)) + "s\n  rules: [";
  for (size_t i = 0; i < rule.rules.size(); ++i) text += (i > 0 ? ", r" : "r") + std::to_string(i);
  text += "]\n  condition: {";
  for (const CorrelationBound& bound : rule.condition.bounds) text += BoundText(bound) + ", ";
  const bool reads_value = rule.type != CorrelationType::kEventCount &&
                           rule.type != CorrelationType::kTemporal &&
                           rule.type != CorrelationType::kTemporalOrdered;
  if (reads_value) text += "field: f, ";
  if (rule.condition.percentile) {
    text += "percentile: " + std::to_string(static_cast<int>(*rule.condition.percentile)) + ", ";
  }
  return text.substr(0, text.size() - 2) + "}\n";
}

/// A correlation that can be written, with times in seconds.
CorrelationRule WritableCorrelation(std::mt19937_64& random) {
  CorrelationRule rule = RandomCorrelation(random);
  while (rule.condition.expression.has_value()) rule = RandomCorrelation(random);
  rule.condition.bounds.resize(1);
  rule.timespan = absl::ToInt64Milliseconds(rule.timespan) * absl::Seconds(1);
  return rule;
}

TEST(CorrelatePropertyTest, AgreesWithTheReferenceAcrossDisorderAndRestores) {
  constexpr int64_t kDisorder = kDisorderMillis * 1000;
  const uint64_t seed = std::random_device{}();
  std::mt19937_64 random(seed);
  for (int round = 0; round < 150; ++round) {
    const CorrelationRule rule = WritableCorrelation(random);
    const std::string text = TextOf(rule);
    std::map<std::string, std::vector<CorrelatedMatch>> groups;
    std::vector<std::pair<std::string, CorrelatedMatch>> sent;
    std::vector<CorrelatedMatch> all;
    for (const char* group : {"g1", "g2", "g3"}) {
      for (CorrelatedMatch match : RandomMatches(rule, random)) {
        match.time_ms *= 1000;
        match.event = group;
        groups[group].push_back(match);
        all.push_back(match);
      }
    }
    std::sort(all.begin(), all.end(),
              [](const auto& a, const auto& b) { return a.time_ms < b.time_ms; });
    std::vector<std::pair<int64_t, size_t>> places;
    for (size_t i = 0; i < all.size(); ++i) {
      places.emplace_back(all[i].time_ms + static_cast<int64_t>(Below(random, kDisorder)), i);
    }
    std::sort(places.begin(), places.end());

    std::unique_ptr<Harness> harness(new Harness(MakeHarness()));
    std::vector<std::string> rules;
    for (size_t i = 0; i < rule.rules.size(); ++i) rules.push_back("r" + std::to_string(i));
    harness->ProcessElement2(Rules(rules));
    harness->ProcessElement2(SetText("x", text));
    harness->ProcessCaughtUp2();
    std::map<std::string, std::vector<NaiveFiring>> found;
    const auto collect = [&] {
      for (const auto& record : harness->TakeRecords()) {
        const Json alert = Json::parse(record.value.json);
        found[record.value.key].push_back(
            {record.timestamp.millis(), alert["correlation"]["value"].get<double>()});
      }
    };
    int64_t watermark = 0;
    for (const auto& [place, index] : places) {
      const CorrelatedMatch& match = all[index];
      if (Below(random, 3) == 0 && match.time_ms - kDisorder - 1 > watermark) {
        watermark = match.time_ms - kDisorder - 1;
        harness->ProcessWatermark(watermark);
        collect();
      }
      if (Below(random, 15) == 0) {
        std::unique_ptr<Harness> restored(new Harness(
            MakeHarness({}, {.parallelism = static_cast<uint32_t>(1 + Below(random, 3))})));
        restored->Restore(harness->Snapshot());
        harness = std::move(restored);
        harness->ProcessCaughtUp2();
      }
      CorrelationInput input;
      input.group = "x|" + match.event;
      input.correlation = "x";
      input.definition = DefinitionNumber(text, "x");
      input.group_values = {match.event};
      input.match = match;
      harness->ProcessElement1(input, EventTime::FromMillis(match.time_ms));
    }
    harness->ProcessWatermark(EventTime::Max().millis());
    collect();
    for (const char* group : {"g1", "g2", "g3"}) {
      ASSERT_EQ(Comparable(rule, found[group]),
                Comparable(rule, CorrelateNaively(rule, groups[group])))
          << "seed=" << seed << " round=" << round << " " << text << Describe(rule, groups[group]);
    }
  }
}

}  // namespace
}  // namespace weir::sigma
