#include "jobs/sigma/engine/tagged_event.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace weir::sigma {
namespace {

std::string Tag(std::string_view event, const std::vector<const Rule*>& matches) {
  std::string output = "before ";
  const absl::Status status = AppendTaggedEvent(event, matches, &output);
  EXPECT_TRUE(status.ok()) << status.message();
  return output.substr(7);
}

TEST(TaggedEventTest, AddsBothFieldsBehindTheEvents) {
  Rule rule;
  rule.id = "a3";
  rule.title = "Say \"hi\"\n\\ ä";
  rule.level = "high";
  rule.techniques = {{"T1490", "Inhibit System Recovery"}, {"T1059.003", std::nullopt}};
  Rule other;
  other.id = "b0";
  other.level = "low";
  EXPECT_EQ(
      Tag("{ \"z\" : 18446744073709551615 ,\n \"a\":[1.50, {\"b\": \"x  y\"}] }", {&rule, &other}),
      R"({"z":18446744073709551615,"a":[1.50,{"b":"x  y"}],"sigma_rule_ids":["a3","b0"],)"
      R"("sigma_detections":[{"rule_id":"a3","rule_title":"Say \"hi\"\u000a\\ ä","severity":"high",)"
      R"("technique_ids":["T1490","T1059.003"],"techniques":[{"id":"T1490","name":"Inhibit System Recovery"},)"
      R"({"id":"T1059.003","name":null}]},{"rule_id":"b0","rule_title":"","severity":"low","technique_ids":[],)"
      R"("techniques":[]}]})");
}

TEST(TaggedEventTest, GivesEmptyListsWithoutMatches) {
  EXPECT_EQ(Tag("{}", {}), R"({"sigma_rule_ids":[],"sigma_detections":[]})");
}

TEST(TaggedEventTest, ReplacesFieldsOfItsOwnNames) {
  const std::string tags = R"("sigma_rule_ids":[],"sigma_detections":[]})";
  EXPECT_EQ(Tag(R"({"sigma_rule_ids":["old",{"x":"},"}],"a":1})", {}), R"({"a":1,)" + tags);
  EXPECT_EQ(Tag(R"({"a":{"sigma_rule_ids":1},"sigma_detections":null})", {}),
            R"({"a":{"sigma_rule_ids":1},)" + tags);
  EXPECT_EQ(Tag(R"({"sigma\u005frule_ids":1,"b":"\"sigma_rule_ids\""})", {}),
            R"({"b":"\"sigma_rule_ids\"",)" + tags);
  EXPECT_EQ(Tag(R"({"sigma_detections":1})", {}), "{" + tags);
}

TEST(TaggedEventTest, RefusesWhatIsNoObject) {
  std::string output = "kept";
  EXPECT_EQ(AppendTaggedEvent("[1]", {}, &output).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(output, "kept");
}

}  // namespace
}  // namespace weir::sigma
