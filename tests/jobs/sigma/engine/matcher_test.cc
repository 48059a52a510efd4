#include "jobs/sigma/engine/matcher.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/sigma/engine/matching.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Ids(const std::vector<const Rule*>& matches) {
  std::vector<std::string> ids;
  for (const Rule* rule : matches) ids.push_back(rule->id);
  return ids;
}

TEST(MatcherTest, ComparesFieldsWithoutRegardToCase) {
  EXPECT_TRUE(SelectionDetects("User: Ädmin", R"({"User":"äDMIN"})"));
  EXPECT_FALSE(SelectionDetects("User: admin", R"({"User":"admin2"})"));
  EXPECT_FALSE(SelectionDetects("User: admin", R"({"user":"admin"})"));
}

TEST(MatcherTest, HeedsCaseWhenTold) {
  EXPECT_TRUE(SelectionDetects("User|cased: Admin", R"({"User":"Admin"})"));
  EXPECT_FALSE(SelectionDetects("User|cased: Admin", R"({"User":"admin"})"));
  EXPECT_TRUE(SelectionDetects("User|contains|cased: Adm", R"({"User":"xAdmin"})"));
  EXPECT_FALSE(SelectionDetects("User|cased|contains: Adm", R"({"User":"xadmin"})"));
  EXPECT_TRUE(SelectionDetects("User|cased: A*n", R"({"User":"Admin"})"));
  EXPECT_FALSE(SelectionDetects("User|cased: A*n", R"({"User":"AdmiN"})"));
}

TEST(MatcherTest, TakesAnyValueOfAList) {
  EXPECT_TRUE(SelectionDetects("a: [x, y]", R"({"a":"y"})"));
  EXPECT_FALSE(SelectionDetects("a: [x, y]", R"({"a":"z"})"));
}

TEST(MatcherTest, WantsEveryLineOfASelection) {
  EXPECT_TRUE(SelectionDetects("{a: x, b: y}", R"({"a":"x","b":"y"})"));
  EXPECT_FALSE(SelectionDetects("{a: x, b: y}", R"({"a":"x","b":"z"})"));
}

TEST(MatcherTest, TakesAnyMapOfAList) {
  const char* list = "[{a: x, b: y}, {a: z}]";
  EXPECT_TRUE(KeywordsDetect(list, R"({"a":"x","b":"y"})"));
  EXPECT_TRUE(KeywordsDetect(list, R"({"a":"z"})"));
  EXPECT_FALSE(KeywordsDetect(list, R"({"a":"x"})"));
}

TEST(MatcherTest, MixesKeywordsAndMapsInAList) {
  EXPECT_TRUE(KeywordsDetect("[evil, {a: x}]", R"({"b":"very evil"})"));
  EXPECT_TRUE(KeywordsDetect("[evil, {a: x}]", R"({"a":"x"})"));
}

TEST(MatcherTest, ComparesNumbersAsNumbersAndAsText) {
  for (const char* line : {"EventID: 4624", "EventID: '4624'", "EventID: 4624.0"}) {
    EXPECT_TRUE(SelectionDetects(line, R"({"EventID":4624})")) << line;
    EXPECT_TRUE(SelectionDetects(line, R"({"EventID":4624.0})")) << line;
    EXPECT_TRUE(SelectionDetects(line, R"({"EventID":4.624e3})")) << line;
    EXPECT_TRUE(SelectionDetects(line, R"({"EventID":"4624"})")) << line;
    EXPECT_FALSE(SelectionDetects(line, R"({"EventID":46240})")) << line;
  }
  EXPECT_TRUE(SelectionDetects("n: '1.50'", R"({"n":1.50})"));
  EXPECT_TRUE(SelectionDetects("n: 1.50", R"({"n":1.5})"));
  EXPECT_TRUE(SelectionDetects("n|contains: '46'", R"({"n":4624})"));
  EXPECT_TRUE(SelectionDetects("n: 18446744073709551617", R"({"n":18446744073709551617})"));
  EXPECT_FALSE(SelectionDetects("n: 9007199254740993", R"({"n":9007199254740992})"));
}

