#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jobs/sigma/engine/event_fields.h"
#include "jobs/sigma/engine/explanation.h"
#include "jobs/sigma/engine/internal/json_tokens.h"
#include "jobs/sigma/engine/internal/value_cache.h"
#include "tests/jobs/sigma/engine/matching.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

std::string Unescaped(std::string_view inner) {
  std::string text(inner.size(), '\0');
  text.resize(UnescapeJson(inner, text.data()));
  return text;
}

TEST(EventReadingTest, FindsTheTokensOfAText) {
  JsonTokens tokens;
  ASSERT_THAT(tokens.Read("{ \"a,b\" : [ -1.5 ,\t\"x\\\"\" , true ] }\n"), IsEmpty());
  std::vector<std::string> found;
  for (size_t i = 0; i < tokens.size(); ++i) found.emplace_back(tokens.Text(i));
  EXPECT_THAT(found, ElementsAre("{", "\"a,b\"", ":", "[", "-1.5", ",", "\"x\\\"\"", ",", "true",
                                 "]", "}"));
  EXPECT_EQ(tokens.First(tokens.size()), '\0');
  EXPECT_EQ(tokens.Offset(1), 2u);
}

TEST(EventReadingTest, RefusesTextsThatHaveNoTokens) {
  JsonTokens tokens;
  for (const char* text : {"", "{\"a", "{\"a\":\"\xff\"}", "{\"a\":\"\x01\"}"}) {
    EXPECT_THAT(tokens.Read(text), Not(IsEmpty())) << text;
  }
  EXPECT_THAT(tokens.Read("{}"), IsEmpty()) << "a broken text harms the next one";
}

TEST(EventReadingTest, ReadsEscapes) {
  EXPECT_EQ(Unescaped(R"(C:\\a\t\/\"\u00e9\u20AC\ud83d\ude00)"),
            "C:\\a\t/\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  for (const char* good : {"", "a", R"(\\)", R"(\u0000)", R"(\ud83d\ude00)", R"(\b\f\n\r\t)"}) {
    EXPECT_TRUE(HasGoodEscapes(good)) << good;
  }
  for (const char* bad : {R"(\x)", R"(\u12g4)", R"(\u123)", R"(\ud83d)", R"(\ude00)",
                          R"(\ud83d\u0041)", R"(\ud83dx)", R"(a\)", R"(\ud83d\ud83d)"}) {
    EXPECT_FALSE(HasGoodEscapes(bad)) << bad;
  }
}

TEST(EventReadingTest, SaysWhereAnEventIsBroken) {
  Matcher matcher;
  std::vector<const Rule*> matches;
  const absl::Status status = matcher.Match(R"({"a":1,"b":"\x"})", matches);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("byte=11"));
}

TEST(EventReadingTest, ReadsAnEventOrNotWhateverTheRulesAndWhoeverReads) {
  const std::string objects_in_lists = [] {
    std::string open;
    for (int i = 0; i < 129; ++i) open += "[{\"a\":";
    return "{\"a\":" + open + "1";
  }();
  Matcher without_rules;
  Matcher matcher;
  const auto rule = MustParse(RuleText("  s: {a: xy, c: null}\n  k: [key]\n  condition: s or k\n"));
  ASSERT_TRUE(matcher.SetRules(CompileRules({rule}).rules).ok());
  for (const std::string& event : std::vector<std::string>{
           R"({"a":["xy",nuld],"b":""})",
           R"({"b":"XaY"},"c":[1]})",
           R"({"z":nuld})",
           R"({"z":truex})",
           R"({"z":01})",
           R"({"z":1.2.3})",
           R"({"z":-})",
           R"({"z":"\ud83d"})",
           R"({"z":"\q"})",
           R"({"z\q":1})",
           R"({"z":[1,]})",
           R"({"z":{"y":1,}})",
           R"({"z" 1})",
           R"({"z":1} x)",
           R"({"z":1}})",
           R"({"z":"a" "b"})",
           R"({"z":"a"b})",
           R"({"z":})",
           R"({"z":1)",
           R"([1])",
           R"("z")",
           "",
           objects_in_lists,
       }) {
    std::vector<const Rule*> matches;
    const absl::Status status = matcher.Match(event, matches);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << event;
    EXPECT_EQ(without_rules.Match(event, matches), status) << event;
    EXPECT_EQ(EventFields::Parse(event).status(), status) << event;
  }
}

