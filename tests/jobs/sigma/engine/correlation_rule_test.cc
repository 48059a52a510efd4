#include "jobs/sigma/engine/correlation_rule.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jobs/sigma/engine/pipeline.h"
#include "jobs/sigma/engine/rule_files.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kRules =
    "id: r1\nname: login\nlogsource: {product: x}\ndetection: {s: {a: 1}, condition: s}\n"
    "---\n"
    "id: r2\nname: logout\nlogsource: {product: x}\ndetection: {s: {a: 2}, condition: s}\n";

LoadedRules Load(const std::string& correlations, const RuleOptions& options = {}) {
  RuleCollector collector(options);
  collector.Add(kRules, "rules.yml");
  collector.Add(correlations, "correlations.yml");
  LoadedRules loaded = collector.Finish();
  for (const RuleError& error : loaded.errors) ADD_FAILURE() << error.status;
  return loaded;
}

std::shared_ptr<const CorrelationRule> LoadOne(const std::string& section) {
  const LoadedRules loaded = Load("title: c\nid: c1\nlevel: High\ncorrelation:\n" + section);
  return loaded.correlations.size() == 1 ? loaded.correlations.front() : nullptr;
}

TEST(CorrelationRuleTest, ReadsEventCount) {
  const auto rule = LoadOne(
      "  type: event_count\n  rules: [login]\n  group-by: [User, Host]\n  timespan: 90m\n"
      "  condition: {gt: 100, lte: 200}\n");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->id, "c1");
  EXPECT_EQ(rule->level, "high");
  EXPECT_EQ(rule->type, CorrelationType::kEventCount);
  EXPECT_EQ(rule->timespan, absl::Minutes(90));
  EXPECT_THAT(rule->group_by, ElementsAre("User", "Host"));
  ASSERT_EQ(rule->rules.size(), 1u);
  EXPECT_EQ(rule->rules[0].reference, "login");
  EXPECT_EQ(rule->rules[0].id, "r1");
  EXPECT_FALSE(rule->rules[0].is_correlation);
  ASSERT_EQ(rule->condition.bounds.size(), 2u);
  const auto holds = [&](double count) {
    return rule->condition.bounds[0].Holds(count) && rule->condition.bounds[1].Holds(count);
  };
  EXPECT_FALSE(holds(100));
  EXPECT_TRUE(holds(101));
  EXPECT_TRUE(holds(200));
  EXPECT_FALSE(holds(201));
}

TEST(CorrelationRuleTest, ReadsEveryTypeOfValues) {
  for (const auto& [name, type] : std::vector<std::pair<std::string, CorrelationType>>{
           {"value_count", CorrelationType::kValueCount},
           {"value_sum", CorrelationType::kValueSum},
           {"value_avg", CorrelationType::kValueAvg},
           {"value_percentile", CorrelationType::kValuePercentile},
           {"value_median", CorrelationType::kValueMedian}}) {
    const auto rule = LoadOne(
        "  type: " + name + "\n  rules: r2\n  timespan: 1d\n  condition: {field: bytes, neq: 5}\n");
    ASSERT_NE(rule, nullptr) << name;
    EXPECT_EQ(rule->type, type);
    EXPECT_EQ(CorrelationTypeName(rule->type), name);
    EXPECT_THAT(rule->condition.fields, ElementsAre("bytes"));
    EXPECT_FALSE(rule->condition.percentile.has_value());
    EXPECT_TRUE(rule->group_by.empty());
  }
}

TEST(CorrelationRuleTest, ReadsSeveralFieldsAndAPercentile) {
  const auto tuple = LoadOne(
      "  type: value_count\n  rules: r1\n  timespan: 1w\n  condition: {field: [a, b], eq: 2}\n");
  ASSERT_NE(tuple, nullptr);
  EXPECT_THAT(tuple->condition.fields, ElementsAre("a", "b"));
  EXPECT_EQ(tuple->timespan, absl::Hours(7 * 24));
  const auto percentile = LoadOne(
      "  type: value_percentile\n  rules: r1\n  timespan: 1h\n"
      "  condition: {field: a, percentile: 95, gte: 2.5}\n");
  ASSERT_NE(percentile, nullptr);
  EXPECT_EQ(percentile->condition.percentile, 95);
  EXPECT_EQ(percentile->condition.bounds[0].limit, 2.5);
}

TEST(CorrelationRuleTest, WantsAllRulesOfATemporalOneByDefault) {
  const auto rule =
      LoadOne("  type: temporal_ordered\n  rules: [login, logout]\n  timespan: 10s\n");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->type, CorrelationType::kTemporalOrdered);
  ASSERT_EQ(rule->condition.bounds.size(), 1u);
  EXPECT_EQ(rule->condition.bounds[0].limit, 2);
  EXPECT_FALSE(rule->condition.bounds[0].Holds(1));
  EXPECT_TRUE(rule->condition.bounds[0].Holds(2));
}

TEST(CorrelationRuleTest, ReadsBooleanConditions) {
  const auto rule = LoadOne(
      "  type: temporal\n  rules: [login, logout]\n  timespan: 10s\n"
      "  condition: login and not (logout or login)\n");
  ASSERT_NE(rule, nullptr);
  using Kind = CorrelationExpression::Kind;
  const CorrelationExpression& expression = *rule->condition.expression;
  EXPECT_EQ(expression.kind, Kind::kAnd);
  ASSERT_EQ(expression.children.size(), 2u);
  EXPECT_EQ(expression.children[0].kind, Kind::kRule);
  EXPECT_EQ(expression.children[0].rule, 0u);
  EXPECT_EQ(expression.children[1].kind, Kind::kNot);
  const CorrelationExpression& either = expression.children[1].children.front();
  EXPECT_EQ(either.kind, Kind::kOr);
  EXPECT_EQ(either.children[0].rule, 1u);
}

