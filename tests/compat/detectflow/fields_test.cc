// How rules find fields, and compare values.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/jobs/sigma/match_harness.h"

namespace weir::sigma {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool Matches(const std::string& detection, const std::string& event,
             const Json& mapping = nullptr) {
  MatchHarness job;
  job.Rule("r1", detection);
  if (!mapping.is_null()) job.Parser(nullptr, mapping);
  job.ControlCaughtUp();
  job.Event(event);
  EXPECT_TRUE(job.Problems().empty()) << detection;
  return !job.Texts().empty();
}

std::string Item(const std::string& item) { return "  s:\n    " + item + "\n  condition: s\n"; }

TEST(FieldsTest, NestedObject) {
  EXPECT_TRUE(Matches(Item("a.b: 1"), R"({"a":{"b":1}})"));
  EXPECT_TRUE(Matches(Item("a.b: 1"), R"({"a.b":1})"));
}

TEST(FieldsTest, FieldNamesKeepTheirCase) {
  EXPECT_FALSE(Matches(Item("Image: x"), R"({"image":"x"})"));
}

TEST(FieldsTest, ValuesDoNotAndNumbersCompareByValue) {
  EXPECT_TRUE(Matches(Item("a: VALUE"), R"({"a":"Value"})"));
  EXPECT_TRUE(Matches(Item("a: 4624"), R"({"a":4624})"));
  EXPECT_TRUE(Matches(Item("a: 4624"), R"({"a":"4624"})"));
  EXPECT_TRUE(Matches(Item("a: 4624"), R"({"a":4624.0})"));
  EXPECT_TRUE(Matches(Item("a: true"), R"({"a":true})"));
  EXPECT_TRUE(Matches(Item("a: 'True'"), R"({"a":true})"));
}

TEST(FieldsTest, AnyElementOfAnArrayMayMatch) {
  EXPECT_TRUE(Matches(Item("a: y"), R"({"a":["x","y"]})"));
  EXPECT_TRUE(Matches(Item("a|contains: es"), R"({"a":["x","yes"]})"));
  EXPECT_FALSE(Matches(Item("a|contains: \"', '\""), R"({"a":["x","y"]})"));
}

TEST(FieldsTest, EmptyObjectAndObjectForAScalarAreNull) {
  EXPECT_TRUE(Matches(Item("a: null"), R"({"a":{}})"));
  EXPECT_TRUE(Matches(Item("a: null"), R"({"a":{"b":1}})"));
}

TEST(FieldsTest, MissingFieldNullAndEmptyTextAreToldApart) {
  EXPECT_TRUE(Matches(Item("a: null"), R"({"b":1})"));
  EXPECT_TRUE(Matches(Item("a: null"), R"({"a":null})"));
  EXPECT_FALSE(Matches(Item("a: null"), R"({"a":""})"));
  EXPECT_TRUE(Matches(Item("a: ''"), R"({"a":""})"));
  EXPECT_FALSE(Matches(Item("a: ''"), R"({"b":1})"));
  EXPECT_TRUE(Matches(Item("a|exists: true"), R"({"a":""})"));
  EXPECT_FALSE(Matches(Item("a|exists: true"), R"({"b":""})"));
}

TEST(FieldsTest, MappingAnyFieldAndTheNameItself) {
  const char* mapping =
      "CommandLine: process.command_line\nImage:\n  - process.executable\n  - exe\n";
  EXPECT_TRUE(Matches(Item("CommandLine|contains: delete"),
                      R"({"process":{"command_line":"delete it"}})", mapping));
  EXPECT_TRUE(
      Matches(Item("CommandLine|contains: delete"), R"({"CommandLine":"delete it"})", mapping));
  EXPECT_TRUE(Matches(Item("Image: a"), R"({"exe":"a"})", mapping));
  EXPECT_TRUE(Matches(Item("Image: null"), R"({})", mapping));
  EXPECT_FALSE(Matches(Item("Image: null"), R"({"exe":"a"})", mapping));
}

TEST(FieldsTest, MappingYamlBlankAndNullEntriesDoNotCount) {
  EXPECT_TRUE(Matches(Item("Image: a"), R"({"exe":"a"})", "User:\nImage: ['', exe]\nOther: ' '\n"));
}

TEST(FieldsTest, MappingYamlAnythingElseIsNoMappingAndAnError) {
  MatchHarness job;
  job.Rule("r1", Item("Image: a"));
  job.Parser(nullptr, "Image: exe\nUser: {a: b}\n");
  EXPECT_THAT(job.Problems(), ElementsAre(AllOf(HasSubstr("j1:parser"), HasSubstr("field=User"))));
  job.ControlCaughtUp();
  job.Event(R"({"exe":"a"})");
  EXPECT_TRUE(job.Texts().empty());
  job.Event(R"({"Image":"a"})");
  EXPECT_FALSE(job.Texts().empty());
}

}  // namespace
}  // namespace weir::sigma