TEST(MatcherTest, ComparesBooleansAsText) {
  EXPECT_TRUE(SelectionDetects("Initiated: 'true'", R"({"Initiated":true})"));
  EXPECT_TRUE(SelectionDetects("Initiated: true", R"({"Initiated":"True"})"));
  EXPECT_FALSE(SelectionDetects("Initiated: true", R"({"Initiated":false})"));
}

TEST(MatcherTest, AppliesContainsStartsWithAndEndsWith) {
  EXPECT_TRUE(SelectionDetects("a|contains: b", R"({"a":"ABC"})"));
  EXPECT_TRUE(SelectionDetects("a|startswith: a", R"({"a":"ABC"})"));
  EXPECT_FALSE(SelectionDetects("a|startswith: b", R"({"a":"ABC"})"));
  EXPECT_TRUE(SelectionDetects("a|endswith: c", R"({"a":"ABC"})"));
  EXPECT_FALSE(SelectionDetects("a|endswith: b", R"({"a":"ABC"})"));
}

TEST(MatcherTest, WantsAllValuesWhenTold) {
  EXPECT_TRUE(SelectionDetects("a|contains|all: [x, y]", R"({"a":"yx"})"));
  EXPECT_FALSE(SelectionDetects("a|contains|all: [x, y]", R"({"a":"x"})"));
  EXPECT_TRUE(SelectionDetects("a|all: ['x*', '*y']", R"({"a":"x y"})"));
}

TEST(MatcherTest, KeepsTheBackslashOfAWildcardValue) {
  EXPECT_TRUE(SelectionDetects(R"(Image: '*\cmd.exe')", R"({"Image":"C:\\Windows\\CMD.exe"})"));
  EXPECT_FALSE(SelectionDetects(R"(Image: '*\cmd.exe')", R"({"Image":"C:\\Windows\\notcmd.exe"})"));
  EXPECT_TRUE(
      SelectionDetects(R"(Image|endswith: '\cmd.exe')", R"({"Image":"C:\\Windows\\cmd.exe"})"));
}

TEST(MatcherTest, ReadsTwoBackslashesOfARuleAsOne) {
  EXPECT_TRUE(SelectionDetects(R"(p: 'C:\\x')", R"({"p":"C:\\x"})"));
  EXPECT_TRUE(SelectionDetects(R"(p|contains: '\\\\host')", R"({"p":"\\\\host\\c$"})"));
  EXPECT_FALSE(SelectionDetects(R"(p|contains: '\\\\host')", R"({"p":"\\host"})"));
}

TEST(MatcherTest, ReadsEscapedWildcardsAsCharacters) {
  EXPECT_TRUE(SelectionDetects(R"(p: 'a\*c')", R"({"p":"a*c"})"));
  EXPECT_FALSE(SelectionDetects(R"(p: 'a\*c')", R"({"p":"abc"})"));
}

TEST(MatcherTest, LetsWildcardsCrossLineEnds) {
  EXPECT_TRUE(SelectionDetects("p: 'a*c?e'", R"({"p":"a\nb\nc\ne"})"));
}

TEST(MatcherTest, CombinesWildcardsWithModifiers) {
  EXPECT_TRUE(SelectionDetects("p|contains: 'a*b'", R"({"p":"xxaYYbzz"})"));
  EXPECT_TRUE(SelectionDetects("p|startswith: 'a?c'", R"({"p":"abcd"})"));
  EXPECT_FALSE(SelectionDetects("p|startswith: 'a?c'", R"({"p":"xabc"})"));
  EXPECT_TRUE(SelectionDetects("p|endswith: 'a*c'", R"({"p":"xabbc"})"));
}

TEST(MatcherTest, KeepsControlCharactersOfValuesAsTheyAre) {
  EXPECT_TRUE(SelectionDetects(R"(p|contains: "a\tb*")", R"({"p":"xa\tbc"})"));
}

