#include "jobs/sigma/rule_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/sigma/engine/matcher.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string RuleText(const std::string& id, const std::string& value) {
  return "title: t\nid: " + id + "\ndetection:\n  s:\n    field: " + value + "\n  condition: s\n";
}

StoredRule FromTopic(const std::string& id, const std::string& value) {
  return {"j:" + id, RuleText("ignored", value), id, std::nullopt, std::nullopt, std::nullopt};
}

StoredRule FromFile(const std::string& path, std::string text) {
  return {path, std::move(text), std::nullopt, std::nullopt, std::nullopt, std::nullopt};
}

std::vector<std::string> Matches(RuleSet& rules, std::string_view event) {
  Matcher matcher;
  EXPECT_TRUE(matcher.SetRules(rules.Compile()).ok());
  std::vector<const Rule*> matches;
  EXPECT_TRUE(matcher.Match(event, matches).ok());
  std::vector<std::string> ids;
  for (const Rule* rule : matches) ids.push_back(rule->id);
  return ids;
}

TEST(RuleSetTest, SetsReplacesAndRemovesRules) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  EXPECT_TRUE(rules.Set("b", FromTopic("b", "one"), &problems));
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("a", "b"));
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "two"), &problems));
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("b"));
  EXPECT_THAT(Matches(rules, R"({"field":"two"})"), ElementsAre("a"));
  rules.Remove("a");
  rules.Remove("never there");
  EXPECT_THAT(Matches(rules, R"({"field":"two"})"), IsEmpty());
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "three"), &problems));
  EXPECT_THAT(Matches(rules, R"({"field":"three"})"), ElementsAre("a"));
  EXPECT_THAT(problems, IsEmpty());
}

TEST(RuleSetTest, CompilesOnceForManyChanges) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.changed());
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  EXPECT_TRUE(rules.Set("b", FromTopic("b", "one"), &problems));
  EXPECT_EQ(rules.Compile().base->rule_count(), 2U);
  EXPECT_FALSE(rules.changed());
  rules.Remove("never there");
  EXPECT_FALSE(rules.changed());
}

TEST(RuleSetTest, ARuleThatIsThereAlreadyChangesNothing) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  (void)rules.Compile();
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  EXPECT_FALSE(rules.changed());
  StoredRule renamed = FromTopic("a", "one");
  renamed.title = "another";
  EXPECT_TRUE(rules.Set("a", renamed, &problems));
  EXPECT_TRUE(rules.changed());
  EXPECT_EQ(rules.num_compilations(), 1U);
}

TEST(RuleSetTest, TellsFiltersFromRules) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  EXPECT_TRUE(rules.SetFilter(
      "f", {"j:prefilter:f", "detection:\n  s: {field: one}\n  condition: s\n"}, &problems));
  EXPECT_EQ(rules.size(), 1U);
  Matcher matcher;
  ASSERT_TRUE(matcher.SetRules(rules.Compile()).ok());
  std::vector<const Rule*> matches;
  ASSERT_TRUE(matcher.Match(R"({"field":"one"})", matches).ok());
  ASSERT_THAT(matches, SizeIs(2));
  EXPECT_TRUE(RuleSet::IsFilter(*matches[0]));
  EXPECT_FALSE(RuleSet::IsFilter(*matches[1]));
  rules.RemoveFilter("f");
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("a"));
}

TEST(RuleSetTest, AFilterThatCannotBeUsedExcludesNothing) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  const std::string good = "detection:\n  s: {field: one}\n  condition: s\n";
  EXPECT_TRUE(rules.SetFilter("f", {"k", good}, &problems));
  EXPECT_FALSE(rules.SetFilter("f", {"k", ""}, &problems));
  EXPECT_FALSE(rules.SetFilter("g", {"k", "detection: [a]"}, &problems));
  EXPECT_THAT(problems, SizeIs(2));
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), IsEmpty());
}

TEST(RuleSetTest, AMappingAppliesToRulesAndFiltersBeforeAndAfter) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  rules.SetMapping({{"field", {"mapped", "field"}}});
  EXPECT_TRUE(rules.Set("b", FromTopic("b", "one"), &problems));
  EXPECT_THAT(Matches(rules, R"({"mapped":"one"})"), ElementsAre("a", "b"));
  (void)rules.Compile();
  rules.SetMapping({{"field", {"mapped", "field"}}});
  EXPECT_FALSE(rules.changed());
  rules.SetMapping({});
  EXPECT_THAT(Matches(rules, R"({"mapped":"one"})"), IsEmpty());
}

TEST(RuleSetTest, KeepsTheVersionBeforeABrokenOne) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  ASSERT_TRUE(rules.Set("a", FromTopic("a", "one"), &problems));
  StoredRule broken = FromTopic("a", "two");
  broken.text = "title: t\ndetection:\n  s:\n    field|nonsense: x\n  condition: s\n";
  EXPECT_FALSE(rules.Set("a", broken, &problems));
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].rule_id, "a");
  EXPECT_EQ(problems[0].source, "j:a");
  EXPECT_THAT(problems[0].reason, HasSubstr("nonsense"));
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("a"));
}

