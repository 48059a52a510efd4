#include "jobs/correlation/correlation_rule.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::correlation {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string RuleWith(const std::string& field, const std::string& value) {
  std::string json = R"({"rule_id":"X-1","rule_name":"chain","required_signals":["A","B"],)"
                     R"("time_window_minutes":12,"detection_type":"CHAIN","severity":"HIGH",)"
                     R"("confidence":"LOW","description":"not needed"})";
  if (field.empty()) return json;
  const size_t at = json.find("\"" + field + "\":");
  if (at == std::string::npos) return json.insert(1, "\"" + field + "\":" + value + ",");
  size_t begin = at + field.size() + 3;
  const size_t end =
      json[begin] == '[' ? json.find(']', begin) + 1 : json.find_first_of(",}", begin);
  return json.replace(begin, end - begin, value);
}

std::string ErrorOf(const std::string& json) {
  const auto rules = ParseCorrelationRules(json, "rules/chain.json");
  return rules.ok() ? "" : std::string(rules.status().ToString());
}

TEST(CorrelationRuleTest, ReadsARule) {
  const auto rules = ParseCorrelationRules(RuleWith("", ""), "rules/chain.json");
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_THAT(*rules, SizeIs(1));
  const CorrelationRule& rule = rules->front();
  EXPECT_EQ(rule.id, "X-1");
  EXPECT_EQ(rule.name, "chain");
  EXPECT_THAT(rule.required_signals, ElementsAre("A", "B"));
  EXPECT_EQ(rule.time_window, absl::Minutes(12));
  EXPECT_EQ(rule.detection_type, "CHAIN");
  EXPECT_EQ(rule.severity, "HIGH");
  EXPECT_EQ(rule.confidence, "LOW");
  EXPECT_EQ(rule.technique, "");
}

TEST(CorrelationRuleTest, ReadsBothShapesOfMitreAttack) {
  const auto flat = ParseCorrelationRules(
      RuleWith("mitre_attack", R"({"tactic":"TA0008","technique":"T1021","name":"n"})"), "f");
  ASSERT_TRUE(flat.ok()) << flat.status();
  EXPECT_EQ(flat->front().technique, "T1021");
  const auto nested = ParseCorrelationRules(
      RuleWith("mitre_attack", R"({"tactic":"TA0010","tactic_name":"Exfiltration",)"
                               R"("techniques":[{"id":"T1048","name":"n","sub_techniques":["x"]},)"
                               R"({"id":"T1041","name":"m"}]})"),
      "f");
  ASSERT_TRUE(nested.ok()) << nested.status();
  EXPECT_EQ(nested->front().technique, "T1048, T1041");
}

TEST(CorrelationRuleTest, ReadsAnArrayOfRules) {
  const auto rules = ParseCorrelationRules(
      "[" + RuleWith("", "") + "," + RuleWith("rule_id", "\"X-2\"") + "]", "f");
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(*rules, SizeIs(2));
}

TEST(CorrelationRuleTest, TakesPartsOfAMinute) {
  const auto rules = ParseCorrelationRules(RuleWith("time_window_minutes", "0.5"), "f");
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_EQ(rules->front().time_window, absl::Seconds(30));
}

TEST(CorrelationRuleTest, NamesFileFieldAndWhatIsAccepted) {
  EXPECT_THAT(
      ErrorOf(RuleWith("severity", "\"URGENT\"")),
      AllOf(HasSubstr("rules/chain.json"), HasSubstr("field=severity"), HasSubstr("rule_id=X-1"),
            HasSubstr("CRITICAL"), HasSubstr("found=\"URGENT\"")));
  EXPECT_THAT(ErrorOf(RuleWith("required_signals", "[]")), HasSubstr("field=required_signals"));
  EXPECT_THAT(ErrorOf(RuleWith("required_signals", "[\"A\",\"A\"]")), HasSubstr("each once"));
  EXPECT_THAT(ErrorOf(RuleWith("required_signals", "[1]")), HasSubstr("field=required_signals"));
  EXPECT_THAT(ErrorOf(RuleWith("time_window_minutes", "0")), HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf(RuleWith("time_window_minutes", "-3")), HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf(RuleWith("time_window_minutes", "\"15\"")), HasSubstr("above 0"));
  EXPECT_THAT(ErrorOf(RuleWith("rule_id", "null")), HasSubstr("field=rule_id"));
  EXPECT_THAT(ErrorOf(RuleWith("rule_id", "\"a:b\"")), HasSubstr("field=rule_id"));
  EXPECT_THAT(ErrorOf(RuleWith("confidence", "7")), HasSubstr("LOW, MEDIUM, HIGH"));
  EXPECT_THAT(ErrorOf(RuleWith("mitre_attack", "\"T1021\"")), HasSubstr("field=mitre_attack"));
}

TEST(CorrelationRuleTest, SaysWhichFieldIsMissing) {
  EXPECT_THAT(ErrorOf(R"({"rule_id":"X"})"),
              AllOf(HasSubstr("no such field"), HasSubstr("field=rule_name")));
}

TEST(CorrelationRuleTest, RefusesWhatIsNoRule) {
  EXPECT_THAT(ErrorOf("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(ErrorOf("3"), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("[" + RuleWith("", "") + "," + RuleWith("", "") + "]"),
              HasSubstr("rule_id=X-1"));
}

}  // namespace
}  // namespace weir::correlation
