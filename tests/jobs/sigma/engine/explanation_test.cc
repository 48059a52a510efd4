#include "jobs/sigma/engine/explanation.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/jobs/sigma/engine/matching.h"

namespace weir::sigma {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::string_view kDetection =
    "  selection:\n    Image|endswith: '\\cmd.exe'\n    CommandLine|contains: [whoami, hostname]\n"
    "  filter:\n    User: SYSTEM\n  condition: selection and not filter\n";

Explanation ExplainText(std::string_view detection, std::string_view event) {
  const std::shared_ptr<const Rule> rule = MustParse(RuleText(detection));
  const absl::StatusOr<EventFields> fields = EventFields::Parse(event);
  EXPECT_TRUE(fields.ok()) << fields.status();
  const Explanation explanation = Explain(*rule, *fields);
  EXPECT_EQ(explanation.holds, Detects(detection, event)) << "the Matcher says otherwise";
  return explanation;
}

std::string ReasonOf(std::string_view line, std::string_view event) {
  return ExplainText("  s:\n    " + std::string(line) + "\n  condition: s\n", event).reason;
}

std::vector<std::string> Fields(const Explanation& explanation) {
  std::vector<std::string> fields;
  for (const MatchedField& field : MatchedFields(explanation)) {
    fields.push_back(field.selection + ":" + field.field + "=" + field.value);
  }
  return fields;
}

TEST(ExplanationTest, ShowsWhichPartsOfAMatchHold) {
  const Explanation all = ExplainText(
      kDetection, R"({"Image":"C:\\cmd.exe","CommandLine":"cmd /c whoami","User":"bob"})");
  EXPECT_TRUE(all.holds);
  ASSERT_EQ(all.children.size(), 2u);
  EXPECT_EQ(all.children[0].selection, "selection");
  EXPECT_EQ(all.children[0].children[0].reason, "Image ends with \"\\cmd.exe\"");
  EXPECT_EQ(all.children[0].children[0].hit, "C:\\cmd.exe");
  EXPECT_EQ(all.children[1].kind, Expression::Kind::kNot);
  EXPECT_FALSE(all.children[1].children[0].holds);
  EXPECT_THAT(all.children[1].children[0].values, ElementsAre("bob"));
  EXPECT_THAT(MatchedSelections(all), ElementsAre("selection"));
  EXPECT_THAT(Fields(all),
              ElementsAre("selection:Image=C:\\cmd.exe", "selection:CommandLine=cmd /c whoami"));
}

TEST(ExplanationTest, ShowsWhyARuleDoesNotMatch) {
  const Explanation filtered =
      ExplainText(kDetection, R"({"Image":"C:\\cmd.exe","CommandLine":"whoami","User":"System"})");
  EXPECT_FALSE(filtered.holds);
  EXPECT_TRUE(filtered.children[0].holds);
  EXPECT_FALSE(filtered.children[1].holds);
  EXPECT_EQ(filtered.children[1].children[0].hit, "System");
  EXPECT_THAT(MatchedSelections(filtered), IsEmpty());

  const Explanation other = ExplainText(kDetection, R"({"Image":"C:\\a.exe","CommandLine":"x"})");
  EXPECT_THAT(other.children[0].children[0].values, ElementsAre("C:\\a.exe"));
}

TEST(ExplanationTest, SaysThatAFieldIsMissingAndNamesASimilarOne) {
  EXPECT_EQ(ReasonOf("image: x", R"({"Image":"x"})"),
            "image is \"x\": the event has no such field; it has Image");
  EXPECT_EQ(ReasonOf("Image: x", R"({"process":{"Image":"x"}})"),
            "Image is \"x\": the event has no such field; it has process.Image");
  EXPECT_EQ(ReasonOf("Imagee: x", R"({"Image":"x","b":1})"),
            "Imagee is \"x\": the event has no such field; it has Image");
  EXPECT_EQ(ReasonOf("abc: x", R"({"Image":"x"})"), "abc is \"x\": the event has no such field");
}

TEST(ExplanationTest, NamesEveryKindOfTest) {
  EXPECT_EQ(ReasonOf("a|re: 'x.y'", R"({"a":"1"})"), "a matches the regular expression \"x.y\"");
  EXPECT_EQ(ReasonOf("a|cidr: 10.0.0.0/8", R"({"a":"10.1.1.1"})"), "a lies in \"10.0.0.0/8\"");
  EXPECT_EQ(ReasonOf("a|gte: 5", R"({"a":7})"), "a is at least \"5\"");
  EXPECT_EQ(ReasonOf("a|exists: true", R"({"a":null})"), "a exists");
  EXPECT_EQ(ReasonOf("a: null", "{}"), "a has no value");
  EXPECT_EQ(ReasonOf("a|fieldref: b", R"({"a":1,"b":1})"), "a is the value of b");
  EXPECT_EQ(ReasonOf("a|cased: X", R"({"a":"x"})"), "a is (with case) \"X\"");
  EXPECT_EQ(ReasonOf("a: 'x*y'", R"({"a":"x1y"})"), "a matches the pattern \"x*y\"");
}

TEST(ExplanationTest, NamesTheFieldThatAKeywordWasFoundIn) {
  const Explanation found =
      ExplainText("  k: [needle]\n  condition: k\n", R"({"a":"hay","b":["hay","a needle"]})");
  EXPECT_THAT(Fields(found), ElementsAre("k:b=a needle"));
}

TEST(ExplanationTest, CountsSelections) {
  const std::string_view detection =
      "  s1: {a: 1}\n  s2: {b: 1}\n  s3: {c: 1}\n  condition: 2 of s*\n";
  const Explanation two = ExplainText(detection, R"({"a":1,"c":1.0})");
  EXPECT_EQ(two.kind, Expression::Kind::kAtLeast);
  EXPECT_EQ(two.count, 2u);
  EXPECT_THAT(MatchedSelections(two), ElementsAre("s1", "s3"));
}

TEST(ExplanationTest, KeepsLongValuesShort) {
  const std::string event = R"({"a":")" + std::string(5000, 'x') + R"("})";
  const Explanation found = ExplainText("  s: {a|contains: xx}\n  condition: s\n", event);
  EXPECT_LE(found.hit.size(), Explanation::kMaxValueSize + 3);
}

TEST(EventFieldsTest, ReadsNestedDottedAndRepeatedFields) {
  const absl::StatusOr<EventFields> event = EventFields::Parse(
      R"({"a":{"b":1},"a.b":"two","list":[{"b":"x"},{"b":"y"},null],"f":4624.0,"t":true,"o":{}})");
  ASSERT_TRUE(event.ok()) << event.status();
  ASSERT_TRUE(event->Find("a.b").has_value());
  EXPECT_EQ(event->Find("a.b")->values.size(), 2u);
  EXPECT_EQ(event->Find("list.b")->values[1].text, "y");
  EXPECT_TRUE(event->Find("list")->has_null);
  EXPECT_EQ(event->Find("f")->values.size(), 2u);
  EXPECT_EQ(event->Find("t")->values[0].text, "true");
  EXPECT_TRUE(event->Find("o")->values.empty());
  EXPECT_FALSE(event->Find("none").has_value());
  EXPECT_FALSE(EventFields::Parse("[1]").ok());
  EXPECT_FALSE(EventFields::Parse("{\"a\":").ok());
}

TEST(EventFieldsTest, FindsFieldsWhereAMappingSays) {
  EventMapping mapping;
  mapping.prefixes = {"data.*"};
  mapping.fields = {{"Image", {"proc.path"}}};
  mapping.lists = {{"list", "name", "value"}};
  const absl::StatusOr<EventFields> event = EventFields::Parse(
      R"({"proc":{"path":"p"},"data":{"x":{"Image":"q"}},)"
      R"("list":[{"name":"User","value":"u"},{"name":"Id","value":7},{"value":1}]})",
      &mapping);
  ASSERT_TRUE(event.ok()) << event.status();
  ASSERT_TRUE(event->Find("Image").has_value());
  EXPECT_EQ(event->Find("Image")->values.size(), 2u);
  EXPECT_EQ(event->Find("User")->values[0].text, "u");
  EXPECT_EQ(event->Find("Id")->values[0].text, "7");
  EXPECT_FALSE(event->Find("Other").has_value());
}

}  // namespace
}  // namespace weir::sigma