TEST(MatcherTest, FindsKeywordsInValuesOnly) {
  EXPECT_TRUE(KeywordsDetect("[mimikatz]", R"({"a":{"b":["x","run MIMIKATZ now"]}})"));
  EXPECT_FALSE(KeywordsDetect("[mimikatz]", R"({"mimikatz":"x"})"));
  EXPECT_FALSE(KeywordsDetect("['a\":\"b']", R"({"a":"b"})"));
  EXPECT_FALSE(KeywordsDetect("[ab]", R"({"x":"a","y":"b"})"));
}

TEST(MatcherTest, FindsKeywordsAsWrittenBeforeJsonEscapes) {
  EXPECT_TRUE(KeywordsDetect(R"(['C:\Win'])", R"({"a":"in C:\\Windows"})"));
  EXPECT_TRUE(KeywordsDetect(R"(['say "hi"'])", R"({"a":"they say \"hi\" to"})"));
  EXPECT_TRUE(KeywordsDetect("[größe]", R"({"a":"GR\u00d6\u00dfE"})") ||
              KeywordsDetect("[größe]", R"({"a":"GR\u00d6ßE"})"));
}

TEST(MatcherTest, FindsKeywordsWithWildcardsAndAllOfThem) {
  EXPECT_TRUE(KeywordsDetect("['a*z']", R"({"f":"x a bc z y"})"));
  EXPECT_FALSE(KeywordsDetect("['a*z']", R"({"f":"a","g":"z"})"));
  EXPECT_TRUE(KeywordsDetect("{'|all': [one, two]}", R"({"f":"one","g":"two"})"));
  EXPECT_FALSE(KeywordsDetect("{'|all': [one, two]}", R"({"f":"one"})"));
  EXPECT_TRUE(KeywordsDetect("{'|re': 'a[0-9]+'}", R"({"f":"xa12"})"));
  EXPECT_TRUE(KeywordsDetect("{'|cased': Abc}", R"({"f":"xAbcx"})"));
  EXPECT_FALSE(KeywordsDetect("{'|cased': Abc}", R"({"f":"xabcx"})"));
}

TEST(MatcherTest, SearchesRegularExpressions) {
  EXPECT_TRUE(SelectionDetects("p|re: 'b[0-9]{2}c'", R"({"p":"ab12cd"})"));
  EXPECT_FALSE(SelectionDetects("p|re: 'B[0-9]{2}c'", R"({"p":"ab12cd"})"));
  EXPECT_TRUE(SelectionDetects("p|re|i: 'B[0-9]{2}c'", R"({"p":"ab12cd"})"));
  EXPECT_FALSE(SelectionDetects("p|re: 'a.b'", R"({"p":"a\nb"})"));
  EXPECT_TRUE(SelectionDetects("p|re|s: 'a.b'", R"({"p":"a\nb"})"));
  EXPECT_FALSE(SelectionDetects("p|re: '^b$'", R"({"p":"a\nb\nc"})"));
  EXPECT_TRUE(SelectionDetects("p|re|m|i: '^B$'", R"({"p":"a\nb\nc"})"));
}

TEST(MatcherTest, TestsAddressBlocks) {
  EXPECT_TRUE(SelectionDetects("ip|cidr: 172.16.0.0/12", R"({"ip":"172.20.3.4"})"));
  EXPECT_TRUE(SelectionDetects("ip|cidr: [10.0.0.0/8, 'fe80::/10']", R"({"ip":"fe80::1"})"));
  EXPECT_FALSE(SelectionDetects("ip|cidr: 10.0.0.0/8", R"({"ip":"host"})"));
}

