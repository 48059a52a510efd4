#include "jobs/sigma/parser/parser_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string ConfigOf(std::string_view text) {
  const absl::StatusOr<ParserConfig> config = ParseParserText(text);
  EXPECT_TRUE(config.ok()) << config.status();
  std::string json;
  if (config.ok()) AppendParserConfig(*config, &json);
  return json;
}

std::string ErrorOf(std::string_view text) {
  const absl::StatusOr<ParserConfig> config = ParseParserText(text);
  return config.ok() ? "no error" : config.status().ToString();
}

absl::StatusOr<ParserConfig> FromJson(std::string_view json) {
  EventReader reader;
  const absl::StatusOr<EventValue> value = reader.Read(json);
  EXPECT_TRUE(value.ok()) << json;
  return ReadParserConfig(*value);
}

TEST(ParserConfigTest, ReadsTheLanguage) {
  EXPECT_EQ(
      ConfigOf(R"(parse_json(field="message")|extract(field="winlog.event_data"))"),
      R"({"steps":["parse_json","extract"],)"
      R"("args":{"parse_json":{"field":"message"},"extract":{"field":"winlog.event_data"}}})");
}

TEST(ParserConfigTest, AllowsBlanksCommentsAndEmptySteps) {
  EXPECT_EQ(ConfigOf("# all of it\n | parse_json ( field = \"a # b\" , in_place = true ) # why\n|\n"
                     "| drop(fields=\"x, y\")|  # end"),
            R"({"steps":["parse_json","drop"],)"
            R"("args":{"parse_json":{"field":"a # b","in_place":true},"drop":{"fields":"x, y"}}})");
  EXPECT_EQ(ConfigOf(""), R"({"steps":[],"args":{}})");
  EXPECT_EQ(ConfigOf(" | # nothing"), R"({"steps":[],"args":{}})");
}

TEST(ParserConfigTest, PipeInQuotesIsText) {
  const auto config = ParseParserText(R"re(regex(pattern="(?P<a>x|y)\\d \"q\" \d", field="m"))re");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_THAT(config->steps, SizeIs(1));
  EXPECT_EQ(config->steps[0].Find("pattern")->text, R"re((?P<a>x|y)\d "q" \d)re");
}

TEST(ParserConfigTest, RepeatedStepsKeepTheirOwnArguments) {
  const std::string json = ConfigOf(R"(set(field="a", value="1") | set(field="b", value="2"))");
  EXPECT_EQ(json, R"({"steps":[{"function":"set","args":{"field":"a","value":"1"}},)"
                  R"({"function":"set","args":{"field":"b","value":"2"}}]})");
  const auto config = FromJson(json);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->steps[0].Find("field")->text, "a");
  EXPECT_EQ(config->steps[1].Find("field")->text, "b");
}

TEST(ParserConfigTest, RepeatedStepsOfTheOldFormShareArguments) {
  const auto config = FromJson(R"({"steps":["set","set"],"args":{"set":{"field":"a","value":1}}})");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_THAT(config->steps, SizeIs(2));
  EXPECT_EQ(config->steps[0], config->steps[1]);
}

TEST(ParserConfigTest, SetTakesTypedLiterals) {
  EXPECT_EQ(ConfigOf(R"(set(field="n", value=-12.5e3))"),
            R"({"steps":["set"],"args":{"set":{"field":"n","value":-12.5e3}}})");
  EXPECT_EQ(ConfigOf("set(field=a.b-c_1, value=true)"),
            R"({"steps":["set"],"args":{"set":{"field":"a.b-c_1","value":true}}})");
  EXPECT_EQ(ConfigOf(R"(set(field="n", value=null))"),
            R"({"steps":["set"],"args":{"set":{"field":"n","value":null}}})");
  EXPECT_EQ(ConfigOf(R"(set(field="n", value="5"))"),
            R"({"steps":["set"],"args":{"set":{"field":"n","value":"5"}}})");
  EXPECT_EQ(ConfigOf("set(field=ip, value=10.0.0.1)"),
            R"({"steps":["set"],"args":{"set":{"field":"ip","value":"10.0.0.1"}}})");
}

TEST(ParserConfigTest, AnUnknownStepIsAnErrorWithItsPlace) {
  EXPECT_THAT(ErrorOf("parse_json(field=\"a\") |\n  parse_jsn(field=\"b\")"),
              AllOf(HasSubstr("unknown function"), HasSubstr("did you mean parse_json?"),
                    HasSubstr("line=2 column=3")));
  EXPECT_THAT(ErrorOf("Set(field=\"a\", value=\"b\")"), HasSubstr("function=Set line=1 column=1"));
}

