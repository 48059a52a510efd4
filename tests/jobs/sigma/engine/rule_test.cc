#include "jobs/sigma/engine/rule.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/sigma/engine/matching.h"

namespace weir::sigma {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& yaml, const RuleOptions& options = {}) {
  const absl::StatusOr<Rule> rule = ParseRule(yaml, options);
  EXPECT_FALSE(rule.ok()) << yaml;
  return rule.ok() ? "" : std::string(rule.status().message());
}

std::string ErrorOfLine(const std::string& line) {
  return ErrorOf(RuleText("  s:\n    " + line + "\n  condition: s\n", "r1"));
}

std::string ErrorOfCondition(const std::string& condition) {
  return ErrorOf(
      RuleText("  sel: {a: 1}\n  other: {b: 1}\n  condition: " + condition + "\n", "r1"));
}

TEST(RuleTest, ReadsTheHead) {
  const absl::StatusOr<Rule> rule = ParseRule(
      "title: T\nid: i\nlevel: High\nstatus: test\n"
      "tags: [attack.t1059.001, attack.T1490, attack.execution, cve.2020-1, attack.t12, 5]\n"
      "logsource: {product: windows, category: process_creation, service: sysmon}\n"
      "detection:\n  s: {a: 1}\n  condition: s\n");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->title, "T");
  EXPECT_EQ(rule->id, "i");
  EXPECT_EQ(rule->level, "high");
  EXPECT_EQ(rule->status, "test");
  EXPECT_EQ(rule->log_source, (LogSource{"windows", "process_creation", "sysmon"}));
  ASSERT_EQ(rule->techniques.size(), 2u);
  EXPECT_EQ(rule->techniques[0].id, "T1059.001");
  EXPECT_EQ(rule->techniques[1].id, "T1490");
}