TEST(RuleSetTest, TakesTheGoodDocumentsOfAFile) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set(
      "f.yml",
      FromFile("f.yml",
               RuleText("x", "one") + "---\ntitle: broken\nid: y\n---\n" + RuleText("z", "one")),
      &problems));
  EXPECT_EQ(rules.size(), 2U);
  EXPECT_THAT(problems, SizeIs(1));
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("x", "z"));
}

TEST(RuleSetTest, ReportsASecondRuleWithAnIdTaken) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("f.yml", FromFile("f.yml", RuleText("x", "one")), &problems));
  EXPECT_FALSE(rules.Set("g.yml", FromFile("g.yml", RuleText("x", "two")), &problems));
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_EQ(problems[0].source, "g.yml");
  EXPECT_EQ(problems[0].rule_id, "x");
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("x"));
  // The file's own rule may come again.
  EXPECT_TRUE(rules.Set("f.yml", FromFile("f.yml", RuleText("x", "three")), &problems));
  EXPECT_THAT(Matches(rules, R"({"field":"three"})"), ElementsAre("x"));
}

constexpr const char* kCorrelation =
    "title: c\nid: c\ncorrelation:\n  type: event_count\n  rules: [x]\n  timespan: 1m\n"
    "  condition: {gte: 2}\n";

TEST(RuleSetTest, CorrelationsFindTheirRulesInOtherTexts) {
  RuleSet rules({.correlation_levels = 1});
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("c.yml", FromFile("c.yml", kCorrelation), &problems));
  (void)rules.Compile();
  EXPECT_TRUE(rules.correlations().empty());
  const std::vector<RuleProblem> dangling = rules.TakeProblems();
  ASSERT_THAT(dangling, SizeIs(1));
  EXPECT_EQ(dangling[0].rule_id, "c");
  EXPECT_EQ(dangling[0].source, "c.yml");
  EXPECT_THAT(dangling[0].reason, HasSubstr("no rule has this id or name"));
  EXPECT_TRUE(rules.Set("a.yml", FromFile("a.yml", RuleText("a", "one")), &problems));
  (void)rules.Compile();
  EXPECT_THAT(rules.TakeProblems(), IsEmpty()) << "told once";
  EXPECT_TRUE(rules.Set("x.yml", FromFile("x.yml", RuleText("x", "one")), &problems));
  (void)rules.Compile();
  EXPECT_THAT(rules.TakeProblems(), IsEmpty());
  EXPECT_THAT(rules.correlations().ReadersOf("x"), SizeIs(1));
  EXPECT_TRUE(rules.correlations().IsSilent("x"));
  EXPECT_EQ(rules.size(), 3U);
  rules.Remove("x.yml");
  (void)rules.Compile();
  EXPECT_THAT(rules.TakeProblems(), SizeIs(1)) << "it is so again";
  EXPECT_THAT(problems, IsEmpty());
}

TEST(RuleSetTest, CorrelationsAreAProblemWhereNoneAreRun) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  EXPECT_TRUE(rules.Set("x.yml", FromFile("x.yml", RuleText("x", "one")), &problems));
  EXPECT_TRUE(rules.Set("c.yml", FromFile("c.yml", kCorrelation), &problems));
  EXPECT_THAT(Matches(rules, R"({"field":"one"})"), ElementsAre("x"));
  EXPECT_FALSE(rules.correlations().IsSilent("x"));
  const std::vector<RuleProblem> told = rules.TakeProblems();
  ASSERT_THAT(told, SizeIs(1));
  EXPECT_THAT(told[0].reason, HasSubstr("CORRELATION_LEVELS"));
}

TEST(RuleSetTest, SigmaFiltersChangeTheRulesThatTheyNameWhereverTheyStand) {
  RuleSet rules;
  std::vector<RuleProblem> problems;
  const std::string windows = "logsource: {product: windows}\n";
  const std::string filter =
      "title: f\nid: f\nlogsource: {product: windows}\nfilter:\n  rules: [x]\n  selection: {User: "
      "adm}\n"
      "  condition: selection\n";
  EXPECT_TRUE(rules.Set("x.yml", FromFile("x.yml", RuleText("x", "one") + windows), &problems));
  EXPECT_TRUE(rules.Set("y.yml", FromFile("y.yml", RuleText("y", "one") + windows), &problems));
  EXPECT_TRUE(rules.Set("f.yml", FromFile("f.yml", filter), &problems));
  EXPECT_THAT(Matches(rules, R"({"field":"one","User":"adm"})"), ElementsAre("y"));
  EXPECT_THAT(Matches(rules, R"({"field":"one","User":"bob"})"), ElementsAre("x", "y"));
  rules.Remove("f.yml");
  EXPECT_THAT(Matches(rules, R"({"field":"one","User":"adm"})"), ElementsAre("x", "y"));
  EXPECT_THAT(problems, IsEmpty());
}

}  // namespace
}  // namespace weir::sigma
