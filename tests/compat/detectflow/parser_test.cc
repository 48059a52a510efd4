// The parser language in the job; each function's own cases are in tests/jobs/sigma/parser.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// What the event is behind the parser, without the fields of rules; or the problem.
std::string Parse(const Json& config, const std::string& event) {
  MatchHarness job(ParsedOut());
  job.Parser(config);
  job.ControlCaughtUp();
  const std::vector<std::string> problems = job.Problems();
  if (!problems.empty()) return problems.front();
  job.Event(event);
  std::string text = job.Texts().at(0);
  const size_t rules = text.find(R"("sigma_rule_ids")");
  text.resize(rules - (rules > 1 ? 1 : 0));
  return text + "}";
}

TEST(ParserTest, ConfigForm) {
  const Json config = Json::parse(
      R"({"steps":["parse_json","extract"],"args":{"parse_json":{"field":"message"},"extract":{"field":"winlog.event_data"}}})");
  EXPECT_EQ(Parse(config, R"({"message":"{\"winlog\":{\"event_data\":{\"Image\":\"a\"}}}"})"),
            R"({"winlog":{},"Image":"a"})");
}

TEST(ParserTest, Syntax) {
  EXPECT_EQ(Parse("# comment\n set ( field = \"a\" , value = \"#|\" ) | | drop(fields=\"b\") # end",
                  R"({"b":1})"),
            R"({"a":"#|"})");
}

TEST(ParserTest, UnknownStepIsAnErrorWithItsPlace) {
  EXPECT_THAT(Parse("set(field=\"a\", value=1) | nope(x=1)", "{}"),
              AllOf(HasSubstr("function=nope"), HasSubstr("line=1 column=27")));
  EXPECT_THAT(Parse(Json::parse(R"({"steps":["nope"],"args":{}})"), "{}"), HasSubstr("step=1"));
}

TEST(ParserTest, RepeatedFunctionKeepsItsArguments) {
  EXPECT_EQ(Parse("set(field=\"a\", value=1) | set(field=\"b\", value=2)", "{}"),
            R"({"a":1,"b":2})");
}

TEST(ParserTest, FieldNamesMayHoldAnything) {
  EXPECT_EQ(Parse(R"(rename(from="Account Name", to="user-name"))", R"({"Account Name":"x"})"),
            R"({"user-name":"x"})");
}

TEST(ParserTest, PipeInsideQuotes) {
  EXPECT_EQ(Parse(R"re(regex(pattern="(?P<a>x|y)", field="m"))re", R"({"m":"y"})"), R"({"a":"y"})");
}

TEST(ParserTest, DropTakesACommaList) {
  EXPECT_EQ(Parse(R"(drop(fields="a, b"))", R"({"a":1,"b":2,"c":3})"), R"({"c":3})");
}

TEST(ParserTest, SetTakesTypedLiterals) {
  EXPECT_EQ(Parse("set(field=\"n\", value=5) | set(field=\"t\", value=true)", "{}"),
            R"({"n":5,"t":true})");
}

TEST(ParserTest, PathResolution) {
  EXPECT_EQ(Parse(R"(rename(from="a.b", to="c.d"))", R"({"a.b":1,"a":{"b":2},"c":5})"),
            R"({"a":{"b":2},"c":{"d":1}})");
}

TEST(ParserTest, ErrorsLeaveTheOriginalEventAlone) {
  EXPECT_EQ(Parse("set(field=\"a\", value=1) | extract(field=\"b\")", R"({"b":5})"),
            R"({"b":5,"_detect_flow_parser_failed":true})");
}

TEST(ParserTest, NoParserIsNoParser) {
  EXPECT_EQ(Parse(nullptr, R"({"b":5})"), R"({"b":5})");
  EXPECT_EQ(Parse(Json::parse(R"({"steps":[],"args":{}})"), R"({"b":5})"), R"({"b":5})");
}

}  // namespace
}  // namespace weir::sigma
