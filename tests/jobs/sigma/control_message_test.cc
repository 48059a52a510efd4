#include "jobs/sigma/control_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::sigma {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using Kind = ControlUpdate::Kind;

KafkaRecord Record(std::string key, std::string value) {
  KafkaRecord record;
  record.topic = "rules";
  record.offset = 7;
  record.has_key = !key.empty();
  record.key = std::move(key);
  record.value = std::move(value);
  return record;
}

KafkaRecord Tombstone(std::string key) {
  KafkaRecord record = Record(std::move(key), "");
  record.is_tombstone = true;
  return record;
}

constexpr const char* kRule =
    R"({"job_id":"j1","case":{"id":"r1","name":"Named by the case"},)"
    R"("sigma":{"text":"title: t\n","level":"high"},)"
    R"("tags":{"technique":[{"id":"T1490","name":"Inhibit System Recovery"},{"id":"T1059.003"}]}})";

TEST(ControlMessageTest, ReadsARule) {
  const auto update = ReadControlMessage(Record("j1:r1", kRule), "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kSetRule);
  EXPECT_EQ(update->key, "r1");
  EXPECT_EQ(update->rule.source, "j1:r1");
  EXPECT_EQ(update->rule.id, "r1");
  EXPECT_EQ(update->rule.title, "Named by the case");
  EXPECT_EQ(update->rule.level, "high");
  EXPECT_EQ(update->rule.text, "title: t\n");
  ASSERT_TRUE(update->rule.techniques.has_value());
  ASSERT_THAT(*update->rule.techniques, SizeIs(2));
  EXPECT_EQ((*update->rule.techniques)[0].id, "T1490");
  EXPECT_EQ((*update->rule.techniques)[0].name, "Inhibit System Recovery");
  EXPECT_EQ((*update->rule.techniques)[1].name, std::nullopt);
}

TEST(ControlMessageTest, LeavesOutWhatTheTextKnows) {
  const auto update = ReadControlMessage(
      Record("j1:r1", R"({"type":"rule","job_id":"j1","case":{"id":"r1"},"sigma":{"text":"t"}})"),
      "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kSetRule);
  EXPECT_EQ(update->rule.title, std::nullopt);
  EXPECT_EQ(update->rule.level, std::nullopt);
  EXPECT_FALSE(update->rule.techniques.has_value());
}

TEST(ControlMessageTest, IgnoresMessagesOfOtherJobs) {
  EXPECT_FALSE(ReadControlMessage(Record("j1:r1", kRule), "j2").has_value());
  EXPECT_FALSE(ReadControlMessage(Record("", R"({"case":{"id":"r"},"sigma":{"text":"t"}})"), "j1")
                   .has_value());
  EXPECT_FALSE(ReadControlMessage(Record("j2:r1", "{broken"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone("j2:r1"), "j1").has_value());
  EXPECT_FALSE(ReadControlMessage(Tombstone("j11:r1"), "j1").has_value());
}

TEST(ControlMessageTest, TakesARuleWithoutTextForADeletion) {
  for (const char* sigma : {R"("sigma":{"text":""})", R"("sigma":{})", R"("sigma":null)",
                            R"("sigma":{"text":null})", R"("other":1)"}) {
    const auto update = ReadControlMessage(
        Record("j1:r1", std::string(R"({"job_id":"j1","case":{"id":"r1"},)") + sigma + "}"), "j1");
    ASSERT_TRUE(update.has_value()) << sigma;
    EXPECT_EQ(update->kind, Kind::kDeleteRule) << sigma;
    EXPECT_EQ(update->key, "r1");
  }
}

TEST(ControlMessageTest, TakesATombstoneOfARuleForADeletion) {
  const auto update = ReadControlMessage(Tombstone("j1:r:1"), "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kDeleteRule);
  EXPECT_EQ(update->key, "r:1");
  EXPECT_FALSE(ReadControlMessage(Tombstone(""), "j1").has_value());
}

TEST(ControlMessageTest, TakesATombstoneOfAnythingElseForADeletionToo) {
  EXPECT_EQ(ReadControlMessage(Tombstone("j1:parser"), "j1")->kind, Kind::kDeleteParser);
  EXPECT_EQ(ReadControlMessage(Tombstone("j1:custom_fields"), "j1")->kind,
            Kind::kDeleteCustomFields);
  const auto filter = ReadControlMessage(Tombstone("j1:prefilter:f:1"), "j1");
  EXPECT_EQ(filter->kind, Kind::kDeleteFilter);
  EXPECT_EQ(filter->key, "f:1");
}

TEST(ControlMessageTest, ReadsFilters) {
  const auto update = ReadControlMessage(
      Record("j1:prefilter:f-17",
             R"({"type":"filter","job_id":"j1","filter_id":"f-17","filter_body":"detection: x"})"),
      "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kSetFilter);
  EXPECT_EQ(update->key, "f-17");
  EXPECT_EQ(update->filter.body, "detection: x");
  EXPECT_EQ(update->filter.source, "j1:prefilter:f-17");
  const auto deletion = ReadControlMessage(
      Record("j1:prefilter:f-17",
             R"({"type":"filter","job_id":"j1","filter_id":"f-17","deleted":true})"),
      "j1");
  EXPECT_EQ(deletion->kind, Kind::kDeleteFilter);
}

TEST(ControlMessageTest, ReadsParsersInAllForms) {
  const auto read = [](const std::string& members) {
    auto update = ReadControlMessage(
        Record("j1:parser", R"({"type":"parser","job_id":"j1",)" + members + "}"), "j1");
    EXPECT_TRUE(update.has_value());
    return *update;
  };
  const ControlUpdate both = read(
      R"("parser":{"id":"p","name":"n","config":{"steps":["drop"], "args":{}}},"mapping":"a: b")");
  EXPECT_EQ(both.kind, Kind::kSetParser);
  EXPECT_EQ(both.parser.config, R"({"steps":["drop"],"args":{}})");
  EXPECT_EQ(both.parser.mapping, "a: b");
  EXPECT_EQ(read(R"x("parser":{"config":"drop(fields=\"a\")"})x").parser.config,
            R"x(drop(fields="a"))x");
  const ControlUpdate mapping_only = read(R"("parser":null,"mapping":"a: b")");
  EXPECT_EQ(mapping_only.kind, Kind::kSetParser);
  EXPECT_EQ(mapping_only.parser.config, "");
  EXPECT_EQ(read(R"("parser":null,"mapping":null)").kind, Kind::kSetParser);
  EXPECT_EQ(read(R"("parser":null,"deleted":true)").kind, Kind::kDeleteParser);
}

TEST(ControlMessageTest, ReadsCustomFields) {
  const auto update = ReadControlMessage(
      Record("j1:custom_fields",
             R"({"type":"custom_fields","job_id":"j1","custom_fields":"tenant: emea\n"})"),
      "j1");
  ASSERT_TRUE(update.has_value());
  EXPECT_EQ(update->kind, Kind::kSetCustomFields);
  EXPECT_EQ(update->custom_fields.yaml, "tenant: emea\n");
  const auto deletion = ReadControlMessage(
      Record("j1:custom_fields", R"({"type":"custom_fields","job_id":"j1","deleted":true})"), "j1");
  EXPECT_EQ(deletion->kind, Kind::kDeleteCustomFields);
}

TEST(ControlMessageTest, MalformedTagsEmptyTheListOfTechniquesOnly) {
  for (const char* tags : {"5", "[]", R"({"technique":"T1"})", R"({"technique":["T1"]})"}) {
    const auto update = ReadControlMessage(
        Record("j1:r1", std::string(R"({"job_id":"j1","case":{"id":"r1"},"sigma":{"text":"t"},)") +
                            R"("tags":)" + tags + "}"),
        "j1");
    ASSERT_TRUE(update.has_value()) << tags;
    EXPECT_EQ(update->kind, Kind::kSetRule) << tags;
    ASSERT_TRUE(update->rule.techniques.has_value()) << tags;
    EXPECT_THAT(*update->rule.techniques, SizeIs(0)) << tags;
  }
}

TEST(ControlMessageTest, ReportsWhatItCannotUse) {
  const auto reason_of = [](const KafkaRecord& record) {
    const auto update = ReadControlMessage(record, "j1");
    return update.has_value() && update->kind == Kind::kProblem
               ? update->problem.rule_id + "|" + update->problem.source + "|" +
                     update->problem.reason
               : "";
  };
  EXPECT_THAT(reason_of(Record("j1:r1", "{broken")), HasSubstr("r1|j1:r1|the message is not"));
  EXPECT_THAT(reason_of(Record("", "[]")), HasSubstr("|rules/0/7|the message is not"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","sigma":{"text":"t"}})")),
              HasSubstr("case.id"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","case":{"id":5}})")), HasSubstr("case.id"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"filter"})")), HasSubstr("filter_id"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"parser","parser":[]})")),
              HasSubstr("no object"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"parser","parser":{}})")),
              HasSubstr("no config"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"parser","mapping":{}})")),
              HasSubstr("mapping"));
  EXPECT_THAT(
      reason_of(Record("k", R"({"job_id":"j1","type":"custom_fields","custom_fields":{}})")),
      HasSubstr("custom_fields"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","type":"rulez"})")), HasSubstr("type=rulez"));
  EXPECT_THAT(reason_of(Record("k", R"({"job_id":"j1","case":{"id":"r"},"sigma":{"text":["t"]}})")),
              HasSubstr("sigma.text"));
}

}  // namespace
}  // namespace weir::sigma