TEST(EventReadingTest, FindsAFieldUnderEachKeyThatItFitsWhateverElseRulesRead) {
  EventMapping mapping;
  mapping.prefixes = {"data.*"};
  const auto first = MustParse(RuleText("  s: {Image: x}\n  condition: s\n", "r1"));
  const auto second =
      MustParse(RuleText("  s: {data.known: 1, 'Im age': 1}\n  condition: s\n", "r2"));
  for (const char* event : {R"({"data":{"known":{"Image":"x"}}})", R"({"Im age":"x"})",
                            R"({"data":{"other":{"I m age":"x"}}})"}) {
    for (const auto& rules : {std::vector{first}, std::vector{first, second}}) {
      Matcher matcher;
      ASSERT_TRUE(matcher.SetRules(CompileRules(rules, nullptr, {&mapping, true}).rules).ok());
      std::vector<const Rule*> matches;
      ASSERT_TRUE(matcher.Match(event, matches).ok());
      EXPECT_THAT(matches, ElementsAre(first.get())) << event << " rules=" << rules.size();
    }
    const absl::StatusOr<EventFields> fields = EventFields::Parse(event, &mapping);
    ASSERT_TRUE(fields.ok());
    EXPECT_TRUE(Explain(*first, *fields).holds) << event;
  }
}

TEST(EventReadingTest, TakesNegativeZeroForZero) {
  EXPECT_TRUE(SelectionDetects("a: 0", R"({"a":-0})"));
  EXPECT_TRUE(SelectionDetects("a|re: '^0$'", R"({"a":-0})"));
}

// Looks a value up as the Matcher does; returns whether it was known.
bool LookUp(ValueCache& cache, uint32_t path, const std::string& token, uint32_t predicate) {
  std::span<const uint32_t> predicates;
  if (cache.Find(path, token, &predicates)) {
    EXPECT_THAT(predicates, ElementsAre(predicate)) << token;
    return true;
  }
  cache.Insert(token, std::vector<uint32_t>{predicate});
  return false;
}

TEST(EventReadingTest, KnowsAValueOfAPathOnceItCame) {
  ValueCache cache;
  cache.Reset(2);
  EXPECT_FALSE(LookUp(cache, 0, "\"a\"", 7));
  EXPECT_TRUE(LookUp(cache, 0, "\"a\"", 7));
  EXPECT_FALSE(LookUp(cache, 1, "\"a\"", 8)) << "another path";
  cache.Reset(2);
  EXPECT_FALSE(LookUp(cache, 0, "\"a\"", 9)) << "other rules";
}

TEST(EventReadingTest, LeavesPathsAloneWhoseValuesDoNotComeAgain) {
  ValueCache cache;
  cache.Reset(2);
  int asked = 0;
  for (int i = 0; i < 10000; ++i) {
    if (!cache.Wants(0)) continue;
    ++asked;
    LookUp(cache, 0, "\"once " + std::to_string(i) + "\"", 1);
  }
  EXPECT_LT(asked, 1000);
  for (int i = 0; i < 10000; ++i) {
    ASSERT_TRUE(cache.Wants(1));
    LookUp(cache, 1, "\"often " + std::to_string(i % 10) + "\"", 1);
  }
}

TEST(EventReadingTest, ForgetsAllWhenItsMemoryIsFullAndGoesOn) {
  ValueCache cache;
  cache.Reset(1);
  size_t known = 0;
  for (int i = 0; i < 20000; ++i) {
    const std::string token = "\"" + std::to_string(i) + std::string(900, 'x') + "\"";
    for (int time = 0; time < 3; ++time) {
      known += LookUp(cache, 0, token, static_cast<uint32_t>(i)) ? 1 : 0;
    }
  }
  EXPECT_EQ(known, 40000u);
}

TEST(EventReadingTest, GivesTheSameAnswersForValuesSeenBefore) {
  const auto rule =
      MustParse(RuleText("  a: {x|contains: ev, y: 4624}\n  k: [keyword]\n  condition: a or k\n"));
  Matcher matcher;
  ASSERT_TRUE(matcher.SetRules(CompileRules({rule}).rules).ok());
  std::vector<const Rule*> matches;
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(matcher.Match(R"({"x":"EVIL","y":4624})", matches).ok());
    EXPECT_EQ(matches.size(), 1u);
    ASSERT_TRUE(matcher.Match(R"({"x":"good","y":4624})", matches).ok());
    EXPECT_THAT(matches, IsEmpty());
    ASSERT_TRUE(matcher.Match(R"({"x":"EVIL","y":"4624.0"})", matches).ok());
    EXPECT_THAT(matches, IsEmpty());
    ASSERT_TRUE(matcher.Match(R"({"x":"a KEYWORD","z":1})", matches).ok());
    EXPECT_EQ(matches.size(), 1u);
    ASSERT_FALSE(matcher.Match(R"({"x":"EVIL\q","y":4624})", matches).ok());
  }
}

}  // namespace
}  // namespace weir::sigma