TEST(MatcherTest, ComparesMagnitudes) {
  EXPECT_TRUE(SelectionDetects("n|lt: 5", R"({"n":4.9})"));
  EXPECT_FALSE(SelectionDetects("n|lt: 5", R"({"n":5})"));
  EXPECT_TRUE(SelectionDetects("n|lte: 5", R"({"n":5})"));
  EXPECT_TRUE(SelectionDetects("n|gt: -1", R"({"n":"0"})"));
  EXPECT_TRUE(SelectionDetects("n|gte: 2.5", R"({"n":2.5})"));
  EXPECT_FALSE(SelectionDetects("n|gte: 2.5", R"({"n":"many"})"));
  EXPECT_FALSE(SelectionDetects("n|gte: 2.5", R"({})"));
}

TEST(MatcherTest, KeepsNullEmptyAndMissingApart) {
  EXPECT_TRUE(SelectionDetects("a: null", R"({"a":null})"));
  EXPECT_TRUE(SelectionDetects("a: null", R"({"b":1})"));
  EXPECT_TRUE(SelectionDetects("a: null", R"({"a":{}})"));
  EXPECT_TRUE(SelectionDetects("a: null", R"({"a":[]})"));
  EXPECT_FALSE(SelectionDetects("a: null", R"({"a":""})"));
  EXPECT_TRUE(SelectionDetects("a: ''", R"({"a":""})"));
  EXPECT_FALSE(SelectionDetects("a: ''", R"({"a":null})"));
  EXPECT_FALSE(SelectionDetects("a: ''", R"({"b":1})"));
  EXPECT_TRUE(SelectionDetects("a: [null, x]", R"({"b":1})"));
  EXPECT_TRUE(SelectionDetects("a: [null, x]", R"({"a":"x"})"));
  EXPECT_TRUE(Detects("  s: {a: null}\n  condition: not s\n", R"({"a":""})"));
  EXPECT_FALSE(Detects("  s: {a: ''}\n  condition: not s\n", R"({"a":""})"));
}

TEST(MatcherTest, TestsForTheKeyAlone) {
  EXPECT_TRUE(SelectionDetects("a|exists: true", R"({"a":null})"));
  EXPECT_TRUE(SelectionDetects("a|exists: true", R"({"a":{"b":1}})"));
  EXPECT_FALSE(SelectionDetects("a|exists: true", R"({"b":1})"));
  EXPECT_TRUE(SelectionDetects("a|exists: false", R"({"b":1})"));
  EXPECT_FALSE(SelectionDetects("a|exists: no", R"({"a":""})"));
}

TEST(MatcherTest, TakesAStarForAnyValue) {
  EXPECT_TRUE(SelectionDetects("a: '*'", R"({"a":""})"));
  EXPECT_TRUE(SelectionDetects("a: '*'", R"({"a":0})"));
  EXPECT_FALSE(SelectionDetects("a: '*'", R"({"a":null})"));
  EXPECT_FALSE(SelectionDetects("a: '?*'", R"({"a":""})"));
}

TEST(MatcherTest, WantsADifferentValueForNeq) {
  EXPECT_TRUE(SelectionDetects("a|neq: x", R"({"a":"y"})"));
  EXPECT_FALSE(SelectionDetects("a|neq: [x, y]", R"({"a":"Y"})"));
  EXPECT_FALSE(SelectionDetects("a|neq: x", R"({"b":"y"})"));
  EXPECT_TRUE(SelectionDetects("a|fieldref|neq: b", R"({"a":"1","b":"2"})"));
}

TEST(MatcherTest, ComparesTwoFields) {
  EXPECT_TRUE(SelectionDetects("a|fieldref: b.c", R"({"a":"X","b":{"c":"x"}})"));
  EXPECT_FALSE(SelectionDetects("a|fieldref: b", R"({"a":"X","b":"y"})"));
  EXPECT_FALSE(SelectionDetects("a|fieldref: b", R"({"a":"X"})"));
  EXPECT_TRUE(SelectionDetects("a|fieldref|endswith: b", R"({"a":"one.two","b":"TWO"})"));
  EXPECT_FALSE(SelectionDetects("a|fieldref|cased: b", R"({"a":"X","b":"x"})"));
  EXPECT_TRUE(SelectionDetects("a|fieldref: b", R"({"a":5,"b":"5"})"));
}