std::string Repeated(std::string_view text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

TEST(RuleTest, RefusesValuesThatModifiersMakeTooLarge) {
  const std::string doubled = ErrorOfLine("a" + Repeated("|wide", 40) + ": x");
  EXPECT_THAT(doubled, HasSubstr("values become too large"));
  EXPECT_THAT(doubled, HasSubstr("modifier=wide"));
  EXPECT_THAT(doubled, HasSubstr("limit_bytes="));
  EXPECT_THAT(doubled, HasSubstr("rule=r1"));
  EXPECT_THAT(ErrorOfLine("a" + Repeated("|windash", 40) + ": -x"), HasSubstr("too many forms"));
  EXPECT_THAT(ErrorOfLine("a" + Repeated("|base64offset", 12) + ": xyz"),
              HasSubstr("too many forms"));
  EXPECT_THAT(ErrorOfLine("a|windash|contains: '" + Repeated(" -x", 12) + "'"),
              HasSubstr("too many dashes"));
  EXPECT_THAT(ErrorOfLine("a|re: '\\pL{300}'"), HasSubstr("too large"));
  std::string lines;
  for (int i = 0; i < 200; ++i) {
    lines += "    f" + std::to_string(i) + Repeated("|wide", 19) + ": x\n";
  }
  EXPECT_THAT(ErrorOf(RuleText("  s:\n" + lines + "  condition: s\n")),
              HasSubstr("values become too large"))
      << "many lines, each below the limit";
}

TEST(RuleTest, RefusesValuesThatPlaceholdersMakeTooMany) {
  RuleOptions options;
  options.placeholders = {{"p", {"one", "two"}}};
  const std::string error = ErrorOf(
      RuleText("  s: {a|expand: '" + Repeated("%p%", 40) + "'}\n  condition: s\n", "r1"), options);
  EXPECT_THAT(error, HasSubstr("too many forms"));
  EXPECT_THAT(error, HasSubstr("placeholder=%p%"));
  EXPECT_THAT(error, HasSubstr("rule=r1"));
}

TEST(RuleTest, RefusesConditionsThatRepeatTooMuch) {
  const std::string selection = "  s: {a: [" + Repeated("x, ", 2000) + "x]}\n";
  const std::string condition = "  condition: " + Repeated("s or ", 400) + "s\n";
  const std::string error = ErrorOf(RuleText(selection + condition, "r1"));
  EXPECT_THAT(error, HasSubstr("repeats its selections"));
  EXPECT_THAT(error, HasSubstr("rule=r1"));
  EXPECT_THAT(ErrorOf(RuleText(selection + "  condition: [" +
                               Repeated("s or s or s or s or s or s or s or s, ", 100) + "s]\n")),
              HasSubstr("repeats its selections"))
      << "several conditions";
}

TEST(RuleTest, RefusesAliasesThatRepeatTooMuchOrThemselves) {
  const std::string list = "  k: &k [" + Repeated("x, ", 300) + "x]\n";
  const std::string map = "  m: &m {" + [] {
    std::string fields;
    for (int i = 0; i < 300; ++i) fields += "f" + std::to_string(i) + ": *k, ";
    return fields;
  }() + "a: 1}\n";
  const std::string bomb = list + map + "  s: [" + Repeated("*m, ", 300) + "*m]\n";
  EXPECT_THAT(ErrorOf(RuleText(bomb + "  condition: s\n")), HasSubstr("aliases"));
  EXPECT_THAT(ErrorOf("&a {action: global, title: *a}\n---\n{title: *b}\n"), HasSubstr("YAML"));
  const std::vector<absl::StatusOr<Rule>> endless =
      ParseRules("--- &a\naction: global\nx: *a\n--- &b\naction: global\nx: *b\n");
  ASSERT_FALSE(endless.front().ok());
  EXPECT_THAT(std::string(endless.front().status().message()), HasSubstr("themselves"));
  // Where they only save words, they are welcome.
  EXPECT_TRUE(ParseRule(RuleText("  s: {a: &v [x, '&', y], b: *v}\n  condition: s\n")).ok());
}

TEST(RuleTest, ReadsTextsToTheirEndWhateverTheirBrackets) {
  for (const char* text : {"]", "}", ",", "{a: 1} ]", "[a]]", "a #c\n]", " a: 1\n]", "- a\n]",
                           "'a'\n]", "--- ]", "---\n]", "a: 1\n---\n]\n", "a: 1\n--- }", "? a\n]",
                           "%YAML 1.2\n---\n]", "a: 1\n...\n]", "# c\n]", "a: 1\r\n---\r\n]"}) {
    const std::vector<absl::StatusOr<Rule>> rules = ParseRules(text);
    EXPECT_FALSE(rules.back().ok()) << text;
  }
  EXPECT_EQ(ParseRules("a: 1\n--- # comment\nb: 2\n---\n\n---\nc:\n  - 1\n").size(), 3u);
}

TEST(RuleTest, RemembersWhichPartsOfTheConditionAreSelections) {
  const absl::StatusOr<Rule> rule =
      ParseRule(RuleText("  sel: {a: 1}\n  filter_a: {b: 1, c: 2}\n  filter_b: {d: 1}\n"
                         "  condition: sel and not 1 of filter_*\n"));
  ASSERT_TRUE(rule.ok()) << rule.status();
  ASSERT_EQ(rule->condition.children.size(), 2u);
  EXPECT_EQ(rule->condition.selection, "");
  EXPECT_EQ(rule->condition.children[0].selection, "sel");
  const Expression& filters = rule->condition.children[1].children[0];
  ASSERT_EQ(filters.children.size(), 2u);
  EXPECT_EQ(filters.children[0].selection, "filter_a");
  EXPECT_EQ(filters.children[1].selection, "filter_b");
}

TEST(RuleTest, PrefersWhatTheCallerKnows) {
  RuleOptions options;
  options.id = "case";
  options.title = "name";
  options.level = "low";
  options.techniques = std::vector<Technique>{{.id = "T1", .name = "One"}};
  const absl::StatusOr<Rule> rule = ParseRule(RuleText("  s: {a: 1}\n  condition: s\n"), options);
  ASSERT_TRUE(rule.ok());
  EXPECT_EQ(rule->id, "case");
  EXPECT_EQ(rule->title, "name");
  EXPECT_EQ(rule->level, "low");
  EXPECT_EQ(rule->techniques[0].name, "One");
}

TEST(RuleTest, NamesRuleSelectionFieldAndModifierInErrors) {
  const std::string error = ErrorOfLine("CommandLine|contians: x");
  EXPECT_THAT(error, HasSubstr("did you mean `contains`"));
  EXPECT_THAT(error, HasSubstr("modifier=contians"));
  EXPECT_THAT(error, HasSubstr("field=CommandLine|contians"));
  EXPECT_THAT(error, HasSubstr("selection=s"));
  EXPECT_THAT(error, HasSubstr("rule=r1"));
}

TEST(RuleTest, RefusesModifiersThatMakeNoSense) {
  EXPECT_THAT(ErrorOfLine("a|re: 'x(?=y)'"), HasSubstr("regular expression is not valid"));
  EXPECT_THAT(ErrorOfLine("a|re|cased: x"), HasSubstr("does not combine"));
  EXPECT_THAT(ErrorOfLine("a|contains|endswith: x"), HasSubstr("only one of"));
  EXPECT_THAT(ErrorOfLine("a|cidr: 10.0.0.0/99"), HasSubstr("address block"));
  EXPECT_THAT(ErrorOfLine("a|cidr|re: x"), HasSubstr("does not combine"));
  EXPECT_THAT(ErrorOfLine("a|lt: abc"), HasSubstr("write a number"));
  EXPECT_THAT(ErrorOfLine("a|exists: maybe"), HasSubstr("true or false"));
  EXPECT_THAT(ErrorOfLine("a|base64: 'a*'"), HasSubstr("wildcards cannot be encoded"));
  EXPECT_THAT(ErrorOfLine("a|base64offset|contains: a"), HasSubstr("too short"));
  EXPECT_THAT(ErrorOfLine("a|i: x"), HasSubstr("belongs behind `re`"));
  EXPECT_THAT(ErrorOfLine("a|contains: null"), HasSubstr("null tests a field without modifiers"));
  EXPECT_THAT(ErrorOfLine("a|hour: 25"), HasSubstr("whole number from 0 to 23"));
  EXPECT_THAT(ErrorOfLine("'|startswith': x"), HasSubstr("put a field name before"));
  EXPECT_THAT(ErrorOfLine("a|expand: '%admins%'"), HasSubstr("placeholder=%admins%"));
  EXPECT_THAT(ErrorOfLine("a: []"), HasSubstr("list of values is empty"));
  EXPECT_THAT(ErrorOfLine("a: [[x]]"), HasSubstr("not a list or a map"));
  EXPECT_THAT(ErrorOfLine("{a: x, a: y}"), HasSubstr("stands twice"));
}

TEST(RuleTest, ExpandsPlaceholders) {
  RuleOptions options;
  options.placeholders["admins"] = {"root", "adm*"};
  const absl::StatusOr<Rule> rule =
      ParseRule(RuleText("  s: {u|expand|startswith: 'x-%admins%!'}\n  condition: s\n"), options);
  ASSERT_TRUE(rule.ok()) << rule.status();
  Matcher matcher;
  ASSERT_TRUE(matcher.SetRules(CompileRules({std::make_shared<const Rule>(*rule)}).rules).ok());
  std::vector<const Rule*> matches;
  ASSERT_TRUE(matcher.Match(R"({"u":"X-admin! yes"})", matches).ok());
  EXPECT_EQ(matches.size(), 1u);
  ASSERT_TRUE(matcher.Match(R"({"u":"x-%admins%!"})", matches).ok());
  EXPECT_EQ(matches.size(), 0u);
}

TEST(RuleTest, RefusesBrokenConditions) {
  EXPECT_THAT(ErrorOfCondition("sell"),
              HasSubstr("no selection is named `sell`; did you mean `sel`?"));
  EXPECT_THAT(ErrorOfCondition("sel and"), HasSubstr("ends where a selection is expected"));
  EXPECT_THAT(ErrorOfCondition("(sel"), HasSubstr("`)` is missing"));
  EXPECT_THAT(ErrorOfCondition("sel other"), HasSubstr("`and` or `or` is missing before `other`"));
  EXPECT_THAT(ErrorOfCondition("1 of nothing_*"), HasSubstr("no selection is named `nothing_*`"));
  EXPECT_THAT(ErrorOfCondition("3 of them"), HasSubstr("more selections than there are"));
  EXPECT_THAT(ErrorOfCondition("some of them"), HasSubstr("`all`, `any` or a number"));
  EXPECT_THAT(ErrorOfCondition("sel | count() by a > 5"), HasSubstr("aggregations behind `|`"));
  EXPECT_THAT(ErrorOfCondition("sel & other"), HasSubstr("unexpected character `&`"));
  EXPECT_THAT(ErrorOfCondition("''"), HasSubstr("condition is empty"));
  EXPECT_THAT(ErrorOfCondition(std::string(5000, '(') + "sel"), HasSubstr("nest too deeply"));
}

TEST(RuleTest, AllowsNamesThatHoldWordsOfTheGrammar) {
  EXPECT_TRUE(Detects("  near_and: {a: 1}\n  of: {b: 1}\n  condition: near_and and of\n",
                      R"({"a":1,"b":1})"));
}

TEST(RuleTest, RefusesBrokenDocuments) {
  EXPECT_THAT(ErrorOf("title: [x"), HasSubstr("not valid YAML"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("no document"));
  EXPECT_THAT(ErrorOf("- x"), HasSubstr("must be a map"));
  EXPECT_THAT(ErrorOf("id: r\n"), HasSubstr("no `detection`"));
  EXPECT_THAT(ErrorOf("detection: {s: {a: 1}, condition: s}\n"), HasSubstr("no `id`"));
  EXPECT_THAT(ErrorOf("id: r\ndetection: {s: {a: 1}}\n"), HasSubstr("no `condition`"));
  EXPECT_THAT(ErrorOf("id: r\ndetection: {s: {}, condition: s}\n"),
              HasSubstr("at least one field"));
  EXPECT_THAT(ErrorOf("title: c\ncorrelation: {type: temporal, rules: [r], timespan: 1m}\n"),
              HasSubstr("load them from files"));
  EXPECT_THAT(ErrorOf("title: f\nlogsource: {product: x}\n"
                      "filter: {rules: any, s: {a: 1}, condition: s}\n"),
              HasSubstr("load them from files"));
  EXPECT_THAT(ErrorOf(std::string(100000, '[')), HasSubstr("not valid YAML"));
}

TEST(RuleTest, TellsWhereAnErrorStands) {
  const auto place_of = [](const std::string& yaml) {
    const absl::StatusOr<Rule> rule = ParseRule(yaml);
    EXPECT_FALSE(rule.ok()) << yaml;
    return PlaceOf(rule.status());
  };
  EXPECT_EQ(
      place_of("title: t\nid: r\ndetection:\n  sel:\n    a: 1\n    b|foo: 2\n  condition: sel\n"),
      (SourcePlace{6, 5}));
  EXPECT_EQ(place_of("title: t\nid: r\ndetection:\n  sel:\n    a|re: '('\n  condition: sel\n"),
            (SourcePlace{5, 5}));
  EXPECT_EQ(place_of("title: t\nid: r\ndetection:\n  sel: {a: 1}\n  condition: sel2\n"),
            (SourcePlace{5, 14}));
  EXPECT_EQ(place_of("title: t\nid: [r\n"), (SourcePlace{3, 1}));
  EXPECT_EQ(place_of("\n\ntitle: t\nid: r\n"), (SourcePlace{3, 1}));
}

TEST(RuleTest, KeepsWhatTheRuleSaysOfItself) {
  const absl::StatusOr<Rule> rule = ParseRule(
      "title: T\nid: i\nname: n\nauthor: A\ndate: 2024-05-01\nmodified: 2024-06-01\n"
      "tags: [attack.t1059, cve.2020-1]\nreferences: [r1, r2]\nfalsepositives: none\nfields: [f]\n"
      "related: [{id: x, type: Obsolete}, {id: y, type: derived}]\n"
      "detection:\n  s: {a: 1}\n  t: {b: 1}\n  condition: s and not t\n");
  ASSERT_TRUE(rule.ok()) << rule.status();
  EXPECT_EQ(rule->name, "n");
  EXPECT_EQ(rule->metadata.author, "A");
  EXPECT_EQ(rule->metadata.modified, "2024-06-01");
  EXPECT_THAT(rule->metadata.tags, ::testing::ElementsAre("attack.t1059", "cve.2020-1"));
  EXPECT_THAT(rule->metadata.references, ::testing::ElementsAre("r1", "r2"));
  EXPECT_THAT(rule->metadata.false_positives, ::testing::ElementsAre("none"));
  ASSERT_EQ(rule->metadata.related.size(), 2u);
  EXPECT_EQ(rule->metadata.related[0].id, "x");
  EXPECT_EQ(rule->metadata.related[0].type, "obsolete");
  ASSERT_EQ(rule->selections.size(), 2u);
  EXPECT_EQ(rule->selections[1].name, "t");
  EXPECT_EQ(rule->condition_text, "s and not t");
}

TEST(RuleTest, ReadsEachDocumentOnItsOwn) {
  const std::string good = RuleText("  s: {a: 1}\n  condition: s\n");
  const std::vector<absl::StatusOr<Rule>> rules = ParseRules(
      good + "---\ntitle: c\ncorrelation: {type: temporal, rules: [r], timespan: 1m}\n---\n" +
      good);
  ASSERT_EQ(rules.size(), 3u);
  EXPECT_TRUE(rules[0].ok());
  EXPECT_EQ(rules[1].status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_TRUE(rules[2].ok());
  EXPECT_THAT(ErrorOf(good + "---\n" + good), HasSubstr("must hold one rule"));
}

}  // namespace
}  // namespace weir::sigma
