#include "jobs/sigma/correlation/correlation_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "jobs/sigma/correlation/correlation_input.h"
#include "jobs/sigma/correlation/event_clock.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/rule_files.h"
#include "jobs/sigma/engine/tagged_event.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr const char* kRules = R"(
title: Logon
id: logon
name: logon_name
detection: {s: {EventID: 4624}, condition: s}
---
title: Failure
id: failure
detection: {s: {EventID: 4625}, condition: s}
---
title: Guessing
id: guessing
level: high
tags: [attack.t1110]
correlation:
  type: event_count
  rules: failure
  group-by: [User, Host]
  timespan: 5m
  condition: {gte: 10}
---
title: Guessed
id: guessed
correlation:
  type: temporal_ordered
  rules: [guessing, logon_name]
  group-by: [account]
  timespan: 1h
  aliases:
    account: {guessing: User, logon_name: TargetUserName}
generate: true
)";

struct Loaded {
  CorrelationSet set;
  std::vector<CorrelationSet::Problem> problems;
};

Loaded Load(const std::string& yaml, uint32_t num_levels = 4) {
  std::vector<CorrelationDefinition> definitions;
  std::vector<std::shared_ptr<const Rule>> rules;
  for (absl::StatusOr<RuleFileDocument>& document : ReadRuleText(yaml)) {
    EXPECT_TRUE(document.ok()) << document.status();
    if (auto* const rule = std::get_if<Rule>(&*document)) {
      rules.push_back(std::make_shared<const Rule>(std::move(*rule)));
    } else {
      CorrelationRule correlation = std::get<CorrelationRule>(*std::move(document));
      const uint64_t number = DefinitionNumber(yaml, correlation.id);
      definitions.push_back({std::move(correlation), number});
    }
  }
  Loaded loaded;
  loaded.set = CorrelationSet(std::move(definitions), rules, num_levels, &loaded.problems);
  return loaded;
}