TEST(MatcherTest, TakesAllDashesOfWindows) {
  for (const char* flag : {"-foo", "/foo", "–foo", "—foo", "―foo"}) {
    EXPECT_TRUE(
        SelectionDetects("c|windash|contains: ' -foo'", "{\"c\":\"x " + std::string(flag) + "\"}"))
        << flag;
  }
  EXPECT_TRUE(SelectionDetects("c|contains|windash: '-a /b'", R"({"c":"/a –b"})"));
  EXPECT_FALSE(SelectionDetects("c|contains|windash: 'a-b'", R"({"c":"a/b"})"));
}

TEST(MatcherTest, DecodesNothingButEncodesValues) {
  EXPECT_TRUE(SelectionDetects("c|base64|contains: secret", R"({"c":"x c2VjcmV0 y"})"));
  EXPECT_TRUE(SelectionDetects("c|base64offset|contains: secret", R"({"c":"eHNlY3JldA=="})"));
  EXPECT_TRUE(SelectionDetects("c|wide|base64offset|contains: ping",
                               R"({"c":"powershell -enc cABpAG4AZwA="})"));
  EXPECT_TRUE(SelectionDetects("c|utf16be|base64|contains: a", R"({"c":"AGE="})"));
}

TEST(MatcherTest, TakesAnyElementOfAnArray) {
  EXPECT_TRUE(SelectionDetects("a: y", R"({"a":["x","y"]})"));
  EXPECT_FALSE(SelectionDetects("a|contains: \"x', 'y\"", R"({"a":["x","y"]})"));
  EXPECT_TRUE(SelectionDetects("a|startswith: y", R"({"a":["x",["yes"]]})"));
  EXPECT_TRUE(SelectionDetects("a: null", R"({"a":["x",null]})"));
  EXPECT_TRUE(SelectionDetects("a.b: 2", R"({"a":[{"b":1},{"b":2}]})"));
  EXPECT_TRUE(SelectionDetects("a|re: '^y'", R"({"a":["x","y"]})"));
}

TEST(MatcherTest, FindsNestedAndDottedFieldsAlike) {
  for (const char* event :
       {R"({"a":{"b":{"c":"x"}}})", R"({"a.b.c":"x"})", R"({"a.b":{"c":"x"}})",
        R"({"a":{"b.c":"x"}})", R"({"z":{"a":1},"a":{"x":{"b":2},"b":{"a":1,"c":"x"}}})"}) {
    EXPECT_TRUE(SelectionDetects("a.b.c: x", event)) << event;
  }
  EXPECT_FALSE(SelectionDetects("a.b.c: x", R"({"b":{"c":"x"},"c":"x"})"));
  EXPECT_FALSE(SelectionDetects("b: x", R"({"a":{"b":"x"}})"));
}

TEST(MatcherTest, EvaluatesConditions) {
  const std::string selections = "  a: {a: 1}\n  b: {b: 1}\n  c: {c: 1}\n  condition: ";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a or b and c", R"({"a":1})"},  {"(a or b) and c", R"({"b":1,"c":1})"},
      {"NOT a AND b", R"({"b":1})"},   {"not not a", R"({"a":1})"},
      {"not (a or b)", R"({"c":1})"},  {"2 of them", R"({"a":1,"c":1})"},
      {"any of them", R"({"c":1})"},   {"all of them", R"({"a":1,"b":1,"c":1})"},
      {"not 1 of them", R"({"x":1})"}, {"[a and b, c]", R"({"c":1})"},
  };
  for (const auto& [condition, event] : cases)
    EXPECT_TRUE(Detects(selections + condition + "\n", event)) << condition;
  const std::vector<std::pair<std::string, std::string>> failing = {
      {"a or b and c", R"({"b":1})"},      {"(a or b) and c", R"({"a":1})"},
      {"2 of them", R"({"a":1})"},         {"not not a", R"({"b":1})"},
      {"all of them", R"({"a":1,"b":1})"}, {"[a and b, c]", R"({"a":1})"},
  };
  for (const auto& [condition, event] : failing) {
    EXPECT_FALSE(Detects(selections + condition + "\n", event)) << condition;
  }
}