TEST(ParserConfigTest, MalformedStepsAreErrorsWithTheirPlace) {
  EXPECT_THAT(ErrorOf("set"), HasSubstr("stands (: found=the end line=1 column=4"));
  EXPECT_THAT(ErrorOf("set(field=\"a\" value=1)"), HasSubstr("column=15"));
  EXPECT_THAT(ErrorOf("set(field=\"a, value=1)"), HasSubstr("no closing quote"));
  EXPECT_THAT(ErrorOf("set(field=, value=1)"), HasSubstr("column=11"));
  EXPECT_THAT(ErrorOf("set(field)"), HasSubstr("stands =: found=) line=1 column=10"));
  EXPECT_THAT(ErrorOf("set(field=\"a\", field=\"b\")"), HasSubstr("given twice"));
  EXPECT_THAT(ErrorOf("set(field=\"a\", value=1) drop(fields=\"b\")"), HasSubstr("column=25"));
  EXPECT_THAT(ErrorOf("\"set\"(field=1)"), HasSubstr("column=1"));
}

TEST(ParserConfigTest, RefusesWhatIsNoUtf8) {
  EXPECT_THAT(ErrorOf("drop(fields=\"a\")\n# \xff\n"), HasSubstr("not UTF-8: line=2"));
}

TEST(ParserConfigTest, ChecksArguments) {
  EXPECT_THAT(ErrorOf("rename(from=\"a\")"),
              HasSubstr("lacks an argument: function=rename argument=to"));
  EXPECT_THAT(ErrorOf("rename(from=\"a\", too=\"b\")"), HasSubstr("did you mean to?"));
  EXPECT_THAT(ErrorOf("parse_json(field=\"a\", in_place=3)"), HasSubstr("give true or false"));
  EXPECT_THAT(ErrorOf("extract(field=\"\")"), HasSubstr("a text that is not empty"));
  EXPECT_THAT(ErrorOf("extract(field=5)"), HasSubstr("a text that is not empty"));
}

TEST(ParserConfigTest, ReadsBothFormsOfConfig) {
  const auto old_form = FromJson(
      R"({"steps":["parse_json","drop"],"args":{"parse_json":{"field":"m"},"drop":{"fields":"a,b"}}})");
  const auto new_form = FromJson(R"({"steps":[{"function":"parse_json","args":{"field":"m"}},)"
                                 R"({"function":"drop","args":{"fields":"a,b"}}]})");
  ASSERT_TRUE(old_form.ok()) << old_form.status();
  ASSERT_TRUE(new_form.ok()) << new_form.status();
  EXPECT_EQ(*old_form, *new_form);
  EXPECT_THAT(FromJson(R"({"steps":[]})")->steps, IsEmpty());
}

TEST(ParserConfigTest, ErrorsOfConfigsNameTheStep) {
  const auto error_of = [](std::string_view json) {
    const auto config = FromJson(json);
    return config.ok() ? "no error" : config.status().ToString();
  };
  EXPECT_THAT(error_of(R"({})"), HasSubstr("has no steps"));
  EXPECT_THAT(error_of(R"({"steps":"x"})"), HasSubstr("has no steps"));
  EXPECT_THAT(error_of(R"({"steps":["nope"]})"), HasSubstr("function=nope step=1"));
  EXPECT_THAT(error_of(R"({"steps":["drop"]})"),
              HasSubstr("lacks an argument: function=drop argument=fields step=1"));
  EXPECT_THAT(error_of(R"({"steps":[5]})"), HasSubstr("step=1"));
  EXPECT_THAT(error_of(R"({"steps":["set"],"args":[]})"), HasSubstr("args"));
  EXPECT_THAT(error_of(R"({"steps":["set"],"args":{"set":7}})"), HasSubstr("no object"));
}

TEST(ParserConfigTest, AnyTextIsReadOrRefusedWithAPlace) {
  constexpr std::string_view kPieces[] = {"set", "(",    ")",      "field", "=",     "\"",
                                          "|",   ",",    "#",      "\n",    "value", "\\",
                                          "5",   "drop", "fields", " ",     "true",  "\xff"};
  std::mt19937 random(20260101);
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (size_t n = random() % 12; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
    const auto config = ParseParserText(text);
    if (!config.ok()) {
      EXPECT_THAT(config.status().ToString(), HasSubstr("line=")) << text;
      continue;
    }
    std::string json;
    AppendParserConfig(*config, &json);
    const auto again = FromJson(json);
    ASSERT_TRUE(again.ok()) << text << " " << again.status();
    EXPECT_EQ(*again, *config) << text;
  }
}

}  // namespace
}  // namespace weir::sigma
