#include "jobs/sigma/custom_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/sigma/yaml_value.h"

namespace weir::sigma {
namespace {

using ::testing::HasSubstr;

std::string YamlAsJson(std::string_view yaml) {
  const auto value = ReadYamlValue(yaml);
  if (!value.ok()) return value.status().ToString();
  std::string json;
  AppendJson(*value, &json);
  return json;
}

TEST(CustomFieldsTest, ReplaceFieldsWhereTheyStandAndAppendOthers) {
  const auto fields = CustomFields::Read("tenant: emea\nsite: {name: lab, tier: 2}\nb: new\n");
  ASSERT_TRUE(fields.ok()) << fields.status();
  EventReader reader;
  EventValue event = *reader.Read(R"({"a":1,"b":{"x":1},"c":3})");
  fields->AddTo(&event);
  std::string json;
  AppendJson(event, &json);
  EXPECT_EQ(json, R"({"a":1,"b":"new","c":3,"tenant":"emea","site":{"name":"lab","tier":2}})");
}

TEST(CustomFieldsTest, MustBeAMapping) {
  for (const char* yaml : {"- a\n", "text", "5", "a: [b"}) {
    EXPECT_EQ(CustomFields::Read(yaml).status().code(), absl::StatusCode::kInvalidArgument) << yaml;
  }
  EXPECT_TRUE(CustomFields::Read("")->empty());
}

TEST(YamlValueTest, ScalarsHaveTheTypesOfYaml) {
  EXPECT_EQ(YamlAsJson("[1, -2, +3, 0x1F, 017, 0b11, 1_000, 08, 1.5, -.5, 1e3, 1.0e+3, 12e]"),
            R"([1,-2,3,31,15,3,1000,"08",1.5,-0.5,"1e3",)" + YamlAsJson("1000.0") + R"(,"12e"])");
  EXPECT_EQ(YamlAsJson("[yes, No, ON, off, true, FALSE, y, tRue]"),
            R"([true,false,true,false,true,false,"y","tRue"])");
  EXPECT_EQ(YamlAsJson("[~, null, NULL, '', 'null', \"5\", ]"),
            R"([null,null,null,"","null","5"])");
  EXPECT_EQ(YamlAsJson("a: 12345678901234567890123\nb: 2026-01-01\nc: 1.2.3.4\n"),
            R"({"a":12345678901234567890123,"b":"2026-01-01","c":"1.2.3.4"})");
  EXPECT_EQ(YamlAsJson("a: |\n  two\n  lines\n"), R"({"a":"two\nlines\n"})");
}

TEST(YamlValueTest, RefusesBombs) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k)
      bomb += std::string(k > 0 ? ", " : "") + "*a" + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(YamlAsJson(bomb), HasSubstr("too many values"));
  EXPECT_THAT(YamlAsJson(std::string(100, '[') + std::string(100, ']')), HasSubstr("too deep"));
}

}  // namespace
}  // namespace weir::sigma