TEST(MatcherTest, TakesSelectionsByGlob) {
  const std::string selections =
      "  sel: {a: 1}\n  sel_1: {b: 1}\n  sel_2: {c: 1}\n  _private: {d: 1}\n  with-dash.dot: {e: "
      "1}\n  condition: ";
  EXPECT_FALSE(Detects(selections + "1 of sel_*\n", R"({"a":1})"));
  EXPECT_TRUE(Detects(selections + "1 of sel_*\n", R"({"c":1})"));
  EXPECT_TRUE(Detects(selections + "1 of sel*\n", R"({"a":1})"));
  EXPECT_FALSE(Detects(selections + "1 of them\n", R"({"d":1})"));
  EXPECT_TRUE(Detects(selections + "_private\n", R"({"d":1})"));
  EXPECT_TRUE(Detects(selections + "with-dash.dot and not sel\n", R"({"e":1})"));
  EXPECT_TRUE(Detects(selections + "all of sel_* and not 1 of *dash*\n", R"({"b":1,"c":1})"));
}

TEST(MatcherTest, TriesRulesThatOnlyNegate) {
  EXPECT_TRUE(Detects("  s: {a: x}\n  condition: not s\n", R"({})"));
  EXPECT_FALSE(Detects("  s: {a: x}\n  condition: not s\n", R"({"a":"X"})"));
}

TEST(MatcherTest, RefusesWhatIsNoObjectAndGoesOn) {
  Matcher matcher;
  ASSERT_TRUE(
      matcher.SetRules(CompileRules({MustParse(RuleText("  s: {a: x}\n  condition: s\n"))}).rules)
          .ok());
  std::vector<const Rule*> matches;
  const std::string deep = "{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}";
  const std::string deep_objects = [] {
    std::string text;
    for (int i = 0; i < 100000; ++i) text += "{\"a\":";
    return text + "1" + std::string(100000, '}');
  }();
  for (const std::string& bad : {std::string(""),
                                 std::string("   "),
                                 std::string("[]"),
                                 std::string("\"x\""),
                                 std::string("5"),
                                 std::string("null"),
                                 std::string("{"),
                                 std::string("{\"a\":\"x\""),
                                 std::string("{\"a\":\"x\"}}"),
                                 std::string("{\"a\":\"x\"} {}"),
                                 std::string("{\"a\":\"x\"}x"),
                                 std::string("{\"b\":tru}"),
                                 std::string("{\"b\":nul}"),
                                 std::string("{\"b\":01}"),
                                 std::string("{\"b\":1.}"),
                                 std::string("{\"b\":+1}"),
                                 std::string("{\"b\":\"\\q\"}"),
                                 std::string("{\"b\" \"c\"}"),
                                 std::string("{\"a\":\"x\",}"),
                                 std::string("{b:1}"),
                                 std::string("{\"b\":[1,]}"),
                                 std::string("{\"b\":[1 2]}"),
                                 std::string("{\"b\":\"\xff\"}"),
                                 std::string("{\"b\":\"\n\"}"),
                                 std::string("\0", 1),
                                 std::string("{\"b\":[{\"c\":}]}"),
                                 deep,
                                 deep_objects}) {
    matches.push_back(nullptr);
    const absl::Status status = matcher.Match(bad, matches);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad.substr(0, 40);
    EXPECT_THAT(matches, IsEmpty());
    ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches).ok());
    EXPECT_THAT(Ids(matches), ElementsAre("r"));
  }
}

