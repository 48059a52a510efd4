#include "jobs/sigma/field_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/sigma/engine/compiled_rules.h"
#include "jobs/sigma/engine/matcher.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

bool Matches(const std::string& detection, const std::string& mapping_yaml,
             std::string_view event) {
  const auto mapping = ReadFieldMapping(mapping_yaml);
  EXPECT_TRUE(mapping.ok()) << mapping.status();
  const auto rule = ParseRule("title: t\nid: r\ndetection:\n" + detection);
  EXPECT_TRUE(rule.ok()) << rule.status();
  Matcher matcher;
  std::vector<const Rule*> matches;
  const auto compiled = CompileRules({std::make_shared<const Rule>(MapFields(*rule, *mapping))});
  EXPECT_TRUE(matcher.SetRules(compiled.rules).ok());
  EXPECT_TRUE(matcher.Match(event, matches).ok());
  return !matches.empty();
}

constexpr const char* kMapping = "Image:\n  - process.executable\n  - exe\n";

TEST(FieldMappingTest, ReadsTextsAndLists) {
  const auto mapping = ReadFieldMapping(
      "CommandLine: process.command_line\nImage:\n  - a\n  - ' '\n  - b\n  - Image\nUser: ''\n"
      "Empty:\n");
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_THAT(*mapping,
              ElementsAre(Pair("CommandLine", ElementsAre("process.command_line", "CommandLine")),
                          Pair("Image", ElementsAre("a", "b", "Image"))));
  EXPECT_TRUE(ReadFieldMapping("")->empty());
}

TEST(FieldMappingTest, RefusesEverythingElse) {
  for (const char* yaml : {"- a\n- b\n", "text", "A: {b: c}\n", "A: [1]\n", "A: 5\n", "A: [[x]]\n",
                           "a: [unclosed\n"}) {
    EXPECT_EQ(ReadFieldMapping(yaml).status().code(), absl::StatusCode::kInvalidArgument) << yaml;
  }
  EXPECT_THAT(ReadFieldMapping("Image: {b: c}\n").status().ToString(), HasSubstr("field=Image"));
}

TEST(FieldMappingTest, AnyOfTheFieldsMayPass) {
  const std::string detection = "  s: {Image|endswith: .exe}\n  condition: s\n";
  EXPECT_TRUE(Matches(detection, kMapping, R"({"process":{"executable":"a.exe"}})"));
  EXPECT_TRUE(Matches(detection, kMapping, R"({"process.executable":"no","exe":"a.exe"})"));
  EXPECT_TRUE(Matches(detection, kMapping, R"({"Image":"a.exe"})"));
  EXPECT_FALSE(Matches(detection, kMapping, R"({"other":"a.exe"})"));
}

TEST(FieldMappingTest, AllOfTheFieldsMustBeWithoutAValue) {
  const std::string null = "  s: {Image: null}\n  condition: s\n";
  EXPECT_TRUE(Matches(null, kMapping, R"({})"));
  EXPECT_TRUE(Matches(null, kMapping, R"({"exe":null})"));
  EXPECT_FALSE(Matches(null, kMapping, R"({"exe":"x"})"));
  EXPECT_FALSE(Matches(null, kMapping, R"({"Image":"x"})"));
  const std::string negated = "  s: {Image: null}\n  condition: not s\n";
  EXPECT_FALSE(Matches(negated, kMapping, R"({})"));
  EXPECT_TRUE(Matches(negated, kMapping, R"({"exe":"x"})"));
}

TEST(FieldMappingTest, AllOfTheFieldsMustBeEmptyOrWithoutAValue) {
  const std::string empty = "  s: {Image: ''}\n  condition: s\n";
  EXPECT_TRUE(Matches(empty, kMapping, R"({"exe":""})"));
  EXPECT_FALSE(Matches(empty, kMapping, R"({})"));
  EXPECT_FALSE(Matches(empty, kMapping, R"({"exe":"","Image":"x"})"));
}

TEST(FieldMappingTest, MapsBothSidesOfAFieldReference) {
  const std::string detection = "  s: {Image|fieldref: Parent}\n  condition: s\n";
  const std::string mapping = "Image: exe\nParent: parent.exe\n";
  EXPECT_TRUE(Matches(detection, mapping, R"({"exe":"a","parent":{"exe":"a"}})"));
  EXPECT_TRUE(Matches(detection, mapping, R"({"Image":"a","Parent":"a"})"));
  EXPECT_FALSE(Matches(detection, mapping, R"({"exe":"a","parent":{"exe":"b"}})"));
}

TEST(FieldMappingTest, LeavesKeywordsAndOtherFieldsAlone) {
  EXPECT_TRUE(Matches("  k: [needle]\n  condition: k\n", kMapping, R"({"x":"a needle"})"));
  EXPECT_TRUE(Matches("  s: {User: bob}\n  condition: s\n", kMapping, R"({"User":"bob"})"));
}

}  // namespace
}  // namespace weir::sigma