TEST(CorrelationRuleTest, TakesRulesFromABooleanCondition) {
  const auto rule =
      LoadOne("  type: temporal_extended\n  timespan: 10s\n  condition: logout and login\n");
  ASSERT_NE(rule, nullptr);
  ASSERT_EQ(rule->rules.size(), 2u);
  EXPECT_EQ(rule->rules[0].id, "r2");
  EXPECT_EQ(rule->rules[1].id, "r1");
}

TEST(CorrelationRuleTest, ResolvesAliasesPerRule) {
  const auto rule = LoadOne(
      "  type: temporal\n  rules: [login, logout]\n  timespan: 10s\n  group-by: [ip, Host]\n"
      "  aliases:\n    ip: {login: src_ip, logout: client.ip}\n    user: {login: User}\n");
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->FieldOf(0, "ip"), "src_ip");
  EXPECT_EQ(rule->FieldOf(1, "ip"), "client.ip");
  EXPECT_EQ(rule->FieldOf(1, "Host"), "Host");
  EXPECT_EQ(rule->FieldOf(1, "user"), "");
}

TEST(CorrelationRuleTest, PutsChainedOnesBehindThoseTheyName) {
  const LoadedRules loaded = Load(
      "id: outer\ncorrelation: {type: temporal_ordered, rules: [many, logout], timespan: 1h}\n"
      "---\n"
      "id: inner\nname: many\n"
      "correlation: {type: event_count, rules: [login], timespan: 1m, condition: {gte: 10}}\n");
  ASSERT_EQ(loaded.correlations.size(), 2u);
  EXPECT_EQ(loaded.correlations[0]->id, "inner");
  EXPECT_EQ(loaded.correlations[1]->id, "outer");
  EXPECT_TRUE(loaded.correlations[1]->rules[0].is_correlation);
  EXPECT_EQ(loaded.correlations[1]->rules[0].id, "inner");
  EXPECT_THAT(loaded.silent_rules, ElementsAre("inner", "r1", "r2"));
}

TEST(CorrelationRuleTest, LetsRulesSpeakWhereOneGenerates) {
  const LoadedRules loaded = Load(
      "id: c1\ncorrelation: {type: temporal, rules: [login, logout], timespan: 1h}\n"
      "---\n"
      "id: c2\ncorrelation: {type: event_count, rules: [login], timespan: 1m, generate: true, "
      "condition: {gte: 10}}\n"
      "---\n"
      "id: c3\ngenerate: true\n"
      "correlation: {type: event_count, rules: [c2], timespan: 1m, condition: {gte: 10}}\n");
  EXPECT_THAT(loaded.silent_rules, ElementsAre("r2"));
}

TEST(CorrelationRuleTest, TakesTheFieldNamesOfPipelines) {
  RuleOptions options;
  const auto pipeline = Pipeline::Parse(
      "transformations:\n"
      "- type: field_name_mapping\n  mapping: {User: user.name, src_ip: source.ip, bytes: n}\n"
      "  rule_conditions: [{type: logsource, product: x}]\n",
      "p");
  ASSERT_TRUE(pipeline.ok()) << pipeline.status();
  options.pipeline = *pipeline;
  const LoadedRules loaded = Load(
      "id: c\ncorrelation: {type: value_sum, rules: [login], timespan: 1h, group-by: [User, ip], "
      "aliases: {ip: {login: src_ip}}, condition: {field: bytes, gt: 5}}\n",
      options);
  ASSERT_EQ(loaded.correlations.size(), 1u);
  const CorrelationRule& rule = *loaded.correlations.front();
  EXPECT_THAT(rule.group_by, ElementsAre("user.name", "ip"));
  EXPECT_EQ(rule.FieldOf(0, "ip"), "source.ip");
  EXPECT_THAT(rule.condition.fields, ElementsAre("n"));
}

TEST(CorrelationRuleTest, PointsAtAReferenceThatDangles) {
  RuleCollector collector;
  collector.Add(kRules, "rules.yml");
  collector.Add(
      "id: c\ncorrelation:\n  type: event_count\n  rules:\n    - logn\n  timespan: 1h\n"
      "  condition: {gte: 1}\n",
      "c.yml");
  const LoadedRules loaded = collector.Finish();
  ASSERT_EQ(loaded.errors.size(), 1u);
  EXPECT_EQ(loaded.errors[0].source, "c.yml");
  EXPECT_EQ(loaded.errors[0].rule_id, "c");
  EXPECT_EQ(PlaceOf(loaded.errors[0].status), (SourcePlace{5, 7}));
  EXPECT_THAT(std::string(loaded.errors[0].status.message()), HasSubstr("did you mean `login`"));
}

TEST(RuleCollectorTest, WarnsOfFiltersThatMeetNoRule) {
  RuleCollector collector;
  collector.Add(kRules, "rules.yml");
  collector.Add(
      "id: f\nlogsource: {product: y}\nfilter: {rules: any, s: {a: 1}, condition: s}\n"
      "---\nid: g\nlogsource: {product: x}\nfilter: {rules: [login], s: {u: 1}, condition: s}\n",
      "f.yml");
  const LoadedRules loaded = collector.Finish();
  EXPECT_TRUE(loaded.errors.empty());
  ASSERT_EQ(loaded.warnings.size(), 1u);
  EXPECT_EQ(loaded.warnings[0].rule_id, "f");
  EXPECT_EQ(loaded.filters.size(), 2u);
}

}  // namespace
}  // namespace weir::sigma