TEST(MatcherTest, ForgetsTheEventBefore) {
  Matcher matcher;
  const auto rules =
      CompileRules({MustParse(RuleText("  a: {a: x}\n  b: {b|re: y}\n  condition: a or b\n"))})
          .rules;
  ASSERT_TRUE(matcher.SetRules(rules).ok());
  std::vector<const Rule*> matches;
  for (const auto& [event, matched] :
       std::vector<std::pair<const char*, bool>>{{R"({"a":"x"})", true},
                                                 {R"({})", false},
                                                 {R"({"b":"y"})", true},
                                                 {R"({"a":"y","b":"x"})", false}}) {
    ASSERT_TRUE(matcher.Match(event, matches).ok());
    EXPECT_EQ(!matches.empty(), matched) << event;
  }
}

TEST(MatcherTest, GivesMatchesInOrderOfRuleIds) {
  std::vector<std::shared_ptr<const Rule>> rules;
  for (const char* id : {"c", "a", "d", "b"})
    rules.push_back(MustParse(RuleText("  s: {a: x}\n  condition: s\n", id)));
  rules.push_back(MustParse(RuleText("  s: {a: y}\n  condition: not s\n", "aa")));
  Matcher matcher;
  ASSERT_TRUE(matcher.SetRules(CompileRules(rules).rules).ok());
  std::vector<const Rule*> matches;
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches).ok());
  EXPECT_THAT(Ids(matches), ElementsAre("a", "aa", "b", "c", "d"));
}

TEST(MatcherTest, SwitchesRulesBetweenEvents) {
  Matcher matcher;
  std::vector<const Rule*> matches;
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches).ok());
  EXPECT_THAT(matches, IsEmpty());
  const auto first =
      CompileRules({MustParse(RuleText("  s: {a: x}\n  condition: s\n", "1"))}).rules;
  ASSERT_TRUE(matcher.SetRules(first).ok());
  std::vector<std::shared_ptr<const Rule>> rules = first->rules();
  rules.push_back(MustParse(RuleText("  s: {a|contains: x}\n  condition: s\n", "2")));
  ASSERT_TRUE(matcher.SetRules(CompileRules(rules, first.get()).rules).ok());
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches).ok());
  EXPECT_THAT(Ids(matches), ElementsAre("1", "2"));
}

TEST(MatcherTest, KeepsTheFirstOfTwoRulesWithOneId) {
  const CompileResult result = CompileRules({MustParse(RuleText("  s: {a: x}\n  condition: s\n")),
                                             MustParse(RuleText("  s: {a: y}\n  condition: s\n"))});
  EXPECT_EQ(result.rules->rule_count(), 1u);
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_THAT(std::string(result.errors[0].status.message()), HasSubstr("two rules have one id"));
}

TEST(MatcherTest, TriesOnlyRulesOfTheEventsLogSources) {
  const auto rule = [](const char* id, const char* source) {
    return MustParse("title: t\nid: " + std::string(id) + "\nlogsource: " + source +
                     "\ndetection:\n  s: {a: x}\n  condition: s\n");
  };
  Matcher matcher;
  ASSERT_TRUE(
      matcher
          .SetRules(CompileRules({rule("all", "{}"), rule("win", "{product: Windows}"),
                                  rule("proc", "{product: windows, category: process_creation}"),
                                  rule("lin", "{product: linux}")})
                        .rules)
          .ok());
  std::vector<const Rule*> matches;
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches).ok());
  EXPECT_THAT(Ids(matches), ElementsAre("all", "lin", "proc", "win"));
  const std::vector<LogSource> process = {{"windows", "process_creation", "sysmon"}};
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches, {process}).ok());
  EXPECT_THAT(Ids(matches), ElementsAre("all", "proc", "win"));
  const std::vector<LogSource> two = {{"windows", "dns_query", ""}, {"linux", "", "auditd"}};
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches, {two}).ok());
  EXPECT_THAT(Ids(matches), ElementsAre("all", "lin", "win"));
  ASSERT_TRUE(matcher.Match(R"({"a":"x"})", matches).ok());
  EXPECT_EQ(matches.size(), 4u);
}

}  // namespace
}  // namespace weir::sigma