std::vector<CorrelationInput> Inputs(const CorrelationSet& set, const std::string& rule,
                                     const std::string& json) {
  const auto event = EventFields::Parse(json);
  EXPECT_TRUE(event.ok()) << event.status();
  std::vector<CorrelationInput> inputs;
  AppendInputs(set, rule, ValuesOf(*event), 1'000, "t/0/7", &inputs);
  return inputs;
}

TEST(CorrelationSetTest, KnowsReadersLevelsAndWhoIsSilent) {
  const Loaded loaded = Load(kRules);
  EXPECT_THAT(loaded.problems, IsEmpty());
  ASSERT_THAT(loaded.set.ReadersOf("failure"), SizeIs(1));
  EXPECT_EQ(loaded.set.ReadersOf("failure")[0].correlation->rule->id, "guessing");
  ASSERT_THAT(loaded.set.ReadersOf("logon"), SizeIs(1));
  EXPECT_EQ(loaded.set.ReadersOf("logon")[0].rule, 1U);
  EXPECT_EQ(loaded.set.Find("guessing")->level, 0U);
  EXPECT_EQ(loaded.set.Find("guessed")->level, 1U);
  EXPECT_EQ(loaded.set.num_levels(), 2U);
  EXPECT_TRUE(loaded.set.IsSilent("failure"));
  EXPECT_FALSE(loaded.set.IsSilent("logon")) << "generate";
  EXPECT_FALSE(loaded.set.IsSilent("guessing"));
  EXPECT_FALSE(loaded.set.IsSilent("guessed"));
}

TEST(CorrelationSetTest, RefusesWhatGoesDeeperThanTheJobAndThenSilencesNothingForIt) {
  const Loaded loaded = Load(kRules, 1);
  ASSERT_THAT(loaded.problems, SizeIs(1));
  EXPECT_EQ(loaded.problems[0].id, "guessed");
  EXPECT_THAT(std::string(loaded.problems[0].status.message()),
              HasSubstr("raise CORRELATION_LEVELS: needed=2"));
  const Loaded none = Load(kRules, 0);
  EXPECT_THAT(none.problems, SizeIs(2));
  EXPECT_TRUE(none.set.empty());
  EXPECT_FALSE(none.set.IsSilent("failure"));
}

TEST(CorrelationSetTest, TheNumberOfADefinitionIsThatOfItsTextAndId) {
  EXPECT_EQ(DefinitionNumber("a", "b"), DefinitionNumber("a", "b"));
  EXPECT_NE(DefinitionNumber("a", "b"), DefinitionNumber("ab", ""));
  EXPECT_NE(DefinitionNumber("a", "b"), DefinitionNumber("a", "c"));
}

TEST(CorrelationInputTest, AMatchGoesToTheGroupOfItsValues) {
  const Loaded loaded = Load(kRules);
  const auto inputs = Inputs(loaded.set, "failure", R"({"User":"bob","Host":7})");
  ASSERT_THAT(inputs, SizeIs(1));
  EXPECT_THAT(inputs[0].group_values, ElementsAre("bob", "7"));
  EXPECT_EQ(inputs[0].group,
            "guessing\x1f"
            "bob\x1f"
            "7");
  EXPECT_EQ(inputs[0].match.event, "t/0/7");
  EXPECT_EQ(inputs[0].match.time_ms, 1'000);
  EXPECT_THAT(Inputs(loaded.set, "failure", R"({"User":"bob"})"), IsEmpty());
  EXPECT_THAT(Inputs(loaded.set, "nobody", R"({"User":"bob"})"), IsEmpty());
}

TEST(CorrelationInputTest, AliasesNameTheFieldOfEachRule) {
  const Loaded loaded = Load(kRules);
  const auto inputs = Inputs(loaded.set, "logon", R"({"User":"eve","TargetUserName":"bob"})");
  ASSERT_THAT(inputs, SizeIs(1));
  EXPECT_THAT(inputs[0].group_values, ElementsAre("bob"));
  std::vector<CorrelationInput> chained;
  const CorrelationRule& guessing = *loaded.set.Find("guessing")->rule;
  AppendInputs(loaded.set, "guessing", ValuesOfFiring(guessing, {"bob", "7"}), 2'000, "c",
               &chained);
  ASSERT_THAT(chained, SizeIs(1));
  EXPECT_EQ(chained[0].group, inputs[0].group);
  EXPECT_EQ(chained[0].match.rule, 0U);
  EXPECT_EQ(chained[0].level, 1U);
}

TEST(CorrelationInputTest, AListPutsAMatchIntoSeveralGroups) {
  const Loaded loaded = Load(kRules);
  std::vector<std::string> users;
  for (const auto& input : Inputs(loaded.set, "failure", R"({"User":["a","b","a"],"Host":"h"})")) {
    users.push_back(input.group_values[0]);
  }
  EXPECT_THAT(users, UnorderedElementsAre("a", "b"));
}

TEST(CorrelationInputTest, ValuesAreReadAsTheTypeAsks) {
  const auto value_rule = [](const std::string& type, const std::string& field) {
    return "title: R\nid: r\ndetection: {s: {a: 1}, condition: s}\n---\ntitle: C\nid: c\n"
           "correlation:\n  type: " +
           type + "\n  rules: r\n  timespan: 1m\n  condition: {field: " + field + ", gte: 3}\n";
  };
  const Loaded sum = Load(value_rule("value_sum", "bytes"));
  EXPECT_EQ(Inputs(sum.set, "r", R"({"bytes":"12.5"})").at(0).match.number, 12.5);
  EXPECT_THAT(Inputs(sum.set, "r", R"({"bytes":"many"})"), IsEmpty());
  EXPECT_THAT(Inputs(sum.set, "r", R"({"a":1})"), IsEmpty());
  const Loaded count = Load(value_rule("value_count", "[Host, User]"));
  EXPECT_EQ(Inputs(count.set, "r", R"({"Host":"h","User":"u"})").at(0).match.value,
            "h\x1f"
            "u");
  EXPECT_THAT(Inputs(count.set, "r", R"({"Host":"h"})"), IsEmpty());
}

TEST(CorrelationInputTest, AFiringIsAnEventWithADetection) {
  const Loaded loaded = Load(kRules);
  const CorrelationRule& rule = *loaded.set.Find("guessing")->rule;
  std::string json;
  AppendFiringJson(rule, {"bob", "7"}, {60'000, 1'000, 60'000, 10, {}, {"t/0/1", "t/0/2"}}, &json);
  const Rule detection = DetectionOf(rule);
  const Rule* const pointer = &detection;
  std::string tagged;
  ASSERT_TRUE(AppendTaggedEvent(json, {&pointer, 1}, &tagged).ok());
  EXPECT_EQ(nlohmann::json::parse(tagged), nlohmann::json::parse(R"({
      "correlation":{"type":"event_count","timespan_seconds":300,"group":{"User":"bob","Host":"7"},
        "time":"1970-01-01T00:01:00.000Z","first":"1970-01-01T00:00:01.000Z",
        "last":"1970-01-01T00:01:00.000Z","value":10.0,"rules":["failure"],
        "events":["t/0/1","t/0/2"]},
      "sigma_rule_ids":["guessing"],
      "sigma_detections":[{"rule_id":"guessing","rule_title":"Guessing","severity":"high",
        "technique_ids":["T1110"],"techniques":[{"id":"T1110","name":null}]}]})"));
}

TEST(EventClockTest, ReadsTimesOfTheUsualForms) {
  EXPECT_EQ(ParseEventTime("2026-03-02T09:14:03Z"), 1772442843000);
  EXPECT_EQ(ParseEventTime("2026-03-02T09:14:03.250Z"), 1772442843250);
  EXPECT_EQ(ParseEventTime("2026-03-02 09:14:03.250"), 1772442843250);
  EXPECT_EQ(ParseEventTime("2026-03-02T10:14:03+01:00"), 1772442843000);
  EXPECT_EQ(ParseEventTime("2026/03/02 09:14"), 1772442840000);
  EXPECT_EQ(ParseEventTime("1772442843"), 1772442843000);
  EXPECT_EQ(ParseEventTime("1772442843.25"), 1772442843250);
  EXPECT_EQ(ParseEventTime("1772442843250"), 1772442843250);
  EXPECT_EQ(ParseEventTime("1772442843250000"), 1772442843250);
  EXPECT_EQ(ParseEventTime("1772442843250000000"), 1772442843250);
  for (const char* text : {"", "yesterday", "2026-13-02T09:14:03Z", "-5", "nan", "1e300"}) {
    EXPECT_EQ(ParseEventTime(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace weir::sigma
