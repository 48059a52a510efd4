#include "jobs/sigma/parser/event_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Runs a parser on an event; returns the event's JSON, or "error: …".
std::string Parse(std::string_view parser_text, std::string_view event) {
  const absl::StatusOr<ParserConfig> config = ParseParserText(parser_text);
  EXPECT_TRUE(config.ok()) << config.status();
  const absl::StatusOr<EventParser> parser = EventParser::Create(*config);
  EXPECT_TRUE(parser.ok()) << parser.status();
  EventReader reader;
  absl::StatusOr<EventValue> value = reader.Read(event);
  EXPECT_TRUE(value.ok()) << value.status();
  const absl::Status status = parser->Parse(&*value, reader);
  if (!status.ok())
    return "error: " + std::string(status.message().data(), status.message().size());
  std::string json;
  AppendJson(*value, &json);
  return json;
}

TEST(EventParserTest, ParseJsonReplacesTheEvent) {
  const char* parser = R"(parse_json(field="message"))";
  EXPECT_EQ(Parse(parser, R"({"x":1,"message":"{\"a\": {\"b\": 2}}"})"), R"({"a":{"b":2}})");
  EXPECT_EQ(Parse(R"(parse_json(field="m.n"))", R"({"m":{"n":"{\"a\":1}"}})"), R"({"a":1})");
}

TEST(EventParserTest, ParseJsonInPlaceReplacesTheValue) {
  const char* parser = R"(parse_json(field="m", in_place=true))";
  EXPECT_EQ(Parse(parser, R"({"m":"{\"a\":1}","x":1})"), R"({"m":{"a":1},"x":1})");
  EXPECT_EQ(Parse(parser, R"({"m":"[1,2]"})"), R"({"m":[1,2]})");
  EXPECT_EQ(Parse(parser, R"({"m":"5"})"), R"({"m":5})");
}

TEST(EventParserTest, ParseJsonLeavesEventsWithoutAValueAlone) {
  for (const char* event : {R"({"x":1})", R"({"message":null})", R"({"message":""})",
                            R"({"message":[]})", R"({"message":{}})"}) {
    EXPECT_EQ(Parse(R"(parse_json(field="message"))", event), event);
    EXPECT_EQ(Parse(R"(parse_json(field="message", in_place=true))", event), event);
  }
}

TEST(EventParserTest, ParseJsonFailsOnWhatIsNoJsonText) {
  const char* parser = R"(parse_json(field="message"))";
  EXPECT_THAT(
      Parse(parser, R"({"message":5})"),
      AllOf(HasSubstr("is no text"), HasSubstr("function=parse_json field=message step=1")));
  EXPECT_THAT(Parse(parser, R"({"message":{"a":1}})"), HasSubstr("is no text"));
  EXPECT_THAT(Parse(parser, R"({"message":"{broken"})"), HasSubstr("not valid JSON"));
  EXPECT_THAT(Parse(parser, R"({"message":"[1]"})"), HasSubstr("no object"));
}

TEST(EventParserTest, RegexReplacesTheEventByItsGroups) {
  EXPECT_EQ(Parse(R"re(regex(pattern="user=(?P<user>\w+)( ip=(?P<ip>[\d.]+))?", field="m"))re",
                  R"({"x":1,"m":"at 10: user=bob ip=10.0.0.1 ok"})"),
            R"({"user":"bob","ip":"10.0.0.1"})");
  EXPECT_EQ(Parse(R"re(regex(pattern="user=(?P<user>\w+)( ip=(?P<ip>[\d.]+))?", field="m"))re",
                  R"({"m":"user=bob"})"),
            R"({"user":"bob","ip":null})");
  EXPECT_EQ(
      Parse(R"re(regex(pattern="(?P<a>x|y)", field="m", in_place=true))re", R"({"k":1,"m":"zy"})"),
      R"({"k":1,"m":{"a":"y"}})");
}

TEST(EventParserTest, RegexFailsWithoutATextOrAMatch) {
  const char* parser = R"re(regex(pattern="(?P<a>x)", field="m"))re";
  EXPECT_THAT(Parse(parser, R"({})"), HasSubstr("missing"));
  EXPECT_THAT(Parse(parser, R"({"m":null})"), HasSubstr("missing"));
  EXPECT_THAT(Parse(parser, R"({"m":5})"), HasSubstr("no text"));
  EXPECT_THAT(Parse(parser, R"({"m":"abc"})"), HasSubstr("not found"));
}

TEST(EventParserTest, RegexEndsAreThoseOfPython) {
  EXPECT_EQ(Parse(R"re(regex(pattern="(?P<a>\w+)$", field="m"))re", R"({"m":"one two\n"})"),
            R"({"a":"two"})");
  EXPECT_EQ(Parse(R"re(regex(pattern="(?P<a>[$]\d)$", field="m"))re", R"({"m":"x$5"})"),
            R"({"a":"$5"})");
  EXPECT_EQ(Parse(R"re(regex(pattern="(?m)^(?P<a>b\w*)$", field="m"))re", R"({"m":"a\nbc\nd"})"),
            R"({"a":"bc"})");
  EXPECT_THAT(Parse(R"re(regex(pattern="(?P<a>\w+)\Z", field="m"))re", R"({"m":"one\n"})"),
              HasSubstr("not found"));
}

TEST(EventParserTest, RegexTakesLookAroundWherePcre2Is) {
  const auto config = ParseParserText(R"re(regex(pattern="(?P<a>\w+)(?=!)(?<!x)", field="m"))re");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto parser = EventParser::Create(*config);
#ifdef WEIR_HAS_PCRE2
  ASSERT_TRUE(parser.ok()) << parser.status();
  EXPECT_EQ(Parse(R"re(regex(pattern="(?P<a>\w+)(?=!)", field="m"))re", R"({"m":"one two!"})"),
            R"({"a":"two"})");
  EXPECT_THAT(Parse(R"re(regex(pattern="(?P<a>(a+)+)(?=b)\2", field="m"))re",
                    R"({"m":")" + std::string(60, 'a') + R"("})"),
              HasSubstr("error: "));
#else
  ASSERT_FALSE(parser.ok());
  EXPECT_THAT(parser.status().ToString(), HasSubstr("PCRE2"));
#endif
}

TEST(EventParserTest, ABrokenPatternIsRefusedAtOnce) {
  const auto config =
      ParseParserText(R"re(drop(fields="a") | regex(pattern="(?P<a>x", field="m"))re");
  ASSERT_TRUE(config.ok()) << config.status();
  const auto parser = EventParser::Create(*config);
  ASSERT_FALSE(parser.ok());
  EXPECT_THAT(parser.status().ToString(), AllOf(HasSubstr("step=2"), HasSubstr("(?P<a>x")));
}

TEST(EventParserTest, RenameMovesAField) {
  EXPECT_EQ(Parse(R"(rename(from="a.b", to="c"))", R"({"a":{"b":[1]},"x":0})"),
            R"({"a":{},"x":0,"c":[1]})");
  EXPECT_EQ(Parse(R"(rename(from="a", to="b.c"))", R"({"a":false})"), R"({"b":{"c":false}})");
  EXPECT_THAT(Parse(R"(rename(from="a", to="b"))", R"({"x":1})"), HasSubstr("missing"));
  EXPECT_THAT(Parse(R"(rename(from="a", to="b"))", R"({"a":null})"), HasSubstr("missing"));
}

TEST(EventParserTest, ExtractMergesAnObject) {
  EXPECT_EQ(Parse(R"(extract(field="d"))", R"({"a":1,"d":{"a":2,"b":3}})"), R"({"a":2,"b":3})");
  EXPECT_EQ(Parse(R"(extract(field="w.e"))", R"({"w":{"e":{"x":1}}})"), R"({"w":{},"x":1})");
  EXPECT_EQ(Parse(R"(extract(field="d"))", R"({"d":{}})"), R"({})");
  for (const char* event : {R"({"x":1})", R"({"d":null})", R"({"d":""})", R"({"d":[]})"}) {
    EXPECT_EQ(Parse(R"(extract(field="d"))", event), event);
  }
  EXPECT_THAT(Parse(R"(extract(field="d"))", R"({"d":[1]})"), HasSubstr("no object"));
  EXPECT_THAT(Parse(R"(extract(field="d"))", R"({"d":"x"})"), HasSubstr("no object"));
}

TEST(EventParserTest, DropRemovesAllFieldsNamed) {
  EXPECT_EQ(Parse(R"(drop(fields="a, b.c ,nope"))", R"({"a":1,"b":{"c":2,"d":3},"x":4})"),
            R"({"b":{"d":3},"x":4})");
}

TEST(EventParserTest, SetSetsAnyValue) {
  EXPECT_EQ(Parse(R"(set(field="a.b", value=5) | set(field="c", value="x"))", R"({"a":1})"),
            R"({"a":{"b":5},"c":"x"})");
}

TEST(EventParserTest, StepsFollowEachOther) {
  EXPECT_EQ(Parse(R"(parse_json(field="message") | extract(field="winlog.event_data")
                   | rename(from="Image", to="process") | set(field="n", value=1)
                   | set(field="m", value=2) | drop(fields="winlog"))",
                  R"({"message":"{\"winlog\":{\"event_data\":{\"Image\":\"a.exe\"}}}"})"),
            R"({"process":"a.exe","n":1,"m":2})");
  EXPECT_THAT(Parse(R"(set(field="a", value=1) | rename(from="x", to="y"))", "{}"),
              HasSubstr("function=rename field=x step=2"));
}

TEST(EventParserTest, DepthAndNumberOfStepsAreBounded) {
  std::string path = "a";
  for (int i = 0; i < 32; ++i) path += ".a";
  EXPECT_TRUE(ParseParserText("set(field=" + path + ", value=1)").ok());
  EXPECT_FALSE(ParseParserText("set(field=" + path + ".a, value=1)").ok());
  EXPECT_FALSE(ParseParserText("drop(fields=\"b," + path + ".a\")").ok());
  std::string steps;
  for (int i = 0; i < 201; ++i) steps += "set(field=a, value=1)|";
  const auto config = ParseParserText(steps);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_THAT(EventParser::Create(*config).status().ToString(), HasSubstr("steps=201 most=200"));
}

TEST(EventParserTest, ParseWinEventLogReadsATopLevelText) {
  const char* parser = R"(parse_win_event_log(field="m"))";
  EXPECT_EQ(Parse(parser, R"({"x":1,"m":"01/02/2026\nEventCode=4624\nLogName=Security"})"),
            R"({"EventID":"4624","LogName":"Security"})");
  EXPECT_THAT(Parse(parser, R"({"x":1})"), HasSubstr("missing"));
  EXPECT_THAT(Parse(parser, R"({"m":5})"), HasSubstr("no text"));
  EXPECT_THAT(Parse(R"(parse_win_event_log(field="a.m"))", R"({"a":{"m":"x"}})"),
              HasSubstr("missing"));
}

}  // namespace
}  // namespace weir::sigma
